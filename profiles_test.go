package flows_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime/http"
	"github.com/kappaflows/flows/runtime/memory"
)

func TestProfilesAreForThisMachineOnly(t *testing.T) {
	t.Setenv("DEBUG_ADDR", "0.0.0.0:6060")
	status, _, stderr := wordcount(newLog(t)).run(t, "run")
	require.Equal(t, 2, status)
	require.Contains(t, stderr, "DEBUG_ADDR: cannot listen on 0.0.0.0:6060: profiles are served to this machine only")

	settings := cluster()
	settings.DebugAddr = ":0"
	_, err := flows.New(splitConfig).On(newLog(t), memory.NewStore()).Open(t.Context(), settings)
	require.ErrorIs(t, err, http.ErrNotLoopback)
}

func TestProfilesAreServedWhileTheAppRuns(t *testing.T) {
	settings := cluster()
	settings.DebugAddr = "127.0.0.1:0"
	instance, err := flows.New(splitConfig, countConfig).On(newLog(t), memory.NewStore()).Open(t.Context(), settings)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- instance.Run(ctx) }()
	status, text := get(t, "http://"+instance.ProfilesAddr()+"/debug/pprof/goroutine?debug=1")
	require.Equal(t, 200, status)
	require.Contains(t, text, "Instance")
	status, _ = get(t, instance.URL()+"/debug/pprof/")
	require.Equal(t, 404, status, "not where everybody gets")
	stop()
	require.NoError(t, <-done)
	require.NoError(t, instance.Close())
}
