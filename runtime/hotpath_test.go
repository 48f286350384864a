package runtime_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/baseline"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// hotMessages is how many messages a batch of the hot path's benchmarks has, and hotKeys how many keys they are of.
const hotMessages, hotKeys = 10_000, 5_000

// hotBatch returns messages as a reader gives them.
func hotBatch() []topic.Raw {
	at := time.UnixMilli(1_700_000_000_000)
	value := []byte(strings.Repeat("x", 100))
	messages := make([]topic.Raw, hotMessages)
	for i := range messages {
		messages[i] = topic.Raw{Offset: int64(i), Timestamp: at, Key: strconv.AppendInt([]byte("key-"), int64(i%hotKeys), 10), Value: value}
	}
	return messages
}

// hotPaths are the stages that every message goes through, each as a function that does one batch. They are what the
// benchmarks measure and what the guard on allocations counts. "count" is all of them but the ports.
func hotPaths(tb testing.TB) baseline.Stages {
	messages := hotBatch()
	count := runtime.NewHotPath(countFunction(tb, runtime.Options{}), messages)
	f := countFunction(tb, runtime.Options{})
	state, inputs, records := f.State.New(), make([]runtime.Input, hotMessages), make(topic.Records, hotMessages)
	for i := range inputs {
		inputs[i] = runtime.Input{Raw: messages[i], Topic: "words"}
		records[i] = counts.Record(string(messages[i].Key), int64(i))
	}
	buf := make([]byte, 0, 1<<20)
	return baseline.Stages{
		"count": count.Batch,
		"decode": func() {
			for i := range messages {
				if _, err := words.Decode(&messages[i], 0); err != nil {
					tb.Fatal(err)
				}
			}
		},
		"apply": func() {
			for i := range inputs {
				if _, err := f.Apply(context.Background(), &inputs[i], state); err != nil {
					tb.Fatal(err)
				}
			}
		},
		"cache":   count.Find,
		"route":   func() { count.Route(records, messages[0].Timestamp) },
		"states":  count.EncodeStates,
		"pending": func() { buf = count.EncodePending(buf[:0]) },
		"ledger":  func() { count.EncodeCheckpoint() },
	}
}

func BenchmarkHotPath(b *testing.B) { baseline.Bench(b, hotMessages, hotPaths(b)) }

// TestHotPathAllocations holds what a batch allocates against the baseline, and against the promise of two allocations a
// message besides what the user's function makes, which here is a slice of records.
func TestHotPathAllocations(t *testing.T) {
	const users, ours, slack = 1, 2, 0.01
	costs := baseline.Hold(t, hotMessages, hotPaths(t))
	require.LessOrEqual(t, costs["count"].Allocations, users+ours+slack+raceSlack)
}
