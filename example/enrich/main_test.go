package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

func TestAppIsValid(t *testing.T) {
	require.NoError(t, flows.New(shipping()).Validate())
}

func TestShip(t *testing.T) {
	f, err := shipping().Compile()
	require.NoError(t, err)
	log, store := memory.NewLog(), memory.NewStore()
	for _, name := range []string{"orders", "customers", "shipments", "strangers"} {
		require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: name}}))
	}
	require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{f.State.Table}))
	put := func(record topic.Record) {
		_, err := log.Append(record.Spec().Name, 0, runtime.Output{Key: record.Key(), Value: record.Value()})
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	e := runtime.New(runtime.Config{Functions: append([]*runtime.Function{f}, f.Parts...), Log: log, Store: store})
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-done)
	}()

	put(orders.Record("o-1", Order{Customer: "c-1", Item: "tea"}))
	require.Equal(t, `o-1 {"customer":"c-1","item":"tea"}`, next(t, log, strangers, 1), "nobody is known yet")
	put(customers.Record("c-1", Customer{Name: "Ann", City: "Rome"}))
	require.Eventually(t, func() bool { return len(store.Rows("ship")) == 1 }, patience, time.Millisecond)
	put(orders.Record("o-2", Order{Customer: "c-1", Item: "cup"}))
	require.Equal(t, `o-2 {"item":"cup","to":{"name":"Ann","city":"Rome"}}`, next(t, log, shipments, 1))
}

// patience is how long the test waits for something that comes.
const patience = 30 * time.Second

// next waits for the nth record of a topic and returns it as text.
func next(t *testing.T, log *memory.Log, of topic.Declared, n int) string {
	t.Helper()
	name := of.Spec().Name
	require.Eventually(t, func() bool { return len(log.Records(name, 0)) >= n }, patience, time.Millisecond)
	record := log.Records(name, 0)[n-1]
	key, value, err := of.Show(record.Key, record.Value)
	require.NoError(t, err)
	return fmt.Sprint(key, " ", value)
}
