package stateless_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

var (
	lines  = topic.New("lines", format.String(), format.String())
	words  = topic.New("words", format.String(), format.String())
	shouts = topic.New("shouts", format.String(), format.String())
	sizes  = topic.New("sizes", format.String(), format.Int64())
)

// feed shows what a function makes of messages, given as key and value.
func feed(f interface {
	Compile() (*runtime.Function, error)
}, from topic.Declared, messages ...string,
) {
	compiled, err := f.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := 0; i < len(messages); i += 2 {
		in := &runtime.Input{Topic: from.Spec().Name}
		in.Key, in.Value = []byte(messages[i]), []byte(messages[i+1])
		records, err := compiled.Apply(context.Background(), in, nil)
		if err != nil {
			fmt.Println(err)
		}
		for _, r := range records {
			fmt.Printf("%s: %s=%s\n", r.Spec().Name, r.Key(), r.Value())
		}
	}
}

func split(_ context.Context, line topic.Message[string, string]) (out topic.Records, _ error) {
	for word := range strings.FieldsSeq(line.Value) {
		out = append(out, words.Record(word, word))
	}
	return out, nil
}

func Example() {
	f := stateless.Config[string, string]{Name: "split", Input: lines, Outputs: topic.List{words}, Function: split}
	feed(f, lines, "1", "to be or", "2", "not")
	// Output:
	// words: to=to
	// words: be=be
	// words: or=or
	// words: not=not
}

func ExampleConfig_Compile() {
	var unset *topic.Topic[string, string]
	f := stateless.Config[string, string]{Name: "split lines", Outputs: topic.List{words, words, unset}}
	_, err := f.Compile()
	for _, line := range func() *runtime.ConfigError {
		target := &runtime.ConfigError{}
		_ = errors.As(err, &target)
		return target
	}().Lines() {
		fmt.Println(line)
	}
	// Output:
	// stateless function "split lines": Name: only a-z, A-Z, 0-9, '.', '_' and '-' are allowed
	// stateless function "split lines": Input: the topic is nil
	// stateless function "split lines": Outputs: topic "words" is listed twice
	// stateless function "split lines": Outputs: topic 3 of 3 is nil
	// stateless function "split lines": Function: a function needs one
}

func ExampleMap() {
	f := stateless.Map("shout", lines, shouts, func(m topic.Message[string, string]) (string, string) {
		return m.Key, strings.ToUpper(m.Value)
	})
	feed(f, lines, "1", "to be")
	// Output: shouts: 1=TO BE
}

func ExampleFilter() {
	f := stateless.Filter("long", lines, shouts, func(m topic.Message[string, string]) bool { return len(m.Value) > 3 })
	feed(f, lines, "1", "to", "2", "to be")
	// Output: shouts: 2=to be
}

func ExampleExplode() {
	f := stateless.Explode("measure", lines, sizes, func(m topic.Message[string, string]) iter.Seq2[string, int64] {
		return func(yield func(string, int64) bool) {
			for word := range strings.FieldsSeq(m.Value) {
				if !yield(word, int64(len(word))) {
					return
				}
			}
		}
	})
	feed(f, lines, "1", "to flow")
	// Output:
	// sizes: to=2
	// sizes: flow=4
}

func ExampleBranch() {
	f := stateless.Branch("sort", lines,
		stateless.When(func(m topic.Message[string, string]) bool { return strings.HasSuffix(m.Value, "!") }, shouts),
		stateless.WhenMap(func(m topic.Message[string, string]) bool { return len(m.Value) > 3 }, sizes,
			func(m topic.Message[string, string]) (string, int64) { return m.Key, int64(len(m.Value)) }),
		stateless.Otherwise(words),
	)
	feed(f, lines, "1", "hey!", "2", "a long line", "3", "tea")
	// Output:
	// shouts: 1=hey!
	// sizes: 2=11
	// words: 3=tea
}

func ExampleMerge() {
	f := stateless.Merge("all", shouts, lines, words)
	feed(f, lines, "1", "to be")
	feed(f, words, "2", "or")
	// Output:
	// shouts: 1=to be
	// shouts: 2=or
}

func ExampleMirror() {
	f := stateless.Mirror("copy", lines, shouts)
	feed(f, lines, "1", "to be")
	// Output: shouts: 1=to be
}

func ExampleFunction_With() {
	f := stateless.Mirror("copy", lines, shouts).With(stateless.Options{Delivery: runtime.AtLeastOnce})
	compiled, err := f.Compile()
	fmt.Println(compiled.Options.Delivery, err)
	// Output: at least once <nil>
}
