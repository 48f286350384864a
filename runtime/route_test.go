package runtime_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

// The engine leaves a function that requests come to alone, and says that it is ready.
func TestAFunctionWithARouteIsNotRun(t *testing.T) {
	orders := &topic.Spec{Name: "orders", KeyFormat: "string", ValueFormat: "json"}
	f := &runtime.Function{
		Name: "accept", Kind: "router", Outputs: []*topic.Spec{orders}, Route: &runtime.Route{Method: "POST", Pattern: "/orders"},
	}
	require.NoError(t, f.Check())
	require.Nil(t, f.DeadLetter)
	engine := runtime.New(runtime.Config{Functions: []*runtime.Function{f}, Log: memory.NewLog(), Store: memory.NewStore()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	require.Eventually(t, func() bool { return engine.Status()[0].Ready() }, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func TestARouteMatchesWhatAnotherDoes(t *testing.T) {
	for pattern, want := range map[string]string{"/a/{b}/c": "PUT /a/{}/c", "/{a}/{b...}": "PUT /{}/{...}"} {
		require.Equal(t, want, (&runtime.Route{Method: "PUT", Pattern: pattern}).Shape())
	}
}

func TestOutputsAreKeptAsTheyAre(t *testing.T) {
	for _, output := range []runtime.Output{
		{},
		{Key: []byte{}, Value: nil, Timestamp: -1},
		{Key: []byte("k"), Value: []byte{0}, Timestamp: 1 << 40, Headers: topic.Headers{{Key: "a"}, {Key: "a", Value: []byte("b")}}},
	} {
		kept, err := runtime.DecodeOutput(runtime.AppendOutput(nil, &output))
		require.NoError(t, err)
		require.Equal(t, output, kept)
	}
	_, err := runtime.DecodeOutput([]byte{1})
	require.Error(t, err)
}
