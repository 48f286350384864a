package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
)

func TestVotes(t *testing.T) {
	instance, err := flows.New(voting()).Open(t.Context(), flows.Settings{HTTPAddr: "127.0.0.1:0"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- instance.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-ended)
		require.NoError(t, instance.Close())
	}()

	require.Equal(t, http.StatusAccepted, put(t, instance.URL()+"/polls/lunch/votes/ann", `{"choice":"soup"}`))
	require.Equal(t, http.StatusUnprocessableEntity, put(t, instance.URL()+"/polls/lunch/votes/ann", `{"choice":"cake"}`))
	require.Equal(t, http.StatusBadRequest, put(t, instance.URL()+"/polls/lunch/votes/ann", `{"choice":`))
	require.Equal(t, http.StatusNotFound, put(t, instance.URL()+"/polls", `{}`))
}

func put(t *testing.T, url, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}
