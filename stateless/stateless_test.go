package stateless_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

type compiler interface {
	Compile() (*runtime.Function, error)
}

func compile(t *testing.T, f compiler) *runtime.Function {
	t.Helper()
	compiled, err := f.Compile()
	require.NoError(t, err)
	return compiled
}

func apply(t *testing.T, f compiler, in *runtime.Input) topic.Records {
	t.Helper()
	records, err := compile(t, f).Apply(t.Context(), in, nil)
	require.NoError(t, err)
	return records
}

// message is an input with all that a message can have.
func message(key, value string) *runtime.Input {
	return &runtime.Input{Topic: "lines", Partition: 3, Raw: topic.Raw{
		Offset: 7, Timestamp: time.UnixMilli(1234), Key: []byte(key), Value: []byte(value),
		Headers: topic.Headers{{Key: "flows-reason", Value: []byte("r")}, {Key: "trace", Value: []byte("t")}},
	}}
}

func tombstone(key string) *runtime.Input {
	in := message(key, "")
	in.Value = nil
	return in
}

func TestConfigCompiles(t *testing.T) {
	options := stateless.Options{BatchMessages: 5, Delivery: runtime.AtLeastOnce}
	var seen topic.Message[string, string]
	f := compile(t, stateless.Config[string, string]{
		Name: "split", Input: lines, Outputs: topic.List{words, sizes}, Options: options,
		Function: func(_ context.Context, m topic.Message[string, string]) (topic.Records, error) {
			seen = m
			return topic.Records{words.Record(m.Key, m.Value)}, nil
		},
	})
	require.Equal(t, "split", f.Name)
	require.Equal(t, "stateless", f.Kind)
	require.Equal(t, []*topic.Spec{lines.Spec()}, f.Inputs)
	require.Equal(t, []*topic.Spec{words.Spec(), sizes.Spec()}, f.Outputs)
	require.Nil(t, f.State)
	require.Equal(t, options, f.Options)

	in := message("k", "v")
	records, err := f.Apply(t.Context(), in, nil)
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.Equal(t, topic.Message[string, string]{
		Key: "k", Value: "v", Headers: in.Headers, Timestamp: in.Timestamp, Topic: "lines", Partition: 3, Offset: 7,
	}, seen)
}

func TestErrorsAreReturnedAsTheyAre(t *testing.T) {
	broken := errors.New("broken")
	f := compile(t, stateless.Config[string, string]{
		Name: "fail", Input: lines,
		Function: func(context.Context, topic.Message[string, string]) (topic.Records, error) { return nil, broken },
	})
	_, err := f.Apply(t.Context(), message("k", "v"), nil)
	require.Equal(t, broken, err)
	_, err = f.Apply(t.Context(), message("k\xff", "v"), nil)
	require.ErrorAs(t, err, new(*topic.DecodeError))
}

func TestEveryHelperReportsDecodeErrors(t *testing.T) {
	same := func(m topic.Message[string, string]) (string, string) { return m.Key, m.Value }
	yes := func(topic.Message[string, string]) bool { return true }
	for _, f := range []compiler{
		stateless.Map("f", lines, words, same),
		stateless.Filter("f", lines, words, yes),
		stateless.Explode("f", lines, words, func(topic.Message[string, string]) iter.Seq2[string, string] { return nil }),
		stateless.Branch("f", lines, stateless.Otherwise(words)),
	} {
		_, err := compile(t, f).Apply(t.Context(), message("k", "v\xff"), nil)
		require.ErrorAs(t, err, new(*topic.DecodeError))
	}
}

func TestMapKeepsHeadersAndTombstones(t *testing.T) {
	f := stateless.Map("size", lines, sizes, func(m topic.Message[string, string]) (string, int64) {
		return strings.ToUpper(m.Key), int64(len(m.Value))
	})
	in := message("k", "value")
	out := apply(t, f, in)
	require.Len(t, out, 1)
	require.Equal(t, "K", string(out[0].Key()))
	require.Equal(t, "5", string(out[0].Value()))
	require.Equal(t, in.Headers, out[0].Headers())
	require.Empty(t, out[0].OwnHeaders())

	out = apply(t, f, tombstone("k"))
	require.Equal(t, "K", string(out[0].Key()))
	require.Nil(t, out[0].Value())
	require.Equal(t, in.Headers, out[0].Headers())
}

