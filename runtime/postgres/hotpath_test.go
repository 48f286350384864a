package postgres

import (
	"strconv"
	"testing"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/internal/baseline"
	"github.com/kappaflows/flows/runtime"
)

// hotStates is how many states the hot path's benchmarks write.
const hotStates = 10_000

// hotPaths are what the driver does to the states of a batch before they go to the server: "arrays" makes the
// parameters of the statement that writes them.
func hotPaths(testing.TB) baseline.Stages {
	table := newStateTable(runtime.StateTable{Name: "word_count", Key: format.Text, State: format.Binary})
	keys, states, versions := make([]string, hotStates), make([][]byte, hotStates), make([]int64, hotStates)
	for i := range keys {
		keys[i], states[i] = "key-"+strconv.Itoa(i), strconv.AppendInt(nil, int64(i), 10)
	}
	return baseline.Stages{"arrays": func() {
		table.keys(keys)
		table.states(states)
		int8Array(versions)
	}}
}

func BenchmarkHotPath(b *testing.B) { baseline.Bench(b, hotStates, hotPaths(b)) }

// TestHotPathAllocations holds what a batch of states allocates against the baseline.
func TestHotPathAllocations(t *testing.T) { baseline.Hold(t, hotStates, hotPaths(t)) }
