package http_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/http"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stopped is a clock that moves when a test says so.
type stopped struct{ now atomic.Int64 }

func (c *stopped) Now() time.Time { return time.Unix(1_000_000, c.now.Load()) }

func (c *stopped) AfterFunc(time.Duration, func()) func() { return func() {} }

func (c *stopped) After(time.Duration) (<-chan time.Time, func()) { return nil, func() {} }

func (c *stopped) pass(d time.Duration) { c.now.Add(int64(d)) }

func request(t *testing.T, config http.Config, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return ask(t, http.New(config), method, target, header...)
}

func ask(t *testing.T, server *http.Server, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	server.Handler().ServeHTTP(w, r)
	return w
}

func status(joined bool, partitions ...runtime.PartitionStatus) func() []runtime.Status {
	return func() []runtime.Status {
		return []runtime.Status{{Function: "count", Joined: joined, Partitions: partitions}}
	}
}

func partition(phase runtime.Phase, reason string) runtime.PartitionStatus {
	return runtime.PartitionStatus{
		TopicPartition: runtime.TopicPartition{Topic: "words", Partition: 2}, Phase: phase, Reason: reason,
	}
}

func TestLiveWhateverHappens(t *testing.T) {
	answer := request(t, http.Config{Status: status(false)}, "GET", "/live")
	require.Equal(t, 200, answer.Code)
	require.JSONEq(t, `{"live":true}`, answer.Body.String())
}

func TestReady(t *testing.T) {
	fine := func(context.Context) error { return nil }
	away := func(context.Context) error { return errors.New("connection refused") }
	for name, test := range map[string]struct {
		config http.Config
		detail string // empty where ready
	}{
		"nothing to wait for":  {http.Config{}, ""},
		"all partitions run":   {http.Config{Status: status(true, partition(runtime.Running, ""))}, ""},
		"no partition for now": {http.Config{Status: status(true)}, ""},
		"not joined":           {http.Config{Status: status(false)}, "function count: is not in its group yet"},
		"claiming": {
			http.Config{Status: status(true, partition(runtime.Claiming, ""))},
			"function count, words/2: claiming",
		},
		"retrying": {
			http.Config{Status: status(true, partition(runtime.Retrying, "database away"), partition(runtime.Running, ""))},
			"function count, words/2: database away",
		},
		"dependencies": {
			http.Config{Pings: map[string]func(context.Context) error{"postgres": away, "kafka": fine, "a cache": away}},
			"a cache: connection refused; postgres: connection refused",
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer := request(t, test.config, "GET", "/ready")
			if test.detail == "" {
				require.Equal(t, 200, answer.Code)
				require.JSONEq(t, `{"ready":true}`, answer.Body.String())
				return
			}
			require.Equal(t, 503, answer.Code)
			require.Equal(t, test.detail, problem(t, answer)["detail"])
		})
	}
}

func TestNotReadyNamesThePartition(t *testing.T) {
	p := partition(runtime.Retrying, "database away")
	p.Since = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	answer := request(t, http.Config{Status: status(true, p)}, "GET", "/ready")
	require.JSONEq(t, `{
		"type": "about:blank", "title": "Not ready", "status": 503, "detail": "function count, words/2: database away",
		"reasons": [{"function": "count", "topic": "words", "partition": 2, "phase": "retrying",
			"since": "2026-01-02T03:04:05Z", "reason": "database away"}]
	}`, answer.Body.String())
}

func TestPingsAreRepeatedAfterASecond(t *testing.T) {
	clock := new(stopped)
	calls := 0
	server := http.New(http.Config{Clock: clock, Pings: map[string]func(context.Context) error{
		"kafka": func(context.Context) error { calls++; return errors.New("away") },
	}})
	for range 3 {
		require.Equal(t, 503, ask(t, server, "GET", "/ready").Code)
	}
	require.Equal(t, 1, calls)
	clock.pass(time.Second)
	require.Equal(t, 503, ask(t, server, "GET", "/ready").Code)
	require.Equal(t, 2, calls)
}

func TestAPingIsBoundedAndOutlivesItsRequest(t *testing.T) {
	server := http.New(http.Config{Pings: map[string]func(context.Context) error{
		"kafka": func(ctx context.Context) error {
			_, bounded := ctx.Deadline()
			require.True(t, bounded)
			return ctx.Err()
		},
	}})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	server.Handler().ServeHTTP(w, httptest.NewRequestWithContext(gone, "GET", "/ready", nil))
	require.Equal(t, 200, w.Code)
}

