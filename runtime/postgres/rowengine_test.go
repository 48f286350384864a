package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/materialise"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/runtime/postgres"
	"github.com/kappaflows/flows/topic"
)

type order struct {
	Customer string
	Cents    []int64
}

type orderRow struct {
	ID       string `bun:",pk"`
	Customer string `bun:"type:varchar(12)"`
	Lines    int
}

type lineRow struct {
	OrderID string `bun:",pk"`
	Number  int    `bun:",pk"`
	Cents   int64  `bun:"type:bigint check (cents > 0)"`
}

var (
	orders    = topic.New("orders", format.String(), format.JSON[order]())
	orderRows = materialise.TableOf[orderRow]()
	lineRows  = materialise.TableOf[lineRow]()
)

func toRows(_ context.Context, m topic.Message[string, order]) (changes materialise.Changes, _ error) {
	for n := range 3 {
		changes = append(changes, lineRows.Delete(lineRow{OrderID: m.Key, Number: n})...)
	}
	if m.Tombstone {
		return append(changes, orderRows.Delete(orderRow{ID: m.Key})...), nil
	}
	changes = append(changes, orderRows.Upsert(orderRow{ID: m.Key, Customer: m.Value.Customer, Lines: len(m.Value.Cents)})...)
	for n, cents := range m.Value.Cents {
		changes = append(changes, lineRows.Insert(lineRow{m.Key, n, cents})...)
	}
	return changes, nil
}

// A message whose row the database refuses is a dead letter, and all the others are in the tables.
func TestRowsThroughTheEngine(t *testing.T) {
	const messages, keys, partitions = 10_000, 1_000, 4
	store := open(t, postgres.Config{URL: services.Postgres(t)})
	function, err := materialise.Config[string, order]{
		Name: "orders-table", Input: orders, Tables: materialise.Tables{orderRows, lineRows}, Function: toRows,
	}.Compile()
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context(), nil))
	require.NoError(t, store.CreateTables(t.Context(), function.Tables))
	log := memory.NewLog()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: "orders", Partitions: partitions}}))
	bad := map[int]string{
		77: `{"Customer":"far too long a name"}`, 78: `{"Customer":"a","Cents":[5,-5]}`, 9_500: `{"Customer":"\u0000"}`,
	}
	reasons := map[string]string{
		"bad77":   "the database refuses a row of order_rows: value too long for type character varying(12)",
		"bad78":   `the database refuses a row of line_rows: new row for relation "line_rows" violates check constraint "line_rows_cents_check"`,
		"bad9500": `the database refuses a row of order_rows: invalid byte sequence for encoding "UTF8": 0x00`,
	}
	want := map[string][]int{}
	for i := range messages {
		key := fmt.Sprint("order", i*7919%keys)
		output := runtime.Output{Key: []byte(key)}
		switch lines := i % 4; {
		case bad[i] != "":
			output.Key, output.Value = fmt.Append(nil, "bad", i), []byte(bad[i])
		case i%9 == 0:
			delete(want, key)
		default:
			want[key] = make([]int, lines)
			for n := range want[key] {
				want[key][n] = i + n + 1
			}
			output.Value = fmt.Appendf(nil, `{"Customer":"%d","Cents":[%s]}`, i, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(want[key])), ","), "[]"))
		}
		_, err := log.Append("orders", topic.Murmur2(output.Key, partitions), output)
		require.NoError(t, err)
	}
	runUntilRead(t, runtime.New(runtime.Config{Functions: []*runtime.Function{function}, Log: log, Store: store}), store, function.Name, messages)

	got := map[string]string{}
	for p := range int32(partitions) {
		for _, letter := range log.Records("orders-table.dead-letter", p) {
			reason, _ := letter.Headers.Last(runtime.HeaderReason)
			require.NotContains(t, got, string(letter.Key), "once each")
			got[string(letter.Key)] = string(reason[strings.Index(string(reason), "the database"):])
		}
	}
	require.Equal(t, reasons, got)
	var found []orderRow
	require.NoError(t, store.DB().NewSelect().Model(&found).Scan(t.Context()))
	require.Len(t, found, len(want))
	var lines []lineRow
	require.NoError(t, store.DB().NewSelect().Model(&lines).Order("order_id", "number").Scan(t.Context()))
	cents := map[string][]int{}
	for _, line := range lines {
		require.Len(t, cents[line.OrderID], line.Number)
		cents[line.OrderID] = append(cents[line.OrderID], int(line.Cents))
	}
	for _, row := range found {
		require.Contains(t, want, row.ID)
		require.Len(t, want[row.ID], row.Lines)
		require.True(t, slices.Equal(want[row.ID], cents[row.ID]))
	}
}

// runUntilRead runs an engine until its function has read so many messages.
func runUntilRead(t *testing.T, engine *runtime.Engine, store runtime.Store, function string, messages int64) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	for read := int64(0); read < messages; {
		select {
		case err := <-done:
			require.FailNow(t, "the engine has stopped", "%v", err)
		case <-time.After(10 * time.Millisecond):
		}
		checkpoints, err := store.Checkpoints(t.Context(), function)
		require.NoError(t, err)
		read = 0
		for _, at := range checkpoints {
			read += max(0, at.Next)
		}
	}
	cancel()
	require.NoError(t, <-done)
}
