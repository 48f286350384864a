package memory_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/runtime/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Connect {
		store := memory.NewStore()
		return func(testing.TB) runtime.Store { return store }
	})
}

func TestRowStore(t *testing.T) {
	storetest.RunRows(t, func(*testing.T) storetest.Connect {
		store := memory.NewStore()
		return func(testing.TB) runtime.Store { return store }
	}, storetest.Rows{Select: func(_ context.Context, store runtime.Store, rows any) error {
		return store.(*memory.Store).Select(rows)
	}})
}

func TestStoreFaults(t *testing.T) {
	store := memory.NewStore()
	key := runtime.CheckpointKey{Function: "count", TopicPartition: runtime.TopicPartition{Topic: "words"}}
	at, err := store.Claim(t.Context(), key)
	require.NoError(t, err)
	lost := errors.New("lost")
	fail := func(*runtime.Commit) error { return lost }

	store.Hook(memory.StoreHooks{BeforeCommit: fail})
	batch := &runtime.Commit{CheckpointKey: key, Epoch: at.Epoch, From: at.Next, Next: 5}
	require.ErrorIs(t, store.Commit(t.Context(), batch), lost)
	require.Equal(t, int64(-1), next(t, store), "it did not happen")

	store.Hook(memory.StoreHooks{AfterCommit: fail})
	require.ErrorIs(t, store.Commit(t.Context(), batch), lost)
	store.Hook(memory.StoreHooks{})
	require.Equal(t, int64(5), next(t, store), "it did happen")

	store.SetDown(true)
	require.ErrorIs(t, store.Ping(t.Context()), runtime.ErrUnavailable)
	store.SetDown(false)
	require.NoError(t, store.Ping(t.Context()))
	require.NoError(t, store.Close())
	require.ErrorIs(t, store.Ping(context.Background()), runtime.ErrUnavailable)
}

func next(t *testing.T, store runtime.Store) int64 {
	rows, err := store.Checkpoints(t.Context(), "count")
	require.NoError(t, err)
	require.Len(t, rows, 1)
	return rows[0].Next
}
