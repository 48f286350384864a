package stateful_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/topic"
)

// keeping is a function whose state becomes its message's value.
func keeping[S any](states format.Format[S]) stateful.Config[string, S, S] {
	return stateful.Config[string, S, S]{
		Name: "keep", Input: topic.New("states", format.String(), states), State: states,
		Function: func(_ context.Context, m topic.Message[string, S], _ S) (S, topic.Records, error) {
			return m.Value, nil, nil
		},
	}
}

func compile[K, V, S any](t *testing.T, c stateful.Config[K, V, S]) *runtime.Function {
	t.Helper()
	f, err := c.Compile()
	require.NoError(t, err)
	return f
}

func message(key, value string) *runtime.Input {
	return &runtime.Input{Topic: "words", Partition: 1, Raw: topic.Raw{Key: []byte(key), Value: []byte(value)}}
}

func TestConfigCompiles(t *testing.T) {
	options := stateful.Options{CacheBytes: 5}
	c := stateful.Config[string, string, int64]{
		Name: "Count-words.2", Input: words, Outputs: topic.List{counts}, State: format.Int64(), Function: count, Options: options,
	}
	f := compile(t, c)
	require.Equal(t, "Count-words.2", f.Name)
	require.Equal(t, "stateful", f.Kind)
	require.Equal(t, []*topic.Spec{words.Spec()}, f.Inputs)
	require.Equal(t, []*topic.Spec{counts.Spec()}, f.Outputs)
	require.Equal(t, options, f.Options)
	require.Equal(t, runtime.StateTable{Name: "count_words_2", Key: format.Text, State: format.Text}, f.State.Table)

	c.Table = "shop.word_count"
	require.Equal(t, "shop.word_count", compile(t, c).State.Table.Name)
	require.Equal(t, format.Document, compile(t, keeping(format.JSON[int]())).State.Table.State)
}

func TestApplyChangesTheState(t *testing.T) {
	f := compile(t, stateful.Config[string, string, int64]{Name: "count", Input: words, State: format.Int64(), Function: count})
	state, err := f.State.Decode([]byte("41"))
	require.NoError(t, err)
	records, err := f.Apply(t.Context(), message("tea", ""), state)
	require.NoError(t, err)
	require.Equal(t, "42", string(records[0].Value()))
	require.Equal(t, int64(42), *state.(*int64))
}

func TestErrorLeavesTheState(t *testing.T) {
	broken := errors.New("broken")
	f := compile(t, stateful.Config[string, string, int64]{
		Name: "count", Input: words, State: format.Int64(),
		Function: func(context.Context, topic.Message[string, string], int64) (int64, topic.Records, error) {
			return 99, topic.Records{counts.Record("a", 1)}, broken
		},
	})
	state := f.State.New()
	records, err := f.Apply(t.Context(), message("tea", ""), state)
	require.Equal(t, broken, err)
	require.Nil(t, records)
	require.Equal(t, int64(0), *state.(*int64))
	_, err = f.Apply(t.Context(), message("tea", "\xff"), state)
	require.ErrorAs(t, err, new(*topic.DecodeError))
}

func TestKeysThatCannotHaveAState(t *testing.T) {
	text := compile(t, stateful.Config[string, string, int64]{Name: "count", Input: words, State: format.Int64(), Function: count})
	binary := compile(t, stateful.Config[[]byte, string, int64]{
		Name: "count", Input: topic.New("blobs", format.Bytes(), format.String()), State: format.Int64(),
		Function: func(context.Context, topic.Message[[]byte, string], int64) (int64, topic.Records, error) {
			return 1, nil, nil
		},
	})
	state := text.State.New()
	for _, f := range []*runtime.Function{text, binary} {
		in := message("", "v")
		in.Key = nil
		_, err := f.Apply(t.Context(), in, state)
		require.ErrorIs(t, err, stateful.ErrNoKey)
		_, err = f.Apply(t.Context(), message("", "v"), state)
		require.NoError(t, err, "an empty key is a key")
	}
	_, err := text.Apply(t.Context(), message("a\x00b", "v"), state)
	require.ErrorIs(t, err, stateful.ErrKeyNUL)
	_, err = binary.Apply(t.Context(), message("a\x00b", "v"), state)
	require.NoError(t, err)

	for _, permanent := range []error{stateful.ErrNoKey, stateful.ErrKeyNUL, stateful.ErrStateEscape} {
		says, ok := permanent.(interface{ Permanent() bool })
		require.True(t, ok && says.Permanent())
	}
}

type account struct {
	Owner   string         `json:"owner"`
	Entries map[string]int `json:"entries,omitempty"`
}

