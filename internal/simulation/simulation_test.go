package simulation

import (
	"flag"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

var (
	oneSeed   = flag.Int64("sim.seed", -1, "simulate this seed alone; with -v its story is told")
	firstSeed = flag.Uint64("sim.from", 0, "the first seed to simulate")
	tellAll   = flag.Bool("sim.all", false, "tell of every call, and not only of those that change something or go wrong")
	seedCount = flag.Uint64("sim.seeds", 300, "how many seeds to simulate")
)

// live runs a schedule in virtual time. The bubble ends only when no goroutine is left; where some are for ever, that is what
// is wrong.
func live(t *testing.T, s schedule, with settings) (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			o.err = fmt.Errorf("goroutines are left: %v: %w", v, errWrong)
		}
	}()
	synctest.Test(t, func(t *testing.T) { run(t.Context(), s, with, &o) })
	return o
}

// TestSimulation runs many seeds, in as many goroutines as there are processors, or one seed. The first that fails is made
// smaller and told.
func TestSimulation(t *testing.T) {
	if *oneSeed >= 0 {
		simulateOne(t, uint64(*oneSeed))
		return
	}
	parts := uint64(goruntime.GOMAXPROCS(0))
	for part := range parts {
		t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
			t.Parallel()
			for seed := *firstSeed + part; seed < *firstSeed+*seedCount; seed += parts {
				if o := live(t, newSchedule(seed), settings{}); o.err != nil {
					t.Fatal(explain(t, seed, o, settings{}))
				}
			}
		})
	}
}

// simulateOne runs a seed just as it ran among others, and tells all of it.
func simulateOne(t *testing.T, seed uint64) {
	s := newSchedule(seed)
	o := live(t, s, settings{journal: true})
	t.Logf("seed %d is trace %016x, each time and everywhere as long as the code is the same", seed, o.journal.trace())
	if o.err != nil {
		t.Fatal(explain(t, seed, o, settings{}))
	}
	var story strings.Builder
	o.tell(&story, s, *tellAll)
	t.Log("\n" + story.String())
}

// triesToShrink bounds how long it takes to make a schedule smaller.
const triesToShrink = 1000

// explain says what a seed has found, how to have it again, and the story of the smallest schedule that fails alike.
func explain(t *testing.T, seed uint64, found outcome, with settings) string {
	s, small := shrunk(t, newSchedule(seed), found, with)
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "seed %d: %v\nagain: go test ./internal/simulation -run TestSimulation -sim.seed=%d\n\nmade smaller:\n", seed, found.err, seed)
	small.tell(&text, s, *tellAll)
	return text.String()
}

// shrunk makes a schedule smaller and runs what is left.
func shrunk(t *testing.T, s schedule, found outcome, with settings) (schedule, outcome) {
	with.journal = false
	s = shrink(s, found.happened, func(s schedule) error { return live(t, s, with).err }, triesToShrink)
	with.journal = true
	return s, live(t, s, with)
}

// TestStory: what fails is made small, and told so that one can follow it.
func TestStory(t *testing.T) {
	with := settings{mutate: mutations["outputs are sent without an identity"]}
	seed := uint64(0)
	o := live(t, newSchedule(seed), with)
	for o.err == nil {
		seed++
		o = live(t, newSchedule(seed), with)
	}
	s, small := shrunk(t, newSchedule(seed), o, with)
	require.Equal(t, kindOf(o.err), kindOf(small.err))
	story := explain(t, seed, o, with)
	t.Log("\n" + story)
	require.Equal(t, story, explain(t, seed, o, with), "each time the same")
	const few = 12
	require.LessOrEqual(t, len(s.events)+len(s.faults), few)
	for _, part := range []string{
		fmt.Sprintf("-sim.seed=%d", seed),
		"a line comes into lines/",
		"process 1 starts",
		", split lines/0: claims it: epoch 1, next offset -1",
		": sends as producer -1.0, ",
		"the check: " + small.err.Error(),
	} {
		require.Contains(t, story, part)
	}
}