func TestTopology(t *testing.T) {
	config := http.Config{Topology: map[string]any{"functions": []string{"a<b"}}, Mermaid: "flowchart LR\n"}
	for name, test := range map[string]struct {
		target, accept, contentType, body string
	}{
		"by default":        {"/topology", "", "application/json", "{\n  \"functions\": [\n    \"a<b\"\n  ]\n}\n"},
		"asked for JSON":    {"/topology?format=json", "text/vnd.mermaid", "application/json", "{\n  \"functions\": [\n    \"a<b\"\n  ]\n}\n"},
		"asked for Mermaid": {"/topology?format=mermaid", "", "text/vnd.mermaid; charset=utf-8", "flowchart LR\n"},
		"accepts Mermaid":   {"/topology", "text/html, text/vnd.mermaid;q=0.9", "text/vnd.mermaid; charset=utf-8", "flowchart LR\n"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := request(t, config, "GET", test.target, "Accept", test.accept)
			require.Equal(t, 200, answer.Code)
			require.Equal(t, test.contentType, answer.Header().Get("Content-Type"))
			require.Equal(t, test.body, answer.Body.String())
		})
	}
	answer := request(t, config, "GET", "/topology?format=dot")
	require.Equal(t, 400, answer.Code)
	require.Equal(t, `format "dot" is not known; json and mermaid are`, problem(t, answer)["detail"])
}

func TestIndexListsWhatThereIs(t *testing.T) {
	answer := request(t, http.Config{Name: "wordcount"}, "GET", "/")
	require.Equal(t, 200, answer.Code)
	require.Contains(t, answer.Body.String(), "wordcount\n\n/live")
}

func TestMetricsAreServed(t *testing.T) {
	metrics := nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) { _, _ = io.WriteString(w, "metrics") })
	require.Equal(t, "metrics", request(t, http.Config{Metrics: metrics}, "GET", "/metrics").Body.String())
	require.Equal(t, 404, request(t, http.Config{}, "GET", "/metrics").Code)
}

func TestHeadIsAnswered(t *testing.T) {
	require.Equal(t, 200, request(t, http.Config{}, "HEAD", "/live").Code)
}

func TestErrorsAreProblemDetails(t *testing.T) {
	answer := request(t, http.Config{}, "POST", "/live")
	require.Equal(t, 405, answer.Code)
	require.Equal(t, "GET, HEAD", answer.Header().Get("Allow"))
	require.Equal(t, "Method Not Allowed", problem(t, answer)["title"])

	answer = request(t, http.Config{}, "GET", "/nothing")
	require.Equal(t, 404, answer.Code)
	require.Equal(t, "Not Found", problem(t, answer)["title"])
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	var log bytes.Buffer
	answer := request(t, http.Config{
		Metrics: nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) { panic("a secret of the inside") }),
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	}, "GET", "/metrics")
	require.Equal(t, 500, answer.Code)
	require.NotContains(t, problem(t, answer)["detail"], "secret")
	require.Contains(t, log.String(), "a secret of the inside")
	require.Contains(t, log.String(), "server_test.go")
}

func TestRequestsAreLoggedAtDebug(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	request(t, http.Config{Logger: logger, Clock: new(stopped)}, "GET", "/live")
	require.Contains(t, log.String(), "level=DEBUG msg=request method=GET path=/live duration=0s")
}

func TestAPortInUseIsOneClearLine(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	addr := taken.Addr().String()
	_, err = http.Listen(t.Context(), addr)
	require.EqualError(t, err, "cannot listen on "+addr+": the address is in use")

	_, err = http.Listen(t.Context(), "127.0.0.1:no-port")
	require.ErrorContains(t, err, "cannot listen on 127.0.0.1:no-port: ")
	require.NotContains(t, err.Error(), "\n")
}

func TestServesUntilTheContextIsDone(t *testing.T) {
	server := http.New(http.Config{Name: "app"})
	listener, err := http.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()

	client := &nethttp.Client{Transport: &nethttp.Transport{}}
	r, err := nethttp.NewRequestWithContext(t.Context(), "GET", "http://"+listener.Addr().String()+"/live", nil)
	require.NoError(t, err)
	answer, err := client.Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.JSONEq(t, `{"live":true}`, string(body))

	cancel()
	require.NoError(t, <-ended)
	client.CloseIdleConnections()
}

func TestARequestUnderWayIsAnsweredAtShutdown(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	server := http.New(http.Config{Metrics: nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "late")
	})})
	listener, err := http.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	got := make(chan string, 1)
	client := &nethttp.Client{Transport: &nethttp.Transport{}}
	go func() {
		answer, err := client.Get("http://" + listener.Addr().String() + "/metrics") //nolint:noctx // ends with the server
		if err != nil {
			got <- err.Error()
			return
		}
		defer func() { _ = answer.Body.Close() }()
		body, _ := io.ReadAll(answer.Body)
		got <- string(body)
	}()
	<-entered
	cancel()
	close(release)
	require.Equal(t, "late", <-got)
	require.NoError(t, <-ended)
	client.CloseIdleConnections()
}

func problem(t *testing.T, answer *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	require.Equal(t, "application/problem+json", answer.Header().Get("Content-Type"))
	var body map[string]any
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &body), strings.TrimSpace(answer.Body.String()))
	require.EqualValues(t, answer.Code, body["status"])
	return body
}
