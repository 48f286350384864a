package storetest

import (
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

func requireSame(t require.TestingT, want, got runtime.Checkpoint) {
	require.Empty(t, gocmp.Diff(want, got, sameRow))
}

func claimFresh(t *testing.T, connect Connect) {
	store, key := newStore(t, connect), partition("count", "words", 3)
	at, err := store.Claim(t.Context(), key)
	require.NoError(t, err)
	require.False(t, at.Now.IsZero())
	requireSame(t, runtime.Checkpoint{
		CheckpointKey: key, Fresh: true, Epoch: 1, Next: -1, Identity: runtime.Identity{ProducerID: -1}, Updated: at.Updated,
	}, at)

	again, err := store.Claim(t.Context(), key)
	require.NoError(t, err)
	require.True(t, again.Fresh, "a row that was never committed has nothing to go on from, whoever made it")
	require.Equal(t, int64(2), again.Epoch)
	require.Equal(t, int64(-1), again.Next)
}

func claimAgain(t *testing.T, connect Connect) {
	store, key := newStore(t, connect), partition("count", "words", 0)
	first := claim(t, store, key)
	batch := first.batch()
	batch.Next = 120
	batch.Put[2] = []byte("pending")
	first.commit(t, batch)
	committed := checkpoint(t, store, key)

	second, err := connect(t).Claim(t.Context(), key)
	require.NoError(t, err)
	requireSame(t, runtime.Checkpoint{
		CheckpointKey: key,
		Epoch:         2,
		Next:          120,
		TopicID:       batch.TopicID,
		Identity:      batch.Identity,
		Sequences:     batch.Sequences,
		Pending:       [runtime.Slots][]byte{2: []byte("pending")},
		Updated:       committed.Updated,
	}, second)
	require.False(t, second.Now.Before(second.Updated), "one clock")

	require.ErrorIs(t, store.Commit(t.Context(), first.batch()), runtime.ErrFenced)
	third, err := store.Claim(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, int64(3), third.Epoch)
	require.Equal(t, second.Updated.UnixMicro(), third.Updated.UnixMicro(), "a claim is not a commit")
}

func claimApart(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	keys := []runtime.CheckpointKey{
		partition("count", "words", 0), partition("count", "words", 1), partition("count", "Words", 0),
		partition("split", "words", 0), partition(`o'clock "é"`, "words-1.x_y", 2147483647),
	}
	for _, key := range keys {
		o := claim(t, store, key)
		require.Equal(t, int64(1), o.at.Epoch, key)
		o.commit(t, o.batch())
	}
	o := claim(t, store, keys[0])
	o.commit(t, o.batch())
	for _, key := range keys[1:] {
		require.Equal(t, int64(1), checkpoint(t, store, key).Next, key)
	}
}

func claimConcurrently(t *testing.T, connect Connect) {
	newStore(t, connect)
	const claimers, each = 4, 5
	epochs := make([][]int64, claimers)
	var group sync.WaitGroup
	for i := range claimers {
		store := connect(t)
		group.Go(func() {
			for range each {
				at, err := store.Claim(t.Context(), partition("count", "words", 0))
				if err != nil {
					t.Errorf("claim: %v", err)
					return
				}
				epochs[i] = append(epochs[i], at.Epoch)
			}
		})
	}
	group.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(epochs...)))
	require.Len(t, all, claimers*each)
	for i, epoch := range all {
		require.Equal(t, int64(i+1), epoch, "each epoch has one owner")
	}
}

func listCheckpoints(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	none, err := store.Checkpoints(t.Context(), "count")
	require.NoError(t, err)
	require.Empty(t, none)

	for _, key := range []runtime.CheckpointKey{
		partition("count", "words", 10), partition("count", "lines", 1), partition("count", "words", 9), partition("other", "a", 0),
	} {
		o := claim(t, store, key)
		o.commit(t, o.batch())
	}
	for range 2 {
		rows, err := store.Checkpoints(t.Context(), "count")
		require.NoError(t, err)
		var keys []runtime.CheckpointKey
		for _, row := range rows {
			keys = append(keys, row.CheckpointKey)
			require.Equal(t, int64(1), row.Epoch, "listing claims nothing")
			require.False(t, row.Fresh)
			require.False(t, row.Now.Before(row.Updated))
		}
		require.Equal(t, []runtime.CheckpointKey{
			partition("count", "lines", 1), partition("count", "words", 9), partition("count", "words", 10),
		}, keys)
	}
}