type ledger []int

// IsZero says that a ledger without entries is as good as none.
func (l ledger) IsZero() bool { return len(l) == 0 }

func TestZeroStatesAreAbsent(t *testing.T) {
	checkZero(t, format.Int64(), 0, true)
	checkZero(t, format.Int64(), 1, false)
	checkZero(t, format.String(), "", true)
	checkZero(t, format.String(), "0", false)
	checkZero(t, format.Bytes(), nil, true)
	checkZero(t, format.Bytes(), []byte{}, false)
	checkZero(t, format.JSON[account](), account{}, true)
	checkZero(t, format.JSON[account](), account{Entries: map[string]int{}}, false)
	checkZero(t, format.JSON[*account](), nil, true)
	checkZero(t, format.JSON[*account](), &account{}, false)
	checkZero(t, format.JSON[any](), nil, true)
	checkZero[any](t, format.JSON[any](), 0.0, false)
	checkZero(t, format.JSON[ledger](), ledger{}, true)
	checkZero(t, format.JSON[ledger](), ledger{1}, false)
	checkZero(t, format.JSON[time.Time](), time.Time{}.In(time.FixedZone("", 0)), true)
	checkZero(t, format.JSON[*time.Time](), nil, true)
	checkZero(t, format.JSON[*time.Time](), &time.Time{}, true)
	checkZero(t, format.Protobuf[*wrapperspb.StringValue](), nil, true)
	checkZero(t, format.Protobuf[*wrapperspb.StringValue](), &wrapperspb.StringValue{}, false)
}

func checkZero[S any](t *testing.T, states format.Format[S], value S, want bool) {
	t.Helper()
	f := compile(t, keeping(states))
	data, zero, err := f.State.Append([]byte("before"), &value)
	require.NoError(t, err)
	require.Equal(t, want, zero)
	if want {
		require.Equal(t, "before", string(data))
		return
	}
	again, err := f.State.Decode(data[len("before"):])
	require.NoError(t, err)
	require.Equal(t, states.Show(value), states.Show(*again.(*S)))
}

// A driver may give nil for a row without bytes; it is there all the same.
func TestStateWithoutBytes(t *testing.T) {
	f := compile(t, keeping(format.Protobuf[*wrapperspb.StringValue]()))
	empty := &wrapperspb.StringValue{}
	data, zero, err := f.State.Append(nil, &empty)
	require.NoError(t, err)
	require.False(t, zero)
	require.NotNil(t, data)
	require.Empty(t, data)
	state, err := f.State.Decode(nil)
	require.NoError(t, err)
	require.NotNil(t, *state.(**wrapperspb.StringValue))
}

func TestStatesThatCannotBeKept(t *testing.T) {
	f := compile(t, keeping(format.JSON[string]()))
	for _, bad := range []string{"\x00", `\` + "\x00", "a\x00b"} {
		_, _, err := f.State.Append(nil, &bad)
		require.ErrorIs(t, err, stateful.ErrStateEscape)
	}
	good := `a \u0000 that is only text`
	_, _, err := f.State.Append(nil, &good)
	require.NoError(t, err)

	binary := compile(t, keeping(format.Bytes()))
	nul := []byte(`\u0000`)
	_, _, err = binary.State.Append(nil, &nul)
	require.NoError(t, err)

	invalid := "\xff"
	_, _, err = compile(t, keeping(format.String())).State.Append(nil, &invalid)
	require.EqualError(t, err, "state cannot be written as string: invalid UTF-8 at byte 0")
	_, err = compile(t, keeping(format.Int64())).State.Decode([]byte("x"))
	require.EqualError(t, err, `table keep: state is no int64: "x": invalid syntax`)
}

func TestConfigReportsEverything(t *testing.T) {
	valid := stateful.Config[string, string, int64]{Name: "count", Input: words, State: format.Int64(), Function: count}
	for name, c := range map[string]struct {
		change func(*stateful.Config[string, string, int64])
		lines  []string
	}{
		"nothing set": {func(c *stateful.Config[string, string, int64]) { *c = stateful.Config[string, string, int64]{} }, []string{
			"Name: a function needs a name", "Input: the topic is nil",
			"State: a stateful function needs a format for its states", "Function: a function needs one",
		}},
		"options": {func(c *stateful.Config[string, string, int64]) { c.CacheBytes, c.Delivery = -1, runtime.AtLeastOnce }, []string{
			"Delivery: only exactly once: states and position are one transaction; at least once is for stateless functions",
			"Options: CacheBytes is negative",
		}},
		"outputs": {func(c *stateful.Config[string, string, int64]) { c.Outputs = topic.List{counts, counts} }, []string{
			`Outputs: topic "counts" is listed twice`,
		}},
		"name that is no table": {func(c *stateful.Config[string, string, int64]) { c.Name = "2nd-count" }, []string{
			`Table: must be set, as the name gives none: "2nd_count": a name cannot begin with a digit`,
		}},
		"long name": {func(c *stateful.Config[string, string, int64]) { c.Name = strings.Repeat("n", 64) }, []string{
			`Table: must be set, as the name gives none: "` + strings.Repeat("n", 64) + `": 64 characters; a database keeps 63`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			config := valid
			c.change(&config)
			requireProblems(t, config, c.lines)
		})
	}
	for table, message := range map[string]string{
		"Words": "only a-z, 0-9 and '_'", "a b": "only a-z", `a"b`: "only a-z", "a;b": "only a-z", "né": "only a-z", "a-b": "only a-z",
		"a.b.c": "only a-z", ".a": "is empty", "a.": "is empty", ".": "is empty", "9a": "a digit", "a.9": "a digit",
		"flows_a": "begin with flows_", "a.flows_b": "begin with flows_", "pg_a": "begin with pg_", "pg_a.b": "begin with pg_",
		"sqlite_a": "begin with sqlite_", strings.Repeat("t", 64): "64 characters", strings.Repeat("s", 64) + ".t": "64 characters",
	} {
		config := valid
		config.Table = table
		_, err := config.Compile()
		require.ErrorContains(t, err, message, table)
		require.ErrorContains(t, err, `stateful function "count": Table: `, table)
	}
	for _, table := range []string{"a", "_", "word_count", "shop.word_count", "a9", strings.Repeat("s", 63) + "." + strings.Repeat("t", 63)} {
		config := valid
		config.Table = table
		compile(t, config)
	}
}

