// Command wordcount counts the words of lines of text, exactly once.
package main

import (
	"context"
	"strings"

	"github.com/kappaflows/flows"
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

func main() {
	flows.New(
		stateless.Config[string, string]{Name: "split", Input: lines, Outputs: topic.List{words}, Function: split},
		stateful.Config[string, string, int64]{Name: "count", Input: words, Outputs: topic.List{counts}, State: format.Int64(), Table: "word_count", Function: count},
	).With(demo).Main()
}
