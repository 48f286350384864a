package join_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/join"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

var (
	names  = topic.New("names", format.String(), format.String())
	cities = topic.New("cities", format.String(), format.String())
	people = topic.New("people", format.String(), format.String())
)

// table is a join whose messages are told by their side and value: "+" is none, so a tombstone.
type table struct {
	t     *testing.T
	f     *runtime.Function
	state any
}

func newTable(t *testing.T, c compiler) *table {
	f := compile(t, c)
	return &table{t: t, f: f, state: f.State.New()}
}

func (a *table) set(side int, value string) string {
	in := &runtime.Input{Raw: topic.Raw{Key: []byte("p-1"), Headers: topic.Headers{{Key: "trace", Value: []byte("x")}}}}
	if value != "" {
		in.Value = []byte(value)
	}
	records, err := pass(a.t, a.f.Parts[side], a.f, in, a.state)
	require.NoError(a.t, err)
	if len(records) == 0 {
		return "nothing"
	}
	require.Len(a.t, records, 1)
	require.Equal(a.t, "p-1", string(records[0].Key()))
	require.Equal(a.t, in.Headers, records[0].Headers())
	if records[0].Value() == nil {
		return "tombstone"
	}
	return string(records[0].Value())
}

// gone says that the state is the zero one, which has no row.
func (a *table) gone() bool {
	_, zero, err := a.f.State.Append(nil, a.state)
	require.NoError(a.t, err)
	return zero
}

func TestInner(t *testing.T) {
	a := newTable(t, join.Inner("person", names, cities, people, func(key, name, city string) string { return key + name + city }))
	require.Equal(t, "nothing", a.set(0, "Ann"))
	require.Equal(t, "p-1AnnRome", a.set(1, "Rome"))
	require.Equal(t, "p-1EveRome", a.set(0, "Eve"))
	require.Equal(t, "tombstone", a.set(0, ""))
	require.Equal(t, "nothing", a.set(0, ""), "nothing to take back")
	require.Equal(t, "nothing", a.set(1, "Oslo"))
	require.Equal(t, "p-1BobOslo", a.set(0, "Bob"))
	require.Equal(t, "tombstone", a.set(1, ""))
	require.False(t, a.gone())
	require.Equal(t, "nothing", a.set(0, ""))
	require.True(t, a.gone())
}

func orNone(value *string) string {
	if value == nil {
		return "-"
	}
	return *value
}

func TestLeft(t *testing.T) {
	a := newTable(t, join.Left("person", names, cities, people, func(_, name string, city *string) string { return name + orNone(city) }))
	require.Equal(t, "nothing", a.set(1, "Rome"))
	require.Equal(t, "AnnRome", a.set(0, "Ann"))
	require.Equal(t, "Ann-", a.set(1, ""))
	require.Equal(t, "AnnOslo", a.set(1, "Oslo"))
	require.Equal(t, "tombstone", a.set(0, ""))
	require.Equal(t, "nothing", a.set(1, ""))
	require.True(t, a.gone())
}

func TestOuter(t *testing.T) {
	a := newTable(t, join.Outer("person", names, cities, people, func(_ string, name, city *string) string { return orNone(name) + orNone(city) }))
	require.Equal(t, "-Rome", a.set(1, "Rome"))
	require.Equal(t, "AnnRome", a.set(0, "Ann"))
	require.Equal(t, "Ann-", a.set(1, ""))
	require.Equal(t, "tombstone", a.set(0, ""))
	require.True(t, a.gone())
}

// A topic joined with itself has two sides.
func TestInnerWithItself(t *testing.T) {
	a := newTable(t, join.Inner("twice", names, names, people, func(_, left, right string) string { return left + right }))
	require.Equal(t, "nothing", a.set(0, "Ann"))
	require.Equal(t, "AnnAnn", a.set(1, "Ann"))
}

func TestEnrich(t *testing.T) {
	f := compile(t, join.Enrich("enrich", join.By(payments, paymentKey), names, topic.List{people},
		func(_ context.Context, m topic.Message[int64, payment], name *string) (topic.Records, error) {
			if m.Value.Cents < 0 {
				return nil, errNegative
			}
			return topic.Records{people.Record(m.Value.Order, orNone(name))}, nil
		}))
	state := f.State.New()
	pay := func(value string) (topic.Records, error) {
		return pass(t, f.Parts[0], f, input("7", value), state)
	}
	records, err := pay(`{"order":"o-1"}`)
	require.NoError(t, err)
	require.Equal(t, "-", string(records[0].Value()))

	records, err = pass(t, f.Parts[1], f, input("o-1", "Ann"), state)
	require.NoError(t, err)
	require.Empty(t, records, "a change of the table writes nothing")
	records, err = pay(`{"order":"o-1"}`)
	require.NoError(t, err)
	require.Equal(t, "Ann", string(records[0].Value()))
	row, zero, err := f.State.Append(nil, state)
	require.NoError(t, err)
	require.False(t, zero)
	require.Equal(t, "Ann", string(row))
	_, err = pay(`{"order":"o-1","cents":-1}`)
	require.ErrorIs(t, err, errNegative)

	// An empty value is a row; a null one is none.
	_, err = pass(t, f.Parts[1], f, input("o-1", ""), state)
	require.NoError(t, err)
	row, zero, err = f.State.Append(nil, state)
	require.NoError(t, err)
	require.False(t, zero)
	decoded, err := f.State.Decode(row)
	require.NoError(t, err)
	records, err = pass(t, f.Parts[0], f, input("7", `{"order":"o-1"}`), decoded)
	require.NoError(t, err)
	require.Empty(t, string(records[0].Value()))
	_, err = pass(t, f.Parts[1], f, &runtime.Input{Raw: topic.Raw{Key: []byte("o-1")}}, state)
	require.NoError(t, err)
	_, zero, err = f.State.Append(nil, state)
	require.NoError(t, err)
	require.True(t, zero)
}