func requireProblems[K, V, S any](t *testing.T, c stateful.Config[K, V, S], lines []string) {
	t.Helper()
	_, err := c.Compile()
	config, ok := errors.AsType[*runtime.ConfigError](err)
	require.True(t, ok)
	found := make([]string, len(config.Problems))
	for i, p := range config.Problems {
		found[i] = p.Field + ": " + p.Message
	}
	require.Equal(t, lines, found)
}

func TestInputWithoutKeys(t *testing.T) {
	requireProblems(t, stateful.Config[struct{}, string, int64]{
		Name: "count", Input: topic.New("events", format.None(), format.String()), State: format.Int64(),
		Function: func(context.Context, topic.Message[struct{}, string], int64) (int64, topic.Records, error) {
			return 1, nil, nil
		},
	}, []string{`Input: topic "events" has no keys, and a state belongs to a key`})
}

func TestNothingThatIsBorrowedIsKept(t *testing.T) {
	requireProblems(t, stateful.Config[[]byte, []byte, []byte]{
		Name: "last", Input: topic.New("events", format.Bytes(), format.Borrowed()), State: format.Borrowed(),
		Function: func(_ context.Context, m topic.Message[[]byte, []byte], _ []byte) ([]byte, topic.Records, error) {
			return m.Value, nil, nil
		},
	}, []string{
		`Input: topic "events" has a borrowed format, and a state would keep what is borrowed: read it as bytes`,
		"State: a state can't be borrowed: keep it as bytes",
	})
}

var discard int64

func silent(_ context.Context, m topic.Message[string, string], n int64) (int64, topic.Records, error) {
	discard += int64(len(m.Value))
	return n + 1, nil, nil
}

// Decoding the key and the value is all that a message costs in memory.
func TestAllocations(t *testing.T) {
	f := compile(t, stateful.Config[string, string, int64]{Name: "count", Input: words, State: format.Int64(), Function: silent})
	in, state := message("a key", "a value"), f.State.New()
	require.InDelta(t, 2, testing.AllocsPerRun(100, func() {
		if _, err := f.Apply(t.Context(), in, state); err != nil {
			t.Error(err)
		}
	}), 0)
	buf := make([]byte, 0, 100)
	require.InDelta(t, 0, testing.AllocsPerRun(100, func() {
		if _, _, err := f.State.Append(buf, state); err != nil {
			t.Error(err)
		}
	}), 0)
}

func BenchmarkApply(b *testing.B) {
	f, err := stateful.Config[string, string, int64]{Name: "count", Input: words, State: format.Int64(), Function: silent}.Compile()
	if err != nil {
		b.Fatal(err)
	}
	in, state := message("a key", strings.Repeat("v", 100)), f.State.New()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Apply(b.Context(), in, state); err != nil {
			b.Fatal(err)
		}
	}
}
