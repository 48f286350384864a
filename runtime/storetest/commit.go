package storetest

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

func commitFenced(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	o.commit(t, o.writing(textTable, write{"a", "1", 1, true}))
	before := checkpoint(t, store, o.at.CheckpointKey)

	for name, spoil := range map[string]func(*runtime.Commit){
		"older epoch":     func(b *runtime.Commit) { b.Epoch-- },
		"newer epoch":     func(b *runtime.Commit) { b.Epoch++ },
		"earlier offset":  func(b *runtime.Commit) { b.From-- },
		"later offset":    func(b *runtime.Commit) { b.From++ },
		"no offset":       func(b *runtime.Commit) { b.From = -1 },
		"other function":  func(b *runtime.Commit) { b.Function = "split" },
		"other topic":     func(b *runtime.Commit) { b.Topic = "lines" },
		"other partition": func(b *runtime.Commit) { b.Partition++ },
	} {
		batch := o.writing(textTable, write{"a", "2", 2, false}, write{"b", "1", 1, true})
		batch.Put[0] = []byte("pending")
		spoil(batch)
		require.ErrorIs(t, store.Commit(t.Context(), batch), runtime.ErrFenced, name)
		requireUntouched(t, store, before, name)
	}

	taken := o.writing(textTable, write{"a", "2", 2, false}, write{"b", "1", 1, true})
	next := claim(t, connect(t), o.at.CheckpointKey)
	require.ErrorIs(t, store.Commit(t.Context(), taken), runtime.ErrFenced, "claimed by another")
	requireUntouched(t, store, next.at, "claimed by another")
	next.commit(t, next.writing(textTable, write{"a", "2", 2, false}))
}

// requireUntouched requires the checkpoint as it was, and in the text table one row a = 1.
func requireUntouched(t *testing.T, store runtime.Store, before runtime.Checkpoint, name string) {
	t.Helper()
	requireSame(t, before, checkpoint(t, store, before.CheckpointKey))
	rows := load(t, store, textTable, "a", "b")
	require.Len(t, rows, 1, name)
	require.Equal(t, "1", string(rows["a"].State), name)
	require.Equal(t, int64(1), rows["a"].Version, name)
}

func commitFirst(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	for i, from := range []int64{0, 12345678901} {
		at, err := store.Claim(t.Context(), partition("count", "words", int32(i)))
		require.NoError(t, err)
		o := &owner{store: store, at: at}
		batch := o.batch()
		batch.From, batch.Next = from, from+1
		require.ErrorIs(t, store.Commit(t.Context(), batch), runtime.ErrFenced, "a batch is behind a beginning")
		first := o.beginning(from)
		first.Epoch++
		require.ErrorIs(t, store.Commit(t.Context(), first), runtime.ErrFenced, "a fresh row has an epoch")
		first.Epoch--
		o.commit(t, first)
		require.Equal(t, from, checkpoint(t, store, o.at.CheckpointKey).Next)
		require.ErrorIs(t, store.Commit(t.Context(), o.beginning(from+1)), runtime.ErrFenced, "once only")
		o.commit(t, batch)
		require.Equal(t, from+1, checkpoint(t, store, o.at.CheckpointKey).Next)
	}
}

func commitPosition(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	batch := o.batch()
	batch.TopicID, batch.Identity, batch.Sequences = runtime.TopicID{}, runtime.Identity{ProducerID: -1}, nil
	o.commit(t, batch)
	first := checkpoint(t, store, o.at.CheckpointKey)
	require.Equal(t, batch.Identity, first.Identity)
	require.Equal(t, batch.TopicID, first.TopicID)
	require.Empty(t, first.Sequences)

	batch = o.batch()
	batch.Next = batch.From
	o.commit(t, batch)
	second := checkpoint(t, store, o.at.CheckpointKey)
	require.Equal(t, first.Next, second.Next)
	require.Equal(t, batch.Identity, second.Identity)
	require.Equal(t, batch.TopicID, second.TopicID)
	require.Equal(t, batch.Sequences, second.Sequences)
	require.False(t, second.Updated.Before(first.Updated))
}

