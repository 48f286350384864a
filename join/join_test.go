package join_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/join"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/topic"
)

// order is the state of a join of orders with payments, which come under another key.
type order struct {
	Item string `json:"item,omitempty"`
	Paid int    `json:"paid,omitempty"`
}

type payment struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
}

var (
	orders   = topic.New("orders", format.String(), format.String())
	payments = topic.New("payments", format.Int64(), format.JSON[payment]())
	paid     = topic.New("paid", format.String(), format.JSON[order]())
)

func lentKey(m topic.Message[string, []byte]) string { return m.Key }

func onLent(_ context.Context, _ string, _ topic.Message[string, []byte], o order) (order, topic.Records, error) {
	return o, nil, nil
}

func orderKey(m topic.Message[string, string]) string { return m.Key }

func onOrder(_ context.Context, id string, m topic.Message[string, string], o order) (order, topic.Records, error) {
	if m.Tombstone {
		return order{}, topic.Records{paid.Tombstone(id)}, nil
	}
	o.Item = m.Value
	return o, topic.Records{paid.Record(id, o)}, nil
}

func paymentKey(m topic.Message[int64, payment]) string { return m.Value.Order }

func onPayment(_ context.Context, id string, m topic.Message[int64, payment], o order) (order, topic.Records, error) {
	if m.Value.Cents < 0 {
		return o, nil, errNegative
	}
	o.Paid += m.Value.Cents
	return o, topic.Records{paid.Record(id, o).WithHeadersOf(m.Headers)}, nil
}

var errNegative = errors.New("negative payment")

func config() join.Config[string, order] {
	return join.Config[string, order]{
		Name: "pay", Key: format.String(), State: format.JSON[order](), Outputs: topic.List{paid},
		Sides: []join.Side[string, order]{
			join.From(orders, orderKey, onOrder),
			join.From(payments, paymentKey, onPayment),
		},
	}
}

type compiler interface {
	Compile() (*runtime.Function, error)
}

func compile(t testing.TB, c compiler) *runtime.Function {
	t.Helper()
	f, err := c.Compile()
	require.NoError(t, err)
	return f
}

// pass takes a message through a part and the intermediate topic to the join.
func pass(t *testing.T, part, f *runtime.Function, in *runtime.Input, state any) (topic.Records, error) {
	t.Helper()
	return f.Apply(t.Context(), wrapped(t, part, in), state)
}

func wrapped(t *testing.T, part *runtime.Function, in *runtime.Input) *runtime.Input {
	t.Helper()
	records, err := part.Apply(t.Context(), in, nil)
	require.NoError(t, err)
	require.Len(t, records, 1)
	return &runtime.Input{Topic: "pay.intermediate", Partition: 9, Raw: topic.Raw{
		Offset: 99, Timestamp: in.Timestamp, Key: records[0].Key(), Value: records[0].Value(), Headers: records[0].Headers(),
	}}
}

func input(key, value string) *runtime.Input {
	return &runtime.Input{Topic: "orders", Raw: topic.Raw{Key: []byte(key), Value: []byte(value), Timestamp: time.UnixMilli(5)}}
}

func TestConfigCompiles(t *testing.T) {
	c := config()
	c.IntermediatePartitions = 12
	c.Options = join.Options{CacheBytes: 5, Start: runtime.Newest}
	f := compile(t, c)
	require.Equal(t, "pay", f.Name)
	require.Equal(t, "join", f.Kind)
	require.Equal(t, []*topic.Spec{paid.Spec()}, f.Outputs)
	require.Equal(t, runtime.StateTable{Name: "pay", Key: format.Text, State: format.Document}, f.State.Table)
	require.Equal(t, runtime.Oldest, f.Options.Start, "what the sides sent is not passed over")
	require.Equal(t, 5, f.Options.CacheBytes)
	require.Len(t, f.Inputs, 1)
	intermediate := f.Inputs[0]
	require.Equal(t, "pay.intermediate", intermediate.Name)
	require.Equal(t, int32(12), intermediate.Partitions)
	require.Equal(t, []runtime.OwnTopic{{Spec: intermediate, Like: []*topic.Spec{orders.Spec(), payments.Spec()}, Retention: runtime.ByArrival}}, f.Own)

	require.Len(t, f.Parts, 2)
	for i, side := range []*topic.Spec{orders.Spec(), payments.Spec()} {
		part := f.Parts[i]
		require.Equal(t, "pay."+side.Name, part.Name)
		require.Equal(t, "stateless", part.Kind)
		require.Equal(t, []*topic.Spec{side}, part.Inputs)
		require.Equal(t, []*topic.Spec{intermediate}, part.Outputs)
		require.Equal(t, f.Own, part.Own)
		require.Equal(t, c.Options, part.Options)
		require.Equal(t, "pay."+side.Name+".dead-letter", part.DeadLetter.Name)
		require.Nil(t, part.State)
	}

	c.Intermediate, c.Table = "between", "shop.pay"
	f = compile(t, c)
	require.Equal(t, "between", f.Inputs[0].Name)
	require.Equal(t, "shop.pay", f.State.Table.Name)
}

