package materialise_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/materialise"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// order is what the topic has, and orderRow and lineRow what the database gets.
type order struct {
	Customer string `json:"customer"`
	Lines    []line `json:"lines"`
}

type line struct {
	Product string `json:"product"`
	Pieces  int    `json:"pieces"`
}

type orderRow struct {
	ID       string `bun:"id,pk"`
	Customer string
}

type lineRow struct {
	OrderID string `bun:",pk"`
	Number  int    `bun:",pk"`
	Product string
}

var (
	orders    = topic.New("orders", format.String(), format.JSON[order]())
	orderRows = materialise.TableOf[orderRow]()
	lineRows  = materialise.TableOf[lineRow]()
)

// toRows keeps a row for each order and for each of its lines.
func toRows(_ context.Context, m topic.Message[string, order]) (changes materialise.Changes, _ error) {
	if m.Tombstone {
		return orderRows.Delete(orderRow{ID: m.Key}), nil
	}
	changes = orderRows.Upsert(orderRow{ID: m.Key, Customer: m.Value.Customer})
	for i, l := range m.Value.Lines {
		changes = append(changes, lineRows.Upsert(lineRow{OrderID: m.Key, Number: i + 1, Product: l.Product})...)
	}
	return changes, nil
}

func config() materialise.Config[string, order] {
	return materialise.Config[string, order]{
		Name: "orders-table", Input: orders, Tables: materialise.Tables{orderRows, lineRows}, Function: toRows,
	}
}

func compile[K, V any](t testing.TB, c materialise.Config[K, V]) *runtime.Function {
	t.Helper()
	f, err := c.Compile()
	require.NoError(t, err)
	return f
}

func message(key, value string) *runtime.Input {
	in := &runtime.Input{Topic: "orders", Raw: topic.Raw{Key: []byte(key)}}
	if value != "" {
		in.Value = []byte(value)
	}
	return in
}

func TestConfigCompiles(t *testing.T) {
	c := config()
	c.Options = materialise.Options{BatchMessages: 5}
	f := compile(t, c)
	require.Equal(t, "orders-table", f.Name)
	require.Equal(t, "materialise", f.Kind)
	require.Equal(t, []*topic.Spec{orders.Spec()}, f.Inputs)
	require.Empty(t, f.Outputs)
	require.Nil(t, f.State)
	require.Equal(t, c.Options, f.Options)
	require.Equal(t, "orders-table.dead-letter", f.DeadLetter.Name)
	require.Len(t, f.Tables, 2)
	require.Equal(t, "materialise_test.orderRow", f.Tables[0].Model.String())
}

func TestApplyMakesChanges(t *testing.T) {
	f := compile(t, config())
	in := message("o-1", `{"customer":"ann","lines":[{"product":"tea"},{"product":"cup"}]}`)
	records, err := f.Apply(t.Context(), in, nil)
	require.NoError(t, err)
	require.Empty(t, records)
	require.Equal(t, []runtime.Change{
		{Table: f.Tables[0], Kind: runtime.Upsert, Row: &orderRow{ID: "o-1", Customer: "ann"}},
		{Table: f.Tables[1], Kind: runtime.Upsert, Row: &lineRow{OrderID: "o-1", Number: 1, Product: "tea"}},
		{Table: f.Tables[1], Kind: runtime.Upsert, Row: &lineRow{OrderID: "o-1", Number: 2, Product: "cup"}},
	}, in.Changes)

	in = message("o-1", "")
	_, err = f.Apply(t.Context(), in, nil)
	require.NoError(t, err)
	require.Equal(t, []runtime.Change{{Table: f.Tables[0], Kind: runtime.Delete, Row: &orderRow{ID: "o-1"}}}, in.Changes)
}

