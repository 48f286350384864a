package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

// keyStore is a migrated store that remembers keys.
func keyStore(t *testing.T, connect Connect) runtime.KeyStore {
	store, ok := newStore(t, connect).(runtime.KeyStore)
	if !ok {
		t.Skip("the store is no runtime.KeyStore")
	}
	return store
}

func keyedRequest(key string) runtime.KeyedRequest {
	return runtime.KeyedRequest{
		RequestKey:     runtime.RequestKey{Function: "accept", Key: key},
		Fingerprint:    []byte{0, 1, 255},
		Identity:       runtime.Identity{ProducerID: 1 << 40, Epoch: 32767},
		TopicPartition: runtime.TopicPartition{Topic: "orders", Partition: 3},
		Sequence:       2147483647,
		From:           1 << 50,
		Record:         []byte{1, 0, 254},
		Offset:         runtime.Pending,
	}
}

func remember(t *testing.T, store runtime.KeyStore, request runtime.KeyedRequest) {
	t.Helper()
	there, first, err := store.Remember(t.Context(), request, time.Hour)
	require.NoError(t, err)
	require.True(t, first)
	requireRequest(t, request, there)
}

func requireRequest(t *testing.T, want, got runtime.KeyedRequest) {
	t.Helper()
	require.Empty(t, gocmp.Diff(want, got, cmpopts.EquateEmpty()))
}

func recalled(t *testing.T, store runtime.KeyStore, key runtime.RequestKey) runtime.KeyedRequest {
	t.Helper()
	request, found, err := store.Recall(t.Context(), key)
	require.NoError(t, err)
	require.True(t, found)
	return request
}

func keysRemember(t *testing.T, connect Connect) {
	store, request := keyStore(t, connect), keyedRequest("a")
	_, found, err := store.Recall(t.Context(), request.RequestKey)
	require.NoError(t, err)
	require.False(t, found)
	remember(t, store, request)
	requireRequest(t, request, recalled(t, store, request.RequestKey))

	other := keyedRequest("a")
	other.Fingerprint, other.Record, other.Sequence = []byte{9}, []byte{9}, 9
	there, first, err := connect(t).(runtime.KeyStore).Remember(t.Context(), other, time.Hour)
	require.NoError(t, err)
	require.False(t, first)
	requireRequest(t, request, there)

	for _, key := range []runtime.RequestKey{
		{Function: "accept", Key: "A"},
		{Function: "Accept", Key: "a"},
		{Function: "accept", Key: `o'clock "é" %_\`},
	} {
		_, found, err := store.Recall(t.Context(), key)
		require.NoError(t, err)
		require.False(t, found, key)
		another := request
		another.RequestKey = key
		remember(t, store, another)
	}
}

func keysFinish(t *testing.T, connect Connect) {
	store, request := keyStore(t, connect), keyedRequest("a")
	remember(t, store, request)
	for range 2 {
		require.NoError(t, store.Finish(t.Context(), request.RequestKey, 1041))
	}
	request.Record, request.Offset = nil, 1041
	requireRequest(t, request, recalled(t, store, request.RequestKey))
	require.NoError(t, store.Finish(t.Context(), runtime.RequestKey{Function: "accept", Key: "gone"}, 1))
	_, found, err := store.Recall(t.Context(), runtime.RequestKey{Function: "accept", Key: "gone"})
	require.NoError(t, err)
	require.False(t, found)
}

func keysRenew(t *testing.T, connect Connect) {
	store, request := keyStore(t, connect), keyedRequest("a")
	remember(t, store, request)
	next := request
	next.Identity, next.Sequence, next.From = runtime.Identity{ProducerID: 7, Epoch: 1}, 5, 12
	next.TopicPartition = runtime.TopicPartition{Topic: "orders", Partition: 1}

	renewed, err := store.Renew(t.Context(), next, runtime.Identity{ProducerID: request.Identity.ProducerID})
	require.NoError(t, err)
	require.False(t, renewed, "it was under another epoch")
	requireRequest(t, request, recalled(t, store, request.RequestKey))

	renewed, err = store.Renew(t.Context(), next, request.Identity)
	require.NoError(t, err)
	require.True(t, renewed)
	requireRequest(t, next, recalled(t, store, request.RequestKey))

	require.NoError(t, store.Finish(t.Context(), request.RequestKey, runtime.Somewhere))
	renewed, err = store.Renew(t.Context(), request, next.Identity)
	require.NoError(t, err)
	require.False(t, renewed, "it is finished")
	require.Equal(t, int64(runtime.Somewhere), recalled(t, store, request.RequestKey).Offset)
}

func keysExpire(t *testing.T, connect Connect) {
	store := keyStore(t, connect)
	for i := range 5 {
		_, first, err := store.Remember(t.Context(), keyedRequest(fmt.Sprint("old", i)), 0)
		require.NoError(t, err)
		require.True(t, first)
	}
	kept := keyedRequest("kept")
	remember(t, store, kept)
	_, found, err := store.Recall(t.Context(), keyedRequest("old0").RequestKey)
	require.NoError(t, err)
	require.False(t, found)
	remember(t, store, keyedRequest("old0"))

	for _, want := range []int{3, 1, 0} {
		forgotten, err := store.Forget(t.Context(), 3)
		require.NoError(t, err)
		require.Equal(t, want, forgotten)
	}
	requireRequest(t, kept, recalled(t, store, kept.RequestKey))
	recalled(t, store, keyedRequest("old0").RequestKey)
}

func keysConcurrently(t *testing.T, connect Connect) {
	keyStore(t, connect)
	const keys, clients = 20, 4
	var firsts atomic.Int32
	var group sync.WaitGroup
	for i := range clients {
		store := connect(t).(runtime.KeyStore)
		group.Go(func() {
			for k := range keys {
				request := keyedRequest(fmt.Sprint(k))
				request.Sequence = int32(i)
				there, first, err := store.Remember(t.Context(), request, time.Hour)
				if err != nil {
					t.Errorf("remember: %v", err)
					return
				}
				if first {
					firsts.Add(1)
				}
				if again, found, err := store.Recall(t.Context(), request.RequestKey); err != nil || !found || again.Sequence != there.Sequence {
					t.Errorf("recalled %v, remembered %v: %v", again, there, err)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, keys, firsts.Load(), "each key has one first request")
}