func TestSidesFoldIntoOneState(t *testing.T) {
	f := compile(t, config())
	state := f.State.New()
	records, err := pass(t, f.Parts[1], f, input("7", `{"order":"o-1","cents":5}`), state)
	require.NoError(t, err)
	require.JSONEq(t, `{"paid":5}`, string(records[0].Value()), "a payment is folded in by the function of payments")
	require.Equal(t, "o-1", string(records[0].Key()))
	records, err = pass(t, f.Parts[0], f, input("o-1", "tea"), state)
	require.NoError(t, err)
	require.JSONEq(t, `{"paid":5,"item":"tea"}`, string(records[0].Value()))

	_, err = pass(t, f.Parts[1], f, input("7", `{"order":"o-1","cents":-5}`), state)
	require.ErrorIs(t, err, errNegative)
	require.Equal(t, order{Item: "tea", Paid: 5}, *state.(*order), "an error leaves the state")

	records, err = pass(t, f.Parts[0], f, &runtime.Input{Topic: "orders", Raw: topic.Raw{Key: []byte("o-1")}}, state)
	require.NoError(t, err)
	require.Nil(t, records[0].Value(), "a tombstone reaches the function")
	require.Equal(t, order{}, *state.(*order))
}

// A side's function gets the message as it was read, however it came.
func TestMessagesKeepWhereTheyWereRead(t *testing.T) {
	var got topic.Message[string, string]
	c := config()
	c.Sides[0] = join.From(orders, orderKey, func(_ context.Context, _ string, m topic.Message[string, string], o order) (order, topic.Records, error) {
		got = m
		return o, nil, nil
	})
	f := compile(t, c)
	in := input("o-1", "")
	in.Partition, in.Offset, in.Timestamp = 3, 41, time.UnixMilli(1_700_000_000_123)
	in.Headers = topic.Headers{{Key: "trace", Value: []byte("x")}, {Key: "trace"}, {Key: "\xff", Value: []byte{}}}
	_, err := pass(t, f.Parts[0], f, in, f.State.New())
	require.NoError(t, err)
	require.Equal(t, topic.Message[string, string]{
		Key: "o-1", Headers: in.Headers, Timestamp: in.Timestamp, Topic: "orders", Partition: 3, Offset: 41,
	}, got)
}

func TestTwoSidesOfOneTopic(t *testing.T) {
	seen := ""
	sideOf := func(from *topic.Topic[string, string], name string) join.Side[string, order] {
		return join.From(from, orderKey, func(_ context.Context, _ string, _ topic.Message[string, string], o order) (order, topic.Records, error) {
			seen += name
			return o, nil, nil
		})
	}
	c := config()
	c.Sides = []join.Side[string, order]{
		sideOf(orders, "a"), sideOf(orders, "b"), sideOf(topic.New("orders-2", format.String(), format.String()), "c"), sideOf(orders, "d"),
	}
	f := compile(t, c)
	var names []string
	for _, part := range f.Parts {
		names = append(names, part.Name)
		_, err := pass(t, part, f, input("o-1", "tea"), f.State.New())
		require.NoError(t, err)
	}
	require.Equal(t, []string{"pay.orders", "pay.orders-3", "pay.orders-2", "pay.orders-4"}, names)
	require.Equal(t, "abcd", seen)
	require.Len(t, f.Own[0].Like, 2)
}

