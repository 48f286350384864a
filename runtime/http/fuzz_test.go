package http_test

import (
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime/http"
)

// FuzzRequests asks for whatever path and query. There is an answer, never a panic of the server's own, and the values
// of a path are those that net/http's router finds.
func FuzzRequests(f *testing.F) {
	for _, target := range []string{
		"/orders/7", "/orders/a%2Fb", "/orders/%C3%A9/lines/%00", "/files/a//b/../c", "/files/", "//", "/topology?format=%zz", "/topology?format=mermaid",
		"/orders/a%2", "/orders/.", "/ready?x=;", "/orders/:x/lines/*", "/orders/%25/lines/%2525",
	} {
		f.Add("PUT", target)
		f.Add("POST", target)
		f.Add("GET", target)
	}
	config := routes()
	server := http.New(config).Handler()
	reference := nethttp.NewServeMux()
	for _, route := range config.Routes {
		reference.HandleFunc(route.Method+" "+route.Pattern, func(w nethttp.ResponseWriter, request *nethttp.Request) {
			if err := route.Serve(w, request); err != nil {
				w.WriteHeader(nethttp.StatusTeapot)
			}
		})
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		parsed, err := url.ParseRequestURI(target)
		if err != nil || parsed.Host != "" || parsed.Opaque != "" || len(parsed.Path) == 0 {
			return // net/http answers these itself
		}
		ask := func(handler nethttp.Handler) *httptest.ResponseRecorder {
			own := *parsed
			request := (&nethttp.Request{Method: method, URL: &own, Header: nethttp.Header{}, Host: "h", RequestURI: target}).WithContext(t.Context())
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			return recorder
		}
		got := ask(server)
		require.NotZero(t, got.Code)
		if want := ask(reference); want.Code == nethttp.StatusOK && got.Code == nethttp.StatusOK {
			text, err := io.ReadAll(want.Body)
			require.NoError(t, err)
			require.Equal(t, string(text), got.Body.String(), target)
		}
	})
}
