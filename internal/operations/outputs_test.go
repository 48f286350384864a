package operations_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/operations"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
)

// mute is a log that takes no outputs.
type mute struct{ runtime.Log }

var errMute = errors.New("mute")

func (mute) Send(context.Context, runtime.Identity, []runtime.RecordBatch) ([]runtime.Ack, error) {
	return nil, errMute
}

// newUnsent is a rig whose function has committed outputs, and ended before they were sent.
func newUnsent(t *testing.T) *rig {
	r := newRig(t)
	committed := make(chan struct{}, 100)
	r.store.Hook(memory.StoreHooks{AfterCommit: func(batch *runtime.Commit) error {
		if batch.Next > batch.From {
			committed <- struct{}{}
		}
		return nil
	}})
	r.put(0, "10", "5")
	engine := runtime.New(runtime.Config{Functions: []*runtime.Function{r.f}, Log: mute{r.log}, Store: r.store})
	require.ErrorIs(t, engine.Run(t.Context()), errMute)
	<-committed
	r.store.Hook(memory.StoreHooks{})
	require.Empty(t, r.outputs())
	require.Equal(t, []byte("15"), r.store.Rows("sums")["key0"])
	return r
}

func TestResetSendsWhatWasNotSent(t *testing.T) {
	for name, target := range map[string]operations.Target{
		"beginning": {KeepState: true},
		"offset":    {KeepState: true, Offsets: map[runtime.TopicPartition]int64{{Topic: "sum-in"}: 0}},
		"time":      {KeepState: true, Time: origin},
	} {
		t.Run(name, func(t *testing.T) {
			r := newUnsent(t)
			plan := r.reset(target)
			require.True(t, plan.KeepOutputs)
			require.Equal(t, 1, plan.Unsent)
			r.run()
			require.Eventually(t, func() bool { return len(r.outputs()) == 4 }, time.Minute, time.Millisecond)
			require.Equal(t, []string{"key0=10", "key0=15", "key0=25", "key0=30"}, r.outputs())
			r.run()
			require.Len(t, r.outputs(), 4)
		})
	}
}

func TestResetForgetsOutputs(t *testing.T) {
	for name, target := range map[string]operations.Target{
		"with the states": {}, "when told": {KeepState: true, ForgetOutputs: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newUnsent(t)
			plan := r.reset(target)
			require.False(t, plan.KeepOutputs)
			require.Equal(t, 1, plan.Unsent)
			r.run()
			require.Len(t, r.outputs(), 2)
		})
	}
}
