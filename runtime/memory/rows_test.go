package memory_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
)

type visitKey struct {
	Page string `bun:",pk"`
	Day  int    `bun:"day,pk"`
}

type visit struct {
	visitKey
	Count int
}

var visits = &runtime.RowTable{Model: reflect.TypeFor[visit]()}

func visitOf(page string, day, count int) *visit {
	return &visit{visitKey: visitKey{Page: page, Day: day}, Count: count}
}

func TestRows(t *testing.T) {
	store := memory.NewStore()
	key := runtime.CheckpointKey{Function: "visits", TopicPartition: runtime.TopicPartition{Topic: "pages"}}
	at, err := store.Claim(t.Context(), key)
	require.NoError(t, err)
	next := at.Next
	commit := func(changes ...runtime.Change) error {
		err := store.Commit(t.Context(), &runtime.Commit{CheckpointKey: key, Epoch: at.Epoch, From: next, Next: next + 1, Changes: changes})
		if err == nil {
			next++
		}
		return err
	}
	change := func(kind runtime.ChangeKind, row *visit) runtime.Change {
		return runtime.Change{Table: visits, Kind: kind, Row: row}
	}

	require.EqualError(t, commit(change(runtime.Upsert, visitOf("a", 1, 1))), "the table of memory_test.visit does not exist")
	require.NoError(t, store.CreateTables(t.Context(), []*runtime.RowTable{visits}))
	require.NoError(t, commit(change(runtime.Upsert, visitOf("a", 1, 1)), change(runtime.Insert, visitOf("a", 2, 1))))
	require.NoError(t, store.CreateTables(t.Context(), []*runtime.RowTable{visits}), "again")
	require.Equal(t, []visit{*visitOf("a", 1, 1), *visitOf("a", 2, 1)}, memory.RowsOf[visit](store))

	// All of a batch or nothing of it.
	require.ErrorIs(t, commit(change(runtime.Delete, visitOf("a", 1, 0)), change(runtime.Insert, visitOf("a", 2, 5))), runtime.ErrRefused)
	require.Len(t, memory.RowsOf[visit](store), 2)
	// In order.
	require.NoError(t, commit(
		change(runtime.Delete, visitOf("a", 2, 0)), change(runtime.Insert, visitOf("a", 2, 5)), change(runtime.Delete, visitOf("none", 0, 0)),
		change(runtime.Insert, visitOf("b", 1, 1)), change(runtime.Delete, visitOf("b", 1, 1)),
	))
	require.Equal(t, []visit{*visitOf("a", 1, 1), *visitOf("a", 2, 5)}, memory.RowsOf[visit](store))

	store.Hook(memory.StoreHooks{Refuse: func(runtime.Change) error { return errors.New("too long") }})
	err = commit(change(runtime.Delete, visitOf("a", 1, 0)))
	require.ErrorIs(t, err, runtime.ErrRefused)
	require.ErrorContains(t, err, "too long")
	require.Nil(t, memory.RowsOf[int](store))
}

func TestModelsThatAreNone(t *testing.T) {
	for model, message := range map[reflect.Type]string{
		reflect.TypeFor[int]():              "int is no model of a row: it is no struct",
		reflect.TypeFor[struct{ ID int }](): "struct { ID int } is no model of a row: it has no primary key",
	} {
		err := memory.NewStore().CreateTables(t.Context(), []*runtime.RowTable{{Model: model}})
		require.EqualError(t, err, message)
	}
}