func TestExplode(t *testing.T) {
	f := stateless.Explode("split", lines, words, func(m topic.Message[string, string]) iter.Seq2[string, string] {
		return func(yield func(string, string) bool) {
			for word := range strings.FieldsSeq(m.Value) {
				if !yield(word, m.Key) {
					return
				}
			}
		}
	})
	in := message("k", "a b c")
	out := apply(t, f, in)
	require.Len(t, out, 3)
	require.Equal(t, "c", string(out[2].Key()))
	require.Equal(t, in.Headers, out[2].Headers())
	require.Empty(t, apply(t, f, message("k", "  ")))
}

func TestFilterPassesBytes(t *testing.T) {
	documents := topic.New("documents", format.String(), format.JSON[map[string]int]())
	kept := topic.New("kept", format.String(), format.JSON[map[string]int]())
	f := stateless.Filter("keep", documents, kept, func(m topic.Message[string, map[string]int]) bool {
		return m.Tombstone || m.Value["a"] > 1
	})
	in := message("k", ` {"b": 1, "a": 2} `)
	out := apply(t, f, in)
	require.Len(t, out, 1)
	require.Equal(t, string(in.Value), string(out[0].Value()))
	require.Equal(t, in.Headers, out[0].Headers())
	require.Same(t, kept.Spec(), out[0].Spec())
	require.Empty(t, apply(t, f, message("k", `{}`)))
	out = apply(t, f, tombstone("k"))
	require.Len(t, out, 1)
	require.Nil(t, out[0].Value())
}

// shouted is another format of the same type.
type shouted struct{ format.Format[string] }

func (shouted) Name() string { return "shouted" }

func (f shouted) Append(dst []byte, value string) ([]byte, error) {
	return f.Format.Append(dst, strings.ToUpper(value))
}

func TestFilterEncodesAnewWhereFormatsDiffer(t *testing.T) {
	loud := topic.New[string, string]("loud", format.String(), shouted{format.String()})
	f := stateless.Filter("keep", lines, loud, func(topic.Message[string, string]) bool { return true })
	in := message("k", "value")
	out := apply(t, f, in)
	require.Equal(t, "k", string(out[0].Key()))
	require.Equal(t, "VALUE", string(out[0].Value()))
	require.Equal(t, in.Headers, out[0].Headers())
	out = apply(t, f, tombstone("k"))
	require.Nil(t, out[0].Value())
}

func TestBranch(t *testing.T) {
	is := func(text string) func(topic.Message[string, string]) bool {
		return func(m topic.Message[string, string]) bool { return m.Value == text }
	}
	size := func(m topic.Message[string, string]) (string, int64) { return m.Key, int64(len(m.Value)) }
	f := stateless.Branch("sort", lines,
		stateless.When(is("a"), words), stateless.When(is("b"), shouts), stateless.When(is("c"), words),
		stateless.When(is("a"), shouts), stateless.OtherwiseMap(sizes, size))
	require.Equal(t, []*topic.Spec{words.Spec(), shouts.Spec(), sizes.Spec()}, compile(t, f).Outputs)
	for value, want := range map[string]*topic.Spec{
		"a": words.Spec(), "b": shouts.Spec(), "c": words.Spec(), "dd": sizes.Spec(),
	} {
		in := message("k", value)
		out := apply(t, f, in)
		require.Len(t, out, 1)
		require.Same(t, want, out[0].Spec(), value)
		require.Equal(t, in.Headers, out[0].Headers())
	}
	out := apply(t, f, tombstone("k"))
	require.Same(t, sizes.Spec(), out[0].Spec())
	require.Nil(t, out[0].Value())

	partial := stateless.Branch("sort", lines, stateless.When(is("a"), words))
	require.Empty(t, apply(t, partial, message("k", "z")))
}

