package storetest

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
)

func migrateAgain(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	o.commit(t, o.writing(textTable, write{"a", "1", 1, true}))
	before := checkpoint(t, store, o.at.CheckpointKey)

	require.NoError(t, store.Migrate(t.Context(), allTables))
	require.NoError(t, connect(t).Migrate(t.Context(), nil))
	require.NoError(t, connect(t).Migrate(t.Context(), []runtime.StateTable{textTable, {Name: "later"}}))
	requireSame(t, before, checkpoint(t, store, o.at.CheckpointKey))
	require.Equal(t, "1", string(load(t, store, textTable, "a")["a"].State))
}

func migrateConcurrently(t *testing.T, connect Connect) {
	var group sync.WaitGroup
	for range 6 {
		store := connect(t)
		group.Go(func() {
			if err := store.Migrate(t.Context(), allTables); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	group.Wait()
	o := claim(t, connect(t), partition("count", "words", 0))
	o.commit(t, o.writing(textTable, write{"a", "1", 1, true}))
}

func migrateOtherColumns(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	for _, table := range []runtime.StateTable{
		{Name: textTable.Name, Key: format.Binary, State: textTable.State},
		{Name: textTable.Name, Key: textTable.Key, State: format.Document},
	} {
		err := store.Migrate(t.Context(), []runtime.StateTable{table})
		require.ErrorContains(t, err, textTable.Name)
		require.NotErrorIs(t, err, runtime.ErrUnavailable)
	}
}

func migrateNames(t *testing.T, connect Connect) {
	store := connect(t)
	for _, name := range []string{
		"", "1st", `x"; drop table y; --`, "a-b", "a b", "é", "a.b.c", ".a", "a.", strings.Repeat("a", 64), "flows_checkpoint", "Flows_x",
	} {
		err := store.Migrate(t.Context(), []runtime.StateTable{{Name: name}})
		require.Error(t, err, name)
		require.NotErrorIs(t, err, runtime.ErrUnavailable, name)
	}
	for _, name := range []string{"select", "Order", "_x1", strings.Repeat("a", 63)} {
		table := runtime.StateTable{Name: name, Key: format.Text}
		require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{table}), name)
		o := claim(t, store, partition(name, "words", 0))
		o.commit(t, o.writing(table, write{"a", name, 1, true}))
		require.Equal(t, name, string(load(t, store, table, "a")["a"].State))
	}
}
