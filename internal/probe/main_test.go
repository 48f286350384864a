package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAsk(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" {
			t.Error(r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	require.NoError(t, ask(t.Context(), address))
	status = http.StatusServiceUnavailable
	require.EqualError(t, ask(t.Context(), address), "503 Service Unavailable")
	server.Close()
	require.Error(t, ask(t.Context(), address))
}

func TestReadyURL(t *testing.T) {
	for address, want := range map[string]string{
		"":               "http://localhost:8080/ready",
		":9":             "http://localhost:9/ready",
		"0.0.0.0:9":      "http://localhost:9/ready",
		"[::]:9":         "http://localhost:9/ready",
		"127.0.0.1:8080": "http://127.0.0.1:8080/ready",
	} {
		url, err := readyURL(address)
		require.NoError(t, err)
		require.Equal(t, want, url)
	}
	_, err := readyURL("off")
	require.ErrorContains(t, err, "HTTP_ADDR")
}
