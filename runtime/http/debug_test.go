package http_test

import (
	"context"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime/http"
)

func TestProfilesListenOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{
		":6060", "0.0.0.0:6060", "[::]:6060", "192.0.2.1:6060", "example.com:6060", "6060", "", "127.0.0.1", "localhost.example.com:0",
	} {
		_, err := http.ListenLoopback(t.Context(), addr)
		require.ErrorIs(t, err, http.ErrNotLoopback, addr)
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "127.1.2.3:0"} {
		listener, err := http.ListenLoopback(t.Context(), addr)
		require.NoError(t, err, addr)
		require.True(t, listener.Addr().(*net.TCPAddr).IP.IsLoopback())
		require.NoError(t, listener.Close())
	}
}

func TestProfiles(t *testing.T) {
	listener, err := http.ListenLoopback(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- http.Profiles{}.Run(ctx, listener) }()
	client := &nethttp.Client{Transport: &nethttp.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/debug/pprof/":                      {200, "goroutine?debug=1"},
		"/debug/pprof/goroutine?debug=1":     {200, "TestProfiles"},
		"/debug/pprof/heap":                  {200, ""},
		"/debug/pprof/profile?seconds=1":     {200, ""},
		"/debug/pprof/trace?seconds=1":       {200, "go 1."},
		"/debug/pprof/profile?seconds=61":    {400, "from 1 to 60"},
		"/debug/pprof/profile?seconds=short": {400, "from 1 to 60"},
		"/debug/pprof/nothing":               {404, "no such profile"},
		"/debug/pprof/cmdline":               {404, "no such profile"},
		"/":                                  {404, ""},
	} {
		response, err := client.Get("http://" + listener.Addr().String() + path)
		require.NoError(t, err, path)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err, path)
		require.NoError(t, response.Body.Close())
		require.Equal(t, want.status, response.StatusCode, path)
		require.Contains(t, string(body), want.text, path)
		require.NotEmpty(t, body, path)
	}
	cancel()
	require.NoError(t, <-done)
}

// A name that somebody else's server has made to lead to loopback does not lead here.
func TestProfilesAreNotForOtherNames(t *testing.T) {
	for host, status := range map[string]int{
		"127.0.0.1:6060": 200, "localhost:6060": 200, "localhost": 200, "[::1]:6060": 200, "rebound.example:6060": 403, "192.0.2.1": 403,
	} {
		request := httptest.NewRequestWithContext(t.Context(), nethttp.MethodGet, "/debug/pprof/", nil)
		request.Host = host
		recorder := httptest.NewRecorder()
		http.Profiles{}.Handler().ServeHTTP(recorder, request)
		require.Equal(t, status, recorder.Code, host)
	}
}
