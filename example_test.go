package flows_test

import (
	"context"
	"os"
	"strings"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

// A whole main function.
func ExampleMain() {
	flows.Main(
		stateless.Config[string, string]{Name: "split", Input: lines, Outputs: topic.List{words}, Function: split},
		stateful.Config[string, string, int64]{
			Name: "count", Input: words, Outputs: topic.List{counts},
			State: format.Int64(), Table: "word_count", Function: count,
		},
	)
}

// The command line of an app can be called without leaving the process.
func ExampleApp_Execute() {
	app := flows.New(
		stateless.Config[string, string]{Name: "split", Input: lines, Outputs: topic.List{words}, Function: split},
		stateful.Config[string, string, int64]{
			Name: "count", Input: words, Outputs: topic.List{counts},
			State: format.Int64(), Table: "word_count", Function: count,
		},
	)
	app.Execute(context.Background(), []string{"list"}, strings.NewReader(""), os.Stdout, os.Stderr)
	// Output:
	// FUNCTION  KIND       READS  WRITES  TABLE       DELIVERY
	// split     stateless  lines  words   -           exactly once
	// count     stateful   words  counts  word_count  exactly once
}