// A message for a side that this program does not have is no reason to stop: it is a dead letter, to be tried again.
func TestUnknownSide(t *testing.T) {
	newer := compile(t, config())
	c := config()
	c.Sides = c.Sides[:1]
	f := compile(t, c)
	_, err := pass(t, newer.Parts[1], f, input("7", `{"order":"o-1","cents":5}`), f.State.New())
	require.ErrorIs(t, err, join.ErrUnknownSide)
	require.True(t, runtime.IsPermanent(err))
	require.EqualError(t, err, `side "payments": the join has no such side; another release of the program sent the message`)

	_, err = f.Apply(t.Context(), &runtime.Input{Raw: topic.Raw{Key: []byte("o-1")}}, f.State.New())
	require.ErrorIs(t, err, join.ErrUnknownSide)
	_, err = f.Apply(t.Context(), &runtime.Input{Raw: topic.Raw{Key: []byte("o-1"), Value: []byte{255}}}, f.State.New())
	require.ErrorAs(t, err, new(*topic.DecodeError))
}

// What cannot be brought under the join's key is refused where the message still is what it was.
func TestMessagesThatHaveNoKey(t *testing.T) {
	f := compile(t, config())
	_, err := f.Parts[1].Apply(t.Context(), input("seven", `{}`), nil)
	require.ErrorAs(t, err, new(*topic.DecodeError))
	_, err = f.Parts[0].Apply(t.Context(), input("a\x00b", "tea"), nil)
	require.ErrorIs(t, err, stateful.ErrKeyNUL)

	invalid := join.From(orders, func(topic.Message[string, string]) string { return "\xff" }, onOrder)
	c := config()
	c.Sides = []join.Side[string, order]{invalid}
	_, err = compile(t, c).Parts[0].Apply(t.Context(), input("o-1", "tea"), nil)
	require.True(t, runtime.IsPermanent(err))
	require.EqualError(t, err, "topic pay.intermediate: key cannot be written as string: invalid UTF-8 at byte 0")

	blobs := topic.New("blobs", format.Bytes(), format.Bytes())
	b := compile(t, join.Config[[]byte, int64]{
		Name: "blobs", Key: format.Bytes(), State: format.Int64(), Sides: []join.Side[[]byte, int64]{join.From(blobs,
			func(m topic.Message[[]byte, []byte]) []byte { return m.Key },
			func(_ context.Context, _ []byte, _ topic.Message[[]byte, []byte], n int64) (int64, topic.Records, error) {
				return n + 1, nil, nil
			})},
	})
	_, err = b.Parts[0].Apply(t.Context(), &runtime.Input{Raw: topic.Raw{Value: []byte("x")}}, nil)
	require.ErrorIs(t, err, stateful.ErrNoKey)
	_, err = b.Parts[0].Apply(t.Context(), input("a\x00b", "x"), nil)
	require.NoError(t, err)
}

func TestConfigReportsEverything(t *testing.T) {
	var none *topic.Topic[string, string]
	for name, c := range map[string]struct {
		change func(*join.Config[string, order])
		lines  []string
	}{
		"nothing set": {func(c *join.Config[string, order]) { *c = join.Config[string, order]{} }, []string{
			"Key: a join needs a format for its keys", "State: a join needs a format for its states", "Sides: a join needs topics to join",
			"Name: a function needs a name",
		}},
		"sides": {func(c *join.Config[string, order]) {
			c.Sides = []join.Side[string, order]{
				{},
				join.From(none, orderKey, onOrder), join.From[string, order](orders, nil, nil),
				join.From(topic.New("pay.intermediate", format.String(), format.String()), orderKey, onOrder),
				join.From(topic.New("lent", format.String(), format.Borrowed()), lentKey, onLent),
				join.From(topic.New("o/1", format.String(), format.String()), orderKey, onOrder),
			}
		}, []string{
			"Sides: side 1 of 6: the topic is nil; make the side with From",
			"Sides: side 2 of 6: the topic is nil; make the side with From",
			`Sides: topic "orders" has no function for the join's key`,
			`Sides: topic "orders" has no function that folds its messages`,
			`Sides: topic "pay.intermediate" is the join's own intermediate topic`,
			`Sides: topic "lent" has a borrowed format, and a state would keep what is borrowed: read it as bytes`,
			`Sides: the name of side o/1: only a-z, A-Z, 0-9, '.', '_' and '-' are allowed`,
			`Sides: topic name "o/1": only a-z, A-Z, 0-9, '.', '_' and '-' are allowed`,
		}},
		"name": {func(c *join.Config[string, order]) { c.Name, c.Table = "p y", "pay" }, []string{
			"Name: only a-z, A-Z, 0-9, '.', '_' and '-' are allowed",
			`Intermediate: topic name "p y.intermediate": only a-z, A-Z, 0-9, '.', '_' and '-' are allowed`,
		}},
		"the rest": {func(c *join.Config[string, order]) {
			c.Intermediate, c.IntermediatePartitions, c.Delivery, c.BatchBytes = "paid", -1, runtime.AtLeastOnce, -1
			c.Table = "flows_pay"
		}, []string{
			`Outputs: topic "paid" is the join's own intermediate topic`,
			`Intermediate: topic "paid": -1 partitions; it takes one or more`,
			`Table: "flows_pay": names that begin with flows_ are not the program's`,
			"Delivery: only exactly once: states and position are one transaction; at least once is for stateless functions",
			"Options: BatchBytes is negative",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := config()
			c.change(&wrong)
			_, err := wrong.Compile()
			found, ok := errors.AsType[*runtime.ConfigError](err)
			require.True(t, ok)
			require.Equal(t, "join", found.Kind)
			lines := make([]string, len(found.Problems))
			for i, p := range found.Problems {
				lines[i] = p.Field + ": " + p.Message
			}
			require.Equal(t, c.lines, lines)
		})
	}
}

