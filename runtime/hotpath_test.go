package runtime_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
// benchmarks measure and what the guard on allocations counts.
func hotPaths(tb testing.TB) map[string]func() {
	messages := hotBatch()
	count := runtime.NewHotPath(countFunction(tb, runtime.Options{}), messages)
	f := countFunction(tb, runtime.Options{})
	state, key := f.State.New(), make([]runtime.Input, hotMessages)
	for i := range key {
		key[i] = runtime.Input{Raw: messages[i], Topic: "words"}
	}
	buf := make([]byte, 0, 1<<20)
	return map[string]func(){
		"count": count.Batch,
		"apply": func() {
			for i := range key {
				if _, err := f.Apply(context.Background(), &key[i], state); err != nil {
					tb.Fatal(err)
				}
			}
		},
		"cache":   count.Find,
		"states":  count.EncodeStates,
		"pending": func() { buf = count.EncodePending(buf[:0]) },
		"ledger":  func() { count.EncodeCheckpoint() },
	}
}

func BenchmarkHotPath(b *testing.B) {
	for name, batch := range hotPaths(b) {
		b.Run(name, func(b *testing.B) {
			batch()
			b.ReportAllocs()
			for b.Loop() {
				batch()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/hotMessages, "ns/msg")
		})
	}
}

// TestHotPathAllocations holds the allocations of a batch against a baseline that is committed: a tenth more fails
// (more under the race detector, which makes pools forget at random). Where they became fewer, or more for a good reason, the baseline is to be changed with the code.
func TestHotPathAllocations(t *testing.T) {
	baseline := readBaseline(t, "testdata/allocations.txt")
	const slack = 16 // A batch may start a chunk of an arena, or grow a map, or not.
	for name, batch := range hotPaths(t) {
		batch()
		got := testing.AllocsPerRun(10, batch)
		t.Logf("%-8s %8.0f allocations a batch, %.3f a message", name, got, got/hotMessages)
		want, ok := baseline[name]
		require.True(t, ok, "testdata/allocations.txt has no line for %q; it takes %.0f", name, got)
		require.LessOrEqual(t, got, want*allocationLimit+slack, "allocations of %s, a batch of %d messages", name, hotMessages)
	}
}

func readBaseline(t *testing.T, path string) map[string]float64 {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	baseline := map[string]float64{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var name string
		var allocations float64
		if line := lines.Text(); line != "" && line[0] != '#' {
			_, err := fmt.Sscan(line, &name, &allocations)
			require.NoError(t, err, line)
			baseline[name] = allocations
		}
	}
	return baseline
}