func commitSlots(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	steps := []struct{ put, want [runtime.Slots]string }{
		{put: [runtime.Slots]string{0: "a"}, want: [runtime.Slots]string{0: "a"}},
		{put: [runtime.Slots]string{1: "b", 3: "d"}, want: [runtime.Slots]string{"a", "b", "", "d"}},
		{put: [runtime.Slots]string{}, want: [runtime.Slots]string{"a", "b", "", "d"}},
		{put: [runtime.Slots]string{0: "free", 2: "c"}, want: [runtime.Slots]string{"", "b", "c", "d"}},
		{put: [runtime.Slots]string{0: "\x00\xff", 1: "b2", 2: "free", 3: "free"}, want: [runtime.Slots]string{"\x00\xff", "b2", "", ""}},
		{put: [runtime.Slots]string{"free", "free", "free", "free"}, want: [runtime.Slots]string{}},
	}
	for i, step := range steps {
		batch := o.batch()
		for slot, put := range step.put {
			switch put {
			case "":
			case "free":
				batch.Put[slot] = []byte{}
			default:
				batch.Put[slot] = []byte(put)
			}
		}
		o.commit(t, batch)
		at := checkpoint(t, store, o.at.CheckpointKey)
		for slot, want := range step.want {
			require.Equal(t, want, string(at.Pending[slot]), "step %d, slot %d", i, slot)
			require.Equal(t, want == "", at.Pending[slot] == nil, "step %d, slot %d: nil is a free slot", i, slot)
		}
	}
}

func commitLargePending(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	var want [runtime.Slots][]byte
	for slot := range want {
		want[slot] = bytes.Repeat([]byte{byte(slot), 0, 255, 17}, 1<<18)
		batch := o.batch()
		batch.Put[slot] = bytes.Clone(want[slot])
		o.commit(t, batch)
		clear(batch.Put[slot]) // what a store keeps is its own
	}
	shown := checkpoint(t, store, o.at.CheckpointKey)
	for slot := range want {
		require.Equal(t, want[slot][:runtime.PendingShown], shown.Pending[slot], "slot %d", slot)
	}
	at := claim(t, connect(t), o.at.CheckpointKey).at
	for slot := range want {
		require.True(t, bytes.Equal(want[slot], at.Pending[slot]), "slot %d", slot)
	}
}

func commitFencedAndConflicting(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	zombie := claim(t, store, partition("count", "words", 0))
	zombie.commit(t, zombie.writing(textTable, write{"a", "1", 1, true}))
	next := claim(t, store, zombie.at.CheckpointKey)
	next.commit(t, next.writing(textTable, write{"a", "2", 2, false}, write{"b", "1", 1, true}))

	batch := zombie.writing(textTable, write{"a", "2", 2, false}, write{"b", "1", 1, true})
	require.ErrorIs(t, store.Commit(t.Context(), batch), runtime.ErrFenced)
	err := store.CommitLocked(t.Context(), textTable.Name, batch.Writes.Keys, func([]runtime.StateRow) (*runtime.Commit, error) {
		return batch, nil
	})
	require.ErrorIs(t, err, runtime.ErrFenced)
}

func contextDone(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, claimed := store.Claim(ctx, o.at.CheckpointKey)
	_, loaded := store.Load(ctx, textTable.Name, []string{"a"})
	_, listed := store.Checkpoints(ctx, "count")
	for name, err := range map[string]error{
		"Claim": claimed, "Load": loaded, "Checkpoints": listed,
		"Commit":  store.Commit(ctx, o.writing(textTable, write{"a", "1", 1, true})),
		"Migrate": store.Migrate(ctx, allTables),
		"Ping":    store.Ping(ctx),
		"CommitLocked": store.CommitLocked(ctx, textTable.Name, []string{"a"}, func([]runtime.StateRow) (*runtime.Commit, error) {
			return o.batch(), nil
		}),
	} {
		require.ErrorIs(t, err, context.Canceled, name)
	}
	require.NoError(t, store.Ping(t.Context()))
	o.commit(t, o.writing(textTable, write{"a", "1", 1, true}))
}
