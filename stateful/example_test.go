package stateful_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/topic"
)

var (
	words  = topic.New("words", format.String(), format.String())
	counts = topic.New("counts", format.String(), format.Int64())
)

func count(_ context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
	n++
	return n, topic.Records{counts.Record(word.Key, n)}, nil
}

func Example() {
	counting := stateful.Config[string, string, int64]{
		Name: "count", Input: words, Outputs: topic.List{counts},
		State: format.Int64(), Table: "word_count", Function: count,
	}
	f, err := counting.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	// What the engine does, for one key.
	state := f.State.New()
	for range 2 {
		in := &runtime.Input{Topic: "words", Raw: topic.Raw{Key: []byte("tea"), Value: []byte("tea")}}
		records, err := f.Apply(context.Background(), in, state)
		fmt.Printf("%s=%s %v\n", records[0].Key(), records[0].Value(), err)
	}
	row, _, err := f.State.Append(nil, state)
	fmt.Printf("a row of %s: %s %v\n", f.State.Table.Name, row, err)
	// Output:
	// tea=1 <nil>
	// tea=2 <nil>
	// a row of word_count: 2 <nil>
}

func ExampleConfig_Compile() {
	f := stateful.Config[string, string, int64]{
		Name: "count", Input: words, Table: "flows_count", Options: stateful.Options{Delivery: runtime.AtLeastOnce},
	}
	_, err := f.Compile()
	for _, line := range func() *runtime.ConfigError {
		target := &runtime.ConfigError{}
		_ = errors.As(err, &target)
		return target
	}().Lines() {
		fmt.Println(line)
	}
	// Output:
	// stateful function "count": State: a stateful function needs a format for its states
	// stateful function "count": Table: "flows_count": names that begin with flows_ are not the program's
	// stateful function "count": Function: a function needs one
	// stateful function "count": Delivery: only exactly once: states and position are one transaction; at least once is for stateless functions
}
