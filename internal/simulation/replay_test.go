package simulation

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

var replayed = flag.Uint64("sim.replays", 100, "how many seeds are run twice, to see that they are the same run")

// TestReplay: a seed is the same run each time, to the last call and nanosecond; in another process, and on another number of
// processors, too. The race detector, which shuffles goroutines, makes it harder.
func TestReplay(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+*replayed; seed++ {
		first := live(t, newSchedule(seed), settings{journal: true}).journal.sorted()
		again := live(t, newSchedule(seed), settings{journal: true}).journal.sorted()
		require.NotEmpty(t, first)
		for i := range min(len(first), len(again)) {
			require.Equal(t, first[i], again[i], "seed %d, entry %d", seed, i)
		}
		require.Len(t, again, len(first), "seed %d", seed)
	}
	for i, seed := range []uint64{0, 3, 17, 29, 53, 97} {
		trace := fmt.Sprintf("trace %016x,", live(t, newSchedule(seed), settings{journal: true}).journal.trace())
		other := exec.Command(os.Args[0], "-test.run", "^TestSimulation$", "-test.v", fmt.Sprint("-sim.seed=", seed))
		other.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", 1+i))
		output, err := other.CombinedOutput()
		require.NoError(t, err, string(output))
		require.Contains(t, string(output), trace, "seed %d", seed)
	}
}

// TestReplayOfFaults: the faults that a seed decided on, given as a schedule, make the same run. Making schedules smaller rests
// on that.
func TestReplayOfFaults(t *testing.T) {
	faults := 0
	const seeds, few = 50, 50
	for seed := range uint64(seeds) {
		s := newSchedule(seed)
		first := live(t, s, settings{journal: true})
		s.faults = first.happened
		again := live(t, s, settings{journal: true})
		require.Equal(t, first.happened, again.happened, "seed %d", seed)
		require.Equal(t, first.journal.trace(), again.journal.trace(), "seed %d", seed)
		faults += len(first.happened)
	}
	require.Greater(t, faults, few)
}
