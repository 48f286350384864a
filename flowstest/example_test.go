package flowstest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kappaflows/flows/flowstest"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

var (
	lines  = topic.New("lines", format.String(), format.String())
	words  = topic.New("words", format.String(), format.String())
	counts = topic.New("counts", format.String(), format.Int64())
)

func split(_ context.Context, line topic.Message[string, string]) (out topic.Records, _ error) {
	for word := range strings.FieldsSeq(line.Value) {
		out = append(out, words.Record(word, word))
	}
	return out, nil
}

func count(_ context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
	n++
	return n, topic.Records{counts.Record(word.Key, n)}, nil
}

// Functions are tested together, as the app runs them. In a test, t is its *testing.T.
func Example() {
	t := &exampleT{}
	defer t.done()

	app := flowstest.New(t,
		stateless.Config[string, string]{Name: "split", Input: lines, Outputs: topic.List{words}, Function: split},
		stateful.Config[string, string, int64]{
			Name: "count", Input: words, Outputs: topic.List{counts}, State: format.Int64(), Table: "word_count", Function: count,
		},
	)
	app.Send(lines.Record("1", "to be or"), lines.Record("2", "not to be"))
	app.Crash()
	app.Settle()

	for _, m := range slices.SortedFunc(slices.Values(flowstest.Records(app, counts)), byKey) {
		fmt.Println(m.Key, m.Value)
	}
	fmt.Println(app.State("word_count"))
	// Output:
	// be 1
	// be 2
	// not 1
	// or 1
	// to 1
	// to 2
	// map[be:2 not:1 or:1 to:2]
}

func byKey(a, b topic.Message[string, int64]) int {
	if c := strings.Compare(a.Key, b.Key); c != 0 {
		return c
	}
	return int(a.Value - b.Value)
}

// exampleT stands in for the *testing.T that an example does not have.
type exampleT struct{ cleanups []func() }

func (t *exampleT) Helper()                           {}
func (t *exampleT) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (t *exampleT) done() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}
