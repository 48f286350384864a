package materialise_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

// world is an engine's surroundings.
type world struct {
	log   *memory.Log
	store *memory.Store
}

func newWorld(t *testing.T, f *runtime.Function) *world {
	w := &world{log: memory.NewLog(), store: memory.NewStore()}
	require.NoError(t, w.log.Create(t.Context(), []runtime.NewTopic{{Name: "orders", Partitions: 2}}))
	require.NoError(t, w.store.Migrate(t.Context(), nil))
	require.NoError(t, w.store.CreateTables(t.Context(), f.Tables))
	return w
}

func (w *world) put(t *testing.T, key, value string) {
	output := runtime.Output{Key: []byte(key)}
	if value != "" {
		output.Value = []byte(value)
	}
	_, err := w.log.Append("orders", topic.Murmur2(output.Key, 2), output)
	require.NoError(t, err)
}

// run runs the function until all messages are read, or it fails.
func (w *world) run(t *testing.T, f *runtime.Function) error {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	e := runtime.New(runtime.Config{Functions: []*runtime.Function{f}, Log: w.log, Store: w.store})
	go func() { done <- e.Run(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(time.Millisecond):
			if w.finished(t, f) {
				cancel()
				return <-done
			}
		}
	}
}

func (w *world) finished(t *testing.T, f *runtime.Function) bool {
	rows, err := w.store.Checkpoints(t.Context(), f.Name)
	require.NoError(t, err)
	read := 0
	for _, row := range rows {
		read += max(0, int(row.Next))
	}
	return read == len(w.records("orders"))
}

func (w *world) records(name string) (records []topic.Raw) {
	info, err := w.log.Describe(context.Background(), name)
	if err != nil {
		return nil
	}
	for p := range info.Partitions {
		records = append(records, w.log.Records(name, p)...)
	}
	return records
}

func TestRowsAreWhatTheMessagesMake(t *testing.T) {
	defer goleak.VerifyNone(t)
	f := compile(t, config())
	w := newWorld(t, f)
	w.put(t, "o-1", `{"customer":"ann","lines":[{"product":"tea"}]}`)
	w.put(t, "o-2", `{"customer":"bob"}`)
	w.put(t, "o-1", `{"customer":"eve","lines":[{"product":"cup"},{"product":"pot"}]}`)
	w.put(t, "o-2", "")
	w.put(t, "o-3", `no JSON`)
	require.NoError(t, w.run(t, f))
	require.Equal(t, []orderRow{{ID: "o-1", Customer: "eve"}}, memory.RowsOf[orderRow](w.store))
	require.Equal(t, []lineRow{{OrderID: "o-1", Number: 1, Product: "cup"}, {OrderID: "o-1", Number: 2, Product: "pot"}}, memory.RowsOf[lineRow](w.store))
	letters := w.records("orders-table.dead-letter")
	require.Len(t, letters, 1)
	require.Equal(t, "o-3", string(letters[0].Key))
}

// A row that the database refuses is its message's error alone, however many are in the batch.
func TestRefusedRowsAreFound(t *testing.T) {
	defer goleak.VerifyNone(t)
	const messages = 10_000
	bad := map[string]bool{"o-17": true, "o-18": true, "o-9713": true}
	f := compile(t, config())
	w := newWorld(t, f)
	for i := range messages {
		w.put(t, fmt.Sprint("o-", i), `{"customer":"`+strconv.Itoa(i)+`"}`)
	}
	w.store.Hook(memory.StoreHooks{Refuse: func(change runtime.Change) error {
		if row, ok := change.Row.(*orderRow); ok && bad[row.ID] {
			return errors.New("violates a constraint")
		}
		return nil
	}})
	require.NoError(t, w.run(t, f))

	letters := map[string]bool{}
	for _, letter := range w.records("orders-table.dead-letter") {
		require.False(t, letters[string(letter.Key)], "a dead letter came twice")
		letters[string(letter.Key)] = true
		reason, _ := letter.Headers.Last(runtime.HeaderReason)
		require.Contains(t, string(reason), "violates a constraint")
	}
	require.Equal(t, bad, letters)
	rows := map[string]bool{}
	for _, row := range memory.RowsOf[orderRow](w.store) {
		rows[row.ID] = true
	}
	require.Len(t, rows, messages-len(bad))
	for _, id := range slices.Collect(maps.Keys(bad)) {
		require.False(t, rows[id])
	}
}

// What the database refuses stops a function that is told so, with all that came before it applied.
func TestRefusedRowStops(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := config()
	c.Errors.Permanent = runtime.Stop
	f := compile(t, c)
	w := newWorld(t, f)
	for i := range 100 {
		_, err := w.log.Append("orders", 0, runtime.Output{Key: fmt.Append(nil, "o-", i), Value: []byte("{}")})
		require.NoError(t, err)
	}
	w.store.Hook(memory.StoreHooks{Refuse: func(change runtime.Change) error {
		if change.Row.(*orderRow).ID == "o-61" {
			return errors.New("too long")
		}
		return nil
	}})
	err := w.run(t, f)
	message, ok := errors.AsType[*runtime.MessageError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, int64(61), message.Offset)
	require.ErrorIs(t, err, runtime.ErrRefused)
	require.Len(t, memory.RowsOf[orderRow](w.store), 61)
}

// A table that is not declared is the program's fault: no message becomes a dead letter for it.
func TestUndeclaredTableStops(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := config()
	c.Tables = c.Tables[:1]
	f := compile(t, c)
	w := newWorld(t, f)
	w.put(t, "o-1", `{"lines":[{"product":"tea"}]}`)
	require.ErrorIs(t, w.run(t, f), runtime.ErrUndeclaredTable)
	require.Empty(t, w.records("orders-table.dead-letter"))
	require.Empty(t, memory.RowsOf[orderRow](w.store))
}