func TestMirrorAndMergePassEverything(t *testing.T) {
	for _, f := range []compiler{stateless.Mirror("copy", lines, shouts), stateless.Merge("all", shouts, words, lines)} {
		for _, in := range []*runtime.Input{message("k", "not \xff text"), tombstone("k"), {Topic: "lines"}} {
			out := apply(t, f, in)
			require.Len(t, out, 1)
			require.Equal(t, in.Key, out[0].Key())
			require.Equal(t, in.Value, out[0].Value())
			require.Equal(t, in.Headers, out[0].Headers())
			require.Empty(t, out[0].OwnHeaders())
			require.True(t, out[0].Timestamp().IsZero(), "the engine gives it its input's")
		}
	}
	merged := compile(t, stateless.Merge("all", shouts, words, lines))
	require.Equal(t, []*topic.Spec{words.Spec(), lines.Spec()}, merged.Inputs)
}

func TestHelpersReportEverything(t *testing.T) {
	var none *topic.Topic[string, string]
	var numbers *topic.Topic[string, int64]
	loud := topic.New[string, string]("loud", format.String(), shouted{format.String()})
	yes := func(topic.Message[string, string]) bool { return true }
	bad := stateless.Options{BatchBytes: -1}
	for name, c := range map[string]struct {
		function compiler
		problems []string
	}{
		"map": {stateless.Map[string, string, string, int64]("f", none, numbers, nil), []string{
			"Input: the topic is nil", "Outputs: the topic is nil", "Function: a map needs one",
		}},
		"filter": {stateless.Filter("f", none, words, nil), []string{
			"Input: the topic is nil", "Function: a filter needs one",
		}},
		"explode": {stateless.Explode[string, string, string, string]("", lines, none, nil), []string{
			"Name: a function needs a name", "Outputs: the topic is nil", "Function: an explode needs one",
		}},
		"branch without cases": {stateless.Branch("f", none), []string{
			"Input: the topic is nil", "Cases: a branch needs one or more",
		}},
		"branch": {
			stateless.Branch("f", lines, stateless.Otherwise(words), stateless.When(yes, none), stateless.When(nil, shouts), stateless.Case[string, string]{}),
			[]string{
				"Outputs: topic 2 of 3 is nil", "Cases: case 1 takes every message and is not the last",
				"Cases: case 3 has no function", "Cases: case 4 is empty",
			},
		},
		"branch with mappings": {
			stateless.Branch("f", lines, stateless.WhenMap[string, string, string, int64](yes, sizes, nil), stateless.OtherwiseMap[string, string](numbers, nil)),
			[]string{"Outputs: topic 2 of 2 is nil", "Cases: case 1 has no function", "Cases: case 2 has no function"},
		},
		"merge of nothing": {stateless.Merge("f", words), []string{"Input: a function needs a topic to read"}},
		"merge": {stateless.Merge("f", words, lines, lines, none, loud), []string{
			`Input: topic "lines" is listed twice`,
			"Input: topic 3 of 4 is nil",
			`Input: topic "loud" has keys of string and values of shouted; topic "words" has string and string`,
		}},
		"mirror": {stateless.Mirror("f", none, none).With(bad), []string{
			"Input: the topic is nil", "Outputs: the topic is nil", "Options: BatchBytes is negative",
		}},
		"function": {stateless.Function{}, []string{
			"Name: a function needs a name", "Input: a function needs a topic to read", "Function: make one with a helper of this package",
		}},
		"config": {stateless.Config[string, string]{Name: strings.Repeat("n", 201), Options: bad}, []string{
			"Name: 201 characters; 200 at most",
			"Input: the topic is nil", "Function: a function needs one", "Options: BatchBytes is negative",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.function.Compile()
			config, ok := errors.AsType[*runtime.ConfigError](err)
			require.True(t, ok)
			require.Equal(t, "stateless", config.Kind)
			found := make([]string, len(config.Problems))
			for i, p := range config.Problems {
				found[i] = p.Field + ": " + p.Message
			}
			require.Equal(t, c.problems, found)
		})
	}
}

func BenchmarkApply(b *testing.B) {
	compiled, err := stateless.Map("same", lines, words, func(m topic.Message[string, string]) (string, string) {
		return m.Key, m.Value
	}).Compile()
	if err != nil {
		b.Fatal(err)
	}
	in := &runtime.Input{Topic: "lines", Raw: topic.Raw{Key: []byte("a key"), Value: []byte(strings.Repeat("v", 100))}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := compiled.Apply(b.Context(), in, nil); err != nil {
			b.Fatal(err)
		}
	}
}
