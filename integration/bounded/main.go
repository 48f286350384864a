// Command bounded is run by the test of memory: functions of messages that are as large as they can be.
package main

import (
	"context"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

var (
	lines  = topic.New("lines", format.String(), format.Bytes())
	counts = topic.New("counts", format.String(), format.Int64())
	bulk   = topic.New("bulk", format.String(), format.Bytes())
	copies = topic.New("copies", format.String(), format.Bytes())
)

func count(_ context.Context, line topic.Message[string, []byte], n int64) (int64, topic.Records, error) {
	n++
	return n, topic.Records{counts.Record(line.Key, n)}, nil
}

func copyOf(_ context.Context, m topic.Message[string, []byte]) (topic.Records, error) {
	return topic.Records{copies.Record(m.Key, m.Value)}, nil
}

func main() {
	flows.Main(
		stateful.Config[string, []byte, int64]{
			Name: "count", Input: lines, Outputs: topic.List{counts}, State: format.Int64(), Table: "line_count", Function: count,
		},
		stateless.Config[string, []byte]{Name: "copy", Input: bulk, Outputs: topic.List{copies}, Function: copyOf},
	)
}
