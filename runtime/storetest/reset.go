package storetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

// worked is a partition's owner after a batch with a state and an output that is pending.
func worked(t *testing.T, store runtime.Store, number int32) *owner {
	o := claim(t, store, partition("count", "words", number))
	batch := o.writing(textTable, write{fmt.Sprint("key", number), "state", 1, true})
	batch.Put[1] = []byte("pending")
	o.commit(t, batch)
	return o
}

func resetAll(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	first, second := worked(t, store, 0), worked(t, store, 1)
	never := partition("count", "words", 2)
	other := claim(t, store, partition("other", "words", 0))
	other.commit(t, other.batch())

	require.NoError(t, store.(runtime.Resetter).Reset(t.Context(), runtime.Reset{
		Function: "count", Table: textTable.Name, Positions: map[runtime.TopicPartition]int64{
			first.at.TopicPartition: runtime.Never, never.TopicPartition: runtime.Never,
		},
	}))
	require.Empty(t, load(t, store, textTable, "key0", "key1"))
	require.ErrorIs(t, store.Commit(t.Context(), first.batch()), runtime.ErrFenced)
	second.commit(t, second.batch())
	other.commit(t, other.batch())

	for _, key := range []runtime.CheckpointKey{first.at.CheckpointKey, never} {
		at := checkpoint(t, store, key)
		require.Equal(t, int64(runtime.Never), at.Next)
		require.Empty(t, at.Sequences)
		require.Equal(t, runtime.Checkpoint{
			CheckpointKey: key, Fresh: true, Epoch: at.Epoch, Next: runtime.Never, Sequences: at.Sequences,
			Identity: runtime.Identity{ProducerID: -1}, Updated: at.Updated, Now: at.Now,
		}, at)
	}
	again := claim(t, store, first.at.CheckpointKey)
	require.Equal(t, first.at.Epoch+2, again.at.Epoch)
	again.commit(t, again.writing(textTable, write{"key0", "anew", 7, true}))
}

func resetKeeps(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := worked(t, store, 0)
	before := checkpoint(t, store, o.at.CheckpointKey)
	require.NoError(t, store.(runtime.Resetter).Reset(t.Context(), runtime.Reset{
		Function: "count", KeepOutputs: true, Positions: map[runtime.TopicPartition]int64{o.at.TopicPartition: 77},
	}))
	after := checkpoint(t, store, o.at.CheckpointKey)
	require.Len(t, load(t, store, textTable, "key0"), 1)
	require.Equal(t, before.Pending, after.Pending)
	require.Equal(t, before.Updated, after.Updated, "it tells how old the outputs are")
	require.Empty(t, after.Sequences)
	require.Equal(t, runtime.Identity{ProducerID: -1}, after.Identity)
	require.Equal(t, before.Epoch+1, after.Epoch)
	require.Equal(t, int64(77), after.Next)
	require.Equal(t, runtime.TopicID{}, after.TopicID)
	require.False(t, after.Fresh)
	require.ErrorIs(t, store.Commit(t.Context(), o.batch()), runtime.ErrFenced)
}

func resetNoTable(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := worked(t, store, 0)
	err := store.(runtime.Resetter).Reset(t.Context(), runtime.Reset{
		Function: "count", Table: "no_such", Positions: map[runtime.TopicPartition]int64{o.at.TopicPartition: 5},
	})
	require.ErrorContains(t, err, `table "no_such" does not exist`)
	o.commit(t, o.batch())
}

func listStates(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	lister := store.(runtime.StateLister)
	o := claim(t, store, partition("count", "words", 0))
	keys := []string{"", "A", "a", "a%", "aB", "ab", "b", "é", "éa", "ê"}
	for _, table := range []runtime.StateTable{textTable, binaryTable} {
		var rows []write
		for i, key := range keys {
			rows = append(rows, write{key, fmt.Sprint("state", i), int64(i + 1), true})
		}
		if table == binaryTable {
			rows = append(rows, write{"\xff\x00", "binary", 99, true}, write{"\xff\xff", "binary", 99, true})
		}
		o.commit(t, o.writing(table, rows...))

		list := func(page runtime.Page) (found []string) {
			listed, err := lister.List(t.Context(), table.Name, page)
			require.NoError(t, err)
			for _, row := range listed {
				found = append(found, row.Key)
			}
			return found
		}
		require.Equal(t, keys, list(runtime.Page{Limit: len(keys)}))
		require.Equal(t, []string{"a", "a%", "aB", "ab"}, list(runtime.Page{Prefix: "a", Limit: 100}))
		require.Equal(t, []string{"a%"}, list(runtime.Page{Prefix: "a%", Limit: 100}))
		require.Equal(t, []string{"aB", "ab"}, list(runtime.Page{Prefix: "a", After: "a%", Limit: 100}))
		require.Equal(t, []string{"aB"}, list(runtime.Page{Prefix: "a", After: "a%", Limit: 1}))
		require.Equal(t, []string{"é", "éa"}, list(runtime.Page{Prefix: "é", Limit: 100}))
		require.Empty(t, list(runtime.Page{Prefix: "zz", Limit: 100}))
		if table == binaryTable {
			require.Equal(t, []string{"\xff\x00", "\xff\xff"}, list(runtime.Page{Prefix: "\xff", Limit: 100}))
			require.Equal(t, []string{"\xff\xff"}, list(runtime.Page{Prefix: "\xff\xff", Limit: 100}))
		}
		listed, err := lister.List(t.Context(), table.Name, runtime.Page{Prefix: "ab", Limit: 1})
		require.NoError(t, err)
		require.Equal(t, []runtime.StateRow{{Key: "ab", State: []byte("state5"), Version: 6}}, listed)
	}
	o.commit(t, o.writing(documentTable, write{"k", `{"n":1}`, 1, true}))
	listed, err := lister.List(t.Context(), documentTable.Name, runtime.Page{Limit: 10})
	require.NoError(t, err)
	require.JSONEq(t, `{"n":1}`, string(listed[0].State))
	_, err = lister.List(t.Context(), "no_such", runtime.Page{Limit: 1})
	require.ErrorContains(t, err, `table "no_such" does not exist`)
}