// counted is a join of one side that counts, to see what a message costs.
func counted(b testing.TB) *runtime.Function {
	return compile(b, join.Config[string, int64]{
		Name: "count", Key: format.String(), State: format.Int64(), Sides: []join.Side[string, int64]{
			join.From(orders, orderKey, func(_ context.Context, _ string, _ topic.Message[string, string], n int64) (int64, topic.Records, error) {
				return n + 1, nil, nil
			}),
		},
	})
}

// Decoding key and value, on either side of the intermediate topic, and the join's key are what a message costs in memory,
// besides the record of the intermediate topic.
func TestAllocations(t *testing.T) {
	f := counted(t)
	in, state := input("o-1", "tea and more"), f.State.New()
	through := wrapped(t, f.Parts[0], in)
	require.InDelta(t, 3, testing.AllocsPerRun(100, func() {
		if _, err := f.Apply(t.Context(), through, state); err != nil {
			t.Error(err)
		}
	}), 0)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		if _, err := f.Parts[0].Apply(t.Context(), in, nil); err != nil {
			t.Error(err)
		}
	}), 4.0)
}

func BenchmarkJoin(b *testing.B) {
	f := counted(b)
	in, state := input("o-4711", string(make([]byte, 100))), f.State.New()
	b.Run("side", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.Parts[0].Apply(b.Context(), in, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	records, err := f.Parts[0].Apply(b.Context(), in, nil)
	require.NoError(b, err)
	through := &runtime.Input{Raw: topic.Raw{Key: records[0].Key(), Value: records[0].Value()}}
	b.Run("fold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.Apply(b.Context(), through, state); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestOutputsHaveTheTimeOfTheirMessage applies a join to a message that its intermediate topic has stamped anew.
func TestOutputsHaveTheTimeOfTheirMessage(t *testing.T) {
	f, err := join.Config[string, order]{
		Name: "pay", Key: format.String(), State: format.JSON[order](), Outputs: topic.List{paid},
		Sides: []join.Side[string, order]{join.From(orders, orderKey, onOrder), join.From(payments, paymentKey, onPayment)},
	}.Compile()
	require.NoError(t, err)
	sent := time.UnixMilli(1_700_000_000_123)
	side := &runtime.Input{Raw: topic.Raw{Timestamp: sent, Key: []byte("o-1"), Value: []byte(`{}`)}, Topic: "orders"}
	records, err := f.Parts[0].Apply(t.Context(), side, nil)
	require.NoError(t, err)
	in := &runtime.Input{Raw: topic.Raw{Timestamp: time.Now(), Key: records[0].Key(), Value: records[0].Value()}}
	_, err = f.Apply(t.Context(), in, f.State.New())
	require.NoError(t, err)
	require.True(t, sent.Equal(in.Timestamp), "%s", in.Timestamp)
}

func TestABorrowedStateIsOneProblem(t *testing.T) {
	_, err := join.Config[string, []byte]{
		Name: "last", Key: format.String(), State: format.Borrowed(),
		Sides: []join.Side[string, []byte]{join.From(topic.New("events", format.String(), format.Bytes()), lentKey,
			func(_ context.Context, _ string, m topic.Message[string, []byte], _ []byte) ([]byte, topic.Records, error) {
				return m.Value, nil, nil
			})},
	}.Compile()
	require.EqualError(t, err, `join function "last": State: a state can't be borrowed: keep it as bytes`)
}
