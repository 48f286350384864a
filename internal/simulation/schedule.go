package simulation

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// schedule is all that a run depends on. A seed makes one; shrink makes smaller ones of it.
type schedule struct {
	seed   uint64
	plan   plan
	events []event
	// faults says what goes wrong with which call. Where it is nil the seed decides, call by call.
	faults map[call]fault
}

// plan is what does not change in a run.
type plan struct {
	inputs, middles, outputs int32
	processes                int
	// faults is how many of 4,000 calls that ask go wrong, and trouble how many of a thousand messages are trouble to the
	// functions.
	faults, trouble int
	// authors, rows and pair say which functions there are besides split and count.
	authors, rows, pair bool
	batchMessages       int
	batchBytes          int
	cacheBytes          int
	drainTimeout        time.Duration
	// maxBytes is the size of record batches that the topics take.
	maxBytes int
	// restarts says that a process that has died is followed by another.
	restarts bool
	// awake says that the database goes back, in the end, while the app runs.
	awake bool
	// stops says that a message which is refused, by split or by the database for its row, stops its function until people mend
	// that; else such messages are dead letters.
	stops bool
}

func (p plan) options() runtime.Options {
	return runtime.Options{
		BatchMessages: p.batchMessages, BatchBytes: p.batchBytes, CacheBytes: p.cacheBytes, DrainTimeout: p.drainTimeout,
		Errors: runtime.ErrorPolicy{Attempts: 10_000, FirstWait: 20 * tick, LongestWait: 200 * tick},
	}
}

// event is one thing that happens to the world.
type event struct {
	// number tells the event from others.
	number int
	// at is when it happens, from the start; nights before it come on top.
	at   time.Duration
	what happening
	// pick chooses among what is there, and lasts is how long it is so.
	pick  uint64
	lasts time.Duration
	// line is what is put into the partition.
	line      line
	partition int32
}

// line is one line of the input: who wrote it, and its words.
type line struct {
	author string
	words  []string
}

func (l line) String() string { return strings.Join(l.words, " ") }

// refusedWord makes a line one that split refuses.
const refusedWord = "!"

func (l line) refused() bool { return slices.Contains(l.words, refusedWord) }

// happening is what can happen to the world.
type happening uint8

const (
	lineComes happening = iota
	processStarts
	processStops
	processDies
	processPauses
	brokerRestarts
	otherClaims
	membersAreEvicted
	identityIsLost
	storeGoesDown
	nightFalls
	inputIsDeleted
	backupIsMade
	backupIsRestored
)

// newSchedule returns what a seed decides beforehand.
func newSchedule(seed uint64) schedule {
	d := newDice(seed)
	s := schedule{seed: seed, plan: newPlan(d)}
	at := time.Duration(0)
	for range d.below(s.plan.processes + 1) {
		at += d.wait(20 * tick)
		s.events = append(s.events, event{number: len(s.events), at: at, what: processStarts})
	}
	for range 10 + d.below(30) {
		// Many things come while others are under way, and some when all is quiet.
		at += d.wait(time.Duration(d.of(10, 40, 400, 2000)) * tick)
		for _, e := range s.plan.step(d) {
			e.number, e.at = len(s.events), at
			s.events = append(s.events, e)
			at += tick
		}
	}
	return s
}

func newPlan(d *dice) plan {
	return plan{
		inputs: int32(1 + d.below(3)), middles: int32(1 + d.below(3)), outputs: int32(1 + d.below(3)),
		processes:     1 + d.below(3),
		faults:        d.of(0, 10, 30, 60, 120),
		trouble:       d.of(0, 0, 30, 300),
		authors:       d.oneIn(3),
		rows:          d.oneIn(4),
		pair:          d.oneIn(6),
		batchMessages: d.of(1, 3, 7, 100), batchBytes: d.of(0, 300), cacheBytes: d.of(0, 1, 2000),
		drainTimeout: time.Duration(d.below(2)) * time.Second,
		maxBytes:     d.of(100, 300, 1<<20),
		restarts:     !d.oneIn(4),
		awake:        d.oneIn(2),
		stops:        d.oneIn(4),
	}
}

// step returns what happens at one moment, or soon one after the other.
func (p plan) step(d *dice) []event {
	one := func(what happening, longest time.Duration) []event {
		return []event{{what: what, pick: d.throw(), lasts: d.wait(longest)}}
	}
	switch d.below(80) {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9:
		return one(processStarts, tick)
	case 10, 11:
		return one(processStops, tick)
	case 12, 13:
		return one(processDies, tick)
	case 14, 15:
		return one(processPauses, time.Minute)
	case 16, 17, 18, 19:
		return one(brokerRestarts, tick)
	case 20, 21, 22, 23:
		return one(otherClaims, tick)
	case 24, 25, 26, 27:
		return one(membersAreEvicted, 20*time.Second)
	case 28, 29, 30, 31:
		return one(identityIsLost, tick)
	case 32, 33, 34:
		return one(storeGoesDown, time.Duration(d.of(100, 1000, 10_000))*tick)
	case 35, 36:
		return one(nightFalls, tick)
	case 37, 38, 39, 40:
		return one(inputIsDeleted, tick)
	case 41, 42, 43, 44:
		return one(backupIsMade, tick)
	case 45:
		return one(backupIsRestored, tick)
	}
	var lines []event
	for range d.below(d.of(4, 6, 20)) {
		lines = append(lines, event{what: lineComes, partition: int32(d.below(int(p.inputs))), line: newLine(d)})
	}
	return lines
}

func newLine(d *dice) line {
	l := line{author: "a" + strconv.Itoa(d.below(2))}
	for range d.below(5) {
		// Few words come often, as in a text.
		l.words = append(l.words, "w"+strconv.Itoa(d.below(1+d.below(1+d.below(16)))))
	}
	if d.oneIn(16) {
		l.words = append(l.words, refusedWord)
	}
	return l
}
