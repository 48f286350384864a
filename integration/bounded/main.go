// Command bounded is run by the test of memory: functions whose knobs come from the environment.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
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
	options := runtime.Options{BatchBytes: knob("BATCH_BYTES"), QueueBytes: knob("QUEUE_BYTES"), CacheBytes: knob("CACHE_BYTES")}
	flows.Main(
		stateful.Config[string, []byte, int64]{
			Name: "count", Input: lines, Outputs: topic.List{counts}, State: format.Int64(), Table: "line_count", Function: count, Options: options,
		},
		stateless.Config[string, []byte]{Name: "copy", Input: bulk, Outputs: topic.List{copies}, Function: copyOf, Options: options},
	)
}

func knob(name string) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		fmt.Fprintln(os.Stderr, name, err)
		os.Exit(2)
	}
	return n
}