func TestErrorMakesNoChanges(t *testing.T) {
	broken := errors.New("broken")
	c := config()
	c.Function = func(context.Context, topic.Message[string, order]) (materialise.Changes, error) {
		return orderRows.Insert(orderRow{ID: "a"}), broken
	}
	in := message("o-1", "{}")
	_, err := compile(t, c).Apply(t.Context(), in, nil)
	require.Equal(t, broken, err)
	require.Empty(t, in.Changes)

	_, err = compile(t, config()).Apply(t.Context(), message("o-1", "{"), nil)
	require.ErrorAs(t, err, new(*topic.DecodeError))
}

func TestUndeclaredTables(t *testing.T) {
	c := config()
	c.Tables = materialise.Tables{orderRows}
	in := message("o-1", `{"lines":[{"product":"tea"}]}`)
	_, err := compile(t, c).Apply(t.Context(), in, nil)
	require.ErrorIs(t, err, runtime.ErrUndeclaredTable)
	require.EqualError(t, err, "change of the table of materialise_test.lineRow: the table is not among the function's tables")

	for _, change := range []runtime.Change{{}, new(materialise.Table[orderRow]).Upsert(orderRow{})[0]} {
		c.Function = func(context.Context, topic.Message[string, order]) (materialise.Changes, error) {
			return materialise.Changes{change}, nil
		}
		_, err = compile(t, c).Apply(t.Context(), message("o-1", "{}"), nil)
		require.ErrorIs(t, err, runtime.ErrUndeclaredTable)
	}
}

// Another declaration of the same model is the same table.
func TestModelDeclaredTwice(t *testing.T) {
	again := materialise.TableOf[orderRow]()
	c := config()
	c.Function = func(context.Context, topic.Message[string, order]) (materialise.Changes, error) {
		return again.Upsert(orderRow{ID: "a"}), nil
	}
	f := compile(t, c)
	in := message("a", "{}")
	_, err := f.Apply(t.Context(), in, nil)
	require.NoError(t, err)
	require.Same(t, f.Tables[0], in.Changes[0].Table)
}

func TestChangesKeepTheirRows(t *testing.T) {
	rows := []orderRow{{ID: "a"}, {ID: "b"}}
	changes := orderRows.Insert(rows...)
	rows[0].ID = "changed"
	require.Equal(t, &orderRow{ID: "a"}, changes[0].Row)
	require.Equal(t, &orderRow{ID: "b"}, changes[1].Row)
	require.Empty(t, orderRows.Upsert())
}

func TestConfigReportsEverything(t *testing.T) {
	var none *materialise.Table[orderRow]
	for name, c := range map[string]struct {
		change func(*materialise.Config[string, order])
		lines  []string
	}{
		"nothing set": {func(c *materialise.Config[string, order]) { *c = materialise.Config[string, order]{} }, []string{
			"Name: a function needs a name", "Input: the topic is nil",
			"Tables: a function that materialises needs a table", "Function: a function needs one",
		}},
		"tables": {func(c *materialise.Config[string, order]) {
			c.Tables = materialise.Tables{
				orderRows, nil, none, materialise.TableOf[int](), materialise.TableOf[*orderRow](), materialise.TableOf[orderRow](),
				&materialise.Table[lineRow]{},
			}
		}, []string{
			"Tables: table 2 of 7 is nil", "Tables: table 3 of 7 is nil",
			"Tables: table 4 of 7: a row is a struct, and int is none",
			"Tables: table 5 of 7: a row is a struct, and *materialise_test.orderRow is none",
			"Tables: the table of materialise_test.orderRow is listed twice",
			"Tables: table 7 of 7: make it with TableOf",
		}},
		"options": {func(c *materialise.Config[string, order]) { c.Delivery, c.BatchBytes = runtime.AtLeastOnce, -1 }, []string{
			"Delivery: only exactly once: rows and position are one transaction; at least once is for stateless functions",
			"Options: BatchBytes is negative",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := config()
			c.change(&wrong)
			_, err := wrong.Compile()
			found, ok := errors.AsType[*runtime.ConfigError](err)
			require.True(t, ok)
			lines := make([]string, len(found.Problems))
			for i, p := range found.Problems {
				lines[i] = p.Field + ": " + p.Message
			}
			require.Equal(t, c.lines, lines)
		})
	}
}