func TestHelpersReportProblems(t *testing.T) {
	var none *topic.Topic[string, string]
	same := func(_, left, _ string) string { return left }
	enrich := func(context.Context, topic.Message[string, string], *string) (topic.Records, error) { return nil, nil }
	for name, c := range map[string]struct {
		function join.Function
		lines    []string
	}{
		"zero":         {join.Function{}, []string{"Function: make one with a helper of this package"}},
		"no topic":     {join.Inner("j", none, cities, people, same), []string{"Sides: the topic is nil"}},
		"no output":    {join.Inner("j", names, cities, none, same), []string{"Outputs: the topic is nil"}},
		"no function":  {join.Inner[string, string, string, string]("j", names, cities, people, nil), []string{"Function: a join needs one that merges two values"}},
		"name":         {join.Inner("", names, cities, people, same), []string{"Name: a function needs a name"}},
		"no format":    {join.Inner("j", topic.New[string, string]("x", nil, nil), cities, people, same), []string{"Sides: a topic has no format"}},
		"stream":       {join.Enrich("j", join.By(none, orderKey), names, nil, enrich), []string{"Sides: the topic is nil"}},
		"stream's key": {join.Enrich("j", join.By[string](orders, nil), names, nil, enrich), []string{`Sides: topic "orders" has no function for the join's key`}},
		"options": {join.Inner("j", names, cities, people, same).With(join.Options{BatchBytes: -1}), []string{
			"Options: BatchBytes is negative",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.function.Compile()
			found, ok := errors.AsType[*runtime.ConfigError](err)
			require.True(t, ok, "%v", err)
			var lines []string
			for _, p := range found.Problems {
				lines = append(lines, p.Field+": "+p.Message)
			}
			require.Equal(t, c.lines, lines)
		})
	}
}

func drawPointer[T any](t *rapid.T, g *rapid.Generator[T], label string) *T {
	if rapid.Bool().Draw(t, label+" is there") {
		value := g.Draw(t, label)
		return &value
	}
	return nil
}

// A pair comes back from its bytes, whatever the formats.
func TestPairs(t *testing.T) {
	documents := join.Pairs(format.JSON[order](), format.JSON[*payment]())
	require.Equal(t, format.Document, documents.Kind())
	binary := join.Pairs(format.JSON[order](), format.Bytes())
	require.Equal(t, format.Binary, binary.Kind())
	require.Equal(t, "pair of json and bytes", binary.Name())
	orders := rapid.Custom(func(t *rapid.T) order {
		return order{Item: rapid.String().Draw(t, "item"), Paid: rapid.Int().Draw(t, "paid")}
	})
	rapid.Check(t, func(t *rapid.T) {
		one := join.Pair[order, *payment]{Left: drawPointer(t, orders, "left")}
		if rapid.Bool().Draw(t, "right") {
			one.Right = new(*payment)
		}
		samePair(t, documents, one)
		samePair(t, binary, join.Pair[order, []byte]{
			Left: drawPointer(t, orders, "left"), Right: drawPointer(t, rapid.SliceOfN(rapid.Byte(), 0, 200), "right"),
		})
	})
	data, err := documents.Append(nil, join.Pair[order, *payment]{Left: &order{Item: "tea"}, Right: new(*payment)})
	require.NoError(t, err)
	require.JSONEq(t, `{"left":{"item":"tea"},"right":null}`, string(data))
	require.Equal(t, `left {"item":"tea"} right (none)`, documents.Show(join.Pair[order, *payment]{Left: &order{Item: "tea"}}))
}

func samePair[L, R any](t *rapid.T, f format.Format[join.Pair[L, R]], pair join.Pair[L, R]) {
	data, err := f.Append([]byte("before"), pair)
	require.NoError(t, err)
	require.Equal(t, "before", string(data[:6]))
	again, err := f.Decode(data[6:])
	require.NoError(t, err)
	require.Equal(t, pair, again)
}

func FuzzPairs(f *testing.F) {
	binary := join.Pairs(format.String(), format.Bytes())
	documents := join.Pairs(format.JSON[int](), format.JSON[string]())
	f.Add([]byte{})
	f.Add([]byte{0, 0})
	f.Add([]byte{2, 'a', 1})
	f.Add([]byte{9, 'a'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte(`{"left":1,"right":"a"}`))
	f.Add([]byte(`{"left":"a"}`))
	f.Add([]byte(`{"left":1`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if pair, err := binary.Decode(data); err == nil {
			again, err := binary.Append(nil, pair)
			require.NoError(t, err)
			back, err := binary.Decode(again)
			require.NoError(t, err)
			require.Equal(t, pair, back)
		} else {
			require.Equal(t, join.Pair[string, []byte]{}, pair)
		}
		if pair, err := documents.Decode(data); err != nil {
			require.Equal(t, join.Pair[int, string]{}, pair)
		}
	})
}
