package http_test

import (
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime/http"
)

// shown answers with a request's path values.
func shown(names ...string) func(nethttp.ResponseWriter, *nethttp.Request) error {
	return func(w nethttp.ResponseWriter, request *nethttp.Request) error {
		for _, name := range names {
			_, _ = io.WriteString(w, name+"="+request.PathValue(name)+";")
		}
		return nil
	}
}

func routes() http.Config {
	return http.Config{OpenAPI: map[string]any{"openapi": "3.1.0"}, Routes: []http.Route{
		{Method: "POST", Pattern: "/orders", Serve: shown()},
		{Method: "PUT", Pattern: "/orders/{order}", Serve: shown("order")},
		{Method: "DELETE", Pattern: "/orders/{id}", Serve: shown("id", "order")},
		{Method: "POST", Pattern: "/orders/{order}/lines/{line}", Serve: shown("order", "line")},
		{Method: "POST", Pattern: "/files/{path...}", Serve: shown("path")},
		{Method: "POST", Pattern: "/refused", Serve: func(nethttp.ResponseWriter, *nethttp.Request) error {
			return &http.Problem{Status: 422, Detail: "no", Field: "a"}
		}},
		{Method: "POST", Pattern: "/fails", Serve: func(nethttp.ResponseWriter, *nethttp.Request) error {
			return errors.New("a secret of the inside")
		}},
	}}
}

func TestRoutes(t *testing.T) {
	for target, want := range map[string]string{
		"POST /orders":                    "",
		"PUT /orders/7":                   "order=7;",
		"DELETE /orders/7":                "id=7;order=;",
		"POST /orders/a%2Fb/lines/%C3%A9": "order=a/b;line=é;",
		"POST /files/a/b/c":               "path=a/b/c;",
	} {
		method, path, _ := strings.Cut(target, " ")
		answer := request(t, routes(), method, path)
		require.Equal(t, 200, answer.Code, target)
		require.Equal(t, want, answer.Body.String(), target)
	}
}

// The router's own tree has no place for a NUL.
func TestPathsWithNULAreAnswered(t *testing.T) {
	for _, path := range []string{"/%00", "/live%00", "/orders%00", "/orders/7%00", "/orders/7/lines/%00", "/%00/live", "/files/a%00%2f"} {
		answer := request(t, routes(), "GET", path)
		require.Equal(t, 404, answer.Code, path)
		require.Equal(t, "application/problem+json", answer.Header().Get("Content-Type"), path)
	}
}

func TestErrorsOfRoutesAreProblemDetails(t *testing.T) {
	answer := request(t, routes(), "POST", "/refused")
	require.Equal(t, 422, answer.Code)
	require.Equal(t, "a", problem(t, answer)["field"])
	answer = request(t, routes(), "POST", "/fails")
	require.Equal(t, 500, answer.Code)
	require.NotContains(t, answer.Body.String(), "secret")
	problem(t, answer)
}

func TestMethodsOfRoutes(t *testing.T) {
	for path, allow := range map[string]string{"/orders": "OPTIONS, POST", "/orders/7": "DELETE, OPTIONS, PUT"} {
		for _, method := range []string{"GET", "HEAD", "PATCH"} {
			answer := request(t, routes(), method, path)
			require.Equal(t, 405, answer.Code, method)
			require.Equal(t, allow, answer.Header().Get("Allow"))
		}
		answer := request(t, routes(), "OPTIONS", path)
		require.Equal(t, 204, answer.Code)
		require.Equal(t, allow, answer.Header().Get("Allow"))
	}
	require.Equal(t, "GET, HEAD", request(t, routes(), "POST", "/live").Header().Get("Allow"))
}

func TestOpenAPIIsServedAndListed(t *testing.T) {
	answer := request(t, routes(), "GET", "/openapi.json")
	require.JSONEq(t, `{"openapi":"3.1.0"}`, answer.Body.String())
	require.Contains(t, request(t, routes(), "GET", "/").Body.String(), "POST /orders\n")
	require.Equal(t, 404, request(t, http.Config{}, "GET", "/openapi.json").Code)
}

// A client that sends its header, or its body, a byte at a time is cut off.
func TestASlowClientIsCutOff(t *testing.T) {
	for name, begin := range map[string]string{
		"header": "POST /orders HTTP/1.1\r\nHost: x\r\nX-Long: ",
		"body":   "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := &pipe{ends: make(chan net.Conn), closed: make(chan struct{})}
				config := http.Config{Routes: []http.Route{{Method: "POST", Pattern: "/orders", Serve: readAll}}}
				ended := make(chan error, 1)
				stopping, stop := contextOf(t)
				go func() { ended <- http.New(config).Run(stopping, listener) }()
				client, server := net.Pipe()
				listener.ends <- server
				answered := make(chan string, 1)
				go func() {
					answer, _ := io.ReadAll(client)
					answered <- string(answer)
				}()
				begun := time.Now()
				_, err := io.WriteString(client, begin)
				for err == nil && time.Since(begun) < time.Hour {
					time.Sleep(time.Second)
					_, err = io.WriteString(client, "a")
				}
				require.Error(t, err, "the connection is closed")
				require.Less(t, time.Since(begun), time.Minute)
				if answer := <-answered; name == "body" {
					require.Contains(t, answer, "HTTP/1.1 408 ")
				}
				require.NoError(t, client.Close())
				stop()
				require.NoError(t, <-ended)
			})
		})
	}
}

func TestAHugeHeaderIsRefused(t *testing.T) {
	server := http.New(routes())
	listener, err := http.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	stopping, stop := contextOf(t)
	ended := make(chan error, 1)
	go func() { ended <- server.Run(stopping, listener) }()
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	answered := make(chan string, 1)
	go func() {
		line := make([]byte, len("HTTP/1.1 431 "))
		_, _ = io.ReadFull(connection, line)
		answered <- string(line)
	}()
	_, _ = io.WriteString(connection, "POST /orders HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", 100<<10)) // the server hangs up
	require.Equal(t, "HTTP/1.1 431 ", <-answered)
	require.NoError(t, connection.Close())
	stop()
	require.NoError(t, <-ended)
}
