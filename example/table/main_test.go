package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

func TestAppIsValid(t *testing.T) {
	require.NoError(t, flows.New(keeping()).Validate())
}

func TestKeep(t *testing.T) {
	f, err := keeping().Compile()
	require.NoError(t, err)
	log, store := memory.NewLog(), memory.NewStore()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: "prices"}}))
	require.NoError(t, store.CreateTables(t.Context(), f.Tables))
	for at, record := range []topic.Record{
		prices.Record("tea", 300), prices.Record("cup", 900), prices.Record("tea", 320), prices.Tombstone("cup"), prices.Record("pot", -1),
	} {
		_, err := log.Append("prices", 0, runtime.Output{Key: record.Key(), Value: record.Value(), Timestamp: int64(at)})
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- runtime.New(runtime.Config{Functions: []*runtime.Function{f}, Log: log, Store: store}).Run(ctx)
	}()
	require.Eventually(t, func() bool { return len(records(log, "keep.dead-letter")) == 1 }, 30*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)

	require.Equal(t, []Product{{Name: "tea", Cents: 320}}, memory.RowsOf[Product](store))
	require.Equal(t, []Price{
		{Name: "cup", Since: time.UnixMilli(1), Cents: 900},
		{Name: "tea", Since: time.UnixMilli(0), Cents: 300},
		{Name: "tea", Since: time.UnixMilli(2), Cents: 320},
	}, memory.RowsOf[Price](store))
	require.Equal(t, "pot", string(records(log, "keep.dead-letter")[0].Key))
}

// records are those of a topic of one partition; none as long as it does not exist.
func records(log *memory.Log, name string) []topic.Raw {
	if _, err := log.Describe(context.Background(), name); err != nil {
		return nil
	}
	return log.Records(name, 0)
}
