package simulation

import (
	"context"
	"fmt"
	"time"
)

// tick divides time: whoever waits does so for whole ticks.
const tick = 2 * time.Millisecond

// lane is a place in the engine that calls one thing after the other. Each has a moment in every tick that no other has.
type lane struct {
	process, function int
	// partition is the one that is worked on, from 1, and tenure counts how often the process was given it; both are 0
	// for what the function does besides.
	partition, tenure int
	kind              kind
}

// kind is what is called.
type kind uint8

const (
	describing kind = iota
	creating
	measuring // Bounds
	comparing // Committed
	identifying
	sending
	searching // Batches
	opening
	reading
	claiming
	loading
	committing
	listing // Checkpoints
	grouping
	marking
	pausing
	restarting
	arriving // of calls whose caller has given up
	// inquiring is the first of the kinds that are Producer: there is one for each output partition, as several are asked
	// about at once.
	inquiring
)

var kindNames = [...]string{
	"describe", "create", "bounds", "committed", "identity", "send", "batches", "open", "read", "claim", "load", "commit",
	"checkpoints", "group", "mark", "pause", "restart", "late", "producer",
}

func (k kind) String() string {
	if k > inquiring {
		return fmt.Sprint(kindNames[inquiring], int(k-inquiring))
	}
	return kindNames[k]
}

// The bits of a lane's number.
const (
	kindBits      = 7
	tenureBits    = 2
	partitionBits = 2
	functionBits  = 3
	processBits   = 6
	laneBits      = kindBits + tenureBits + partitionBits + functionBits + processBits
)

// number is the lane's own, up to those tenures of one partition that can't overlap. It is below a tick's nanoseconds. Numbers
// of process 0 are events and the world itself.
func (l lane) number() uint64 {
	n := uint64(l.process)
	n = n<<functionBits | uint64(l.function)
	n = n<<partitionBits | uint64(l.partition)
	n = n<<tenureBits | uint64(l.tenure)&(1<<tenureBits-1)
	return n<<kindBits | uint64(l.kind)
}

// worldLane is that of an event, and of the world itself behind the last.
func worldLane(event int) lane {
	return lane{
		function:  event >> (kindBits + tenureBits + partitionBits),
		partition: event >> (kindBits + tenureBits) & (1<<partitionBits - 1),
		tenure:    event >> kindBits & (1<<tenureBits - 1),
		kind:      kind(event & (1<<kindBits - 1)),
	}
}

// mostProcesses is how many processes there may be while things go wrong, so that their numbers and those of the last ones fit.
const mostProcesses = 1<<processBits - 8

// worldItself is the number of the world's lane, of which no event is.
const worldItself = 1<<(kindBits+tenureBits+partitionBits+functionBits) - 1

// moment is when in a tick it is the lane's turn. The seed decides who comes first.
func (l lane) moment(seed uint64) time.Duration {
	return time.Duration(l.number() * (2*seed + 1) & (1<<laneBits - 1))
}

// until is how long it is from now to the lane's next turn, and so many more ticks.
func (l lane) until(seed uint64, now time.Time, ticks int) time.Duration {
	wait := l.moment(seed) - time.Duration(now.Nanosecond())%tick
	if wait <= 0 {
		wait += tick
	}
	return wait + time.Duration(ticks)*tick
}

// after does something when it is the turn of a lane, so many ticks later, and never twice at one moment.
func (w *world) after(l lane, ticks int, do func()) {
	wait := l.until(w.schedule.seed, time.Now(), ticks)
	w.mutex.Lock()
	for w.due[appointment{l, time.Now().Add(wait)}] {
		wait += tick
	}
	w.due[appointment{l, time.Now().Add(wait)}] = true
	w.mutex.Unlock()
	time.AfterFunc(wait, do)
}

// appointment is something that a lane has at a moment.
type appointment struct {
	lane lane
	at   time.Time
}

// call is one call: what is called, and how many there were before it.
type call struct {
	lane
	count int
}

func (c call) dice(seed uint64) *dice {
	return newDice(seed, c.number(), uint64(c.tenure), uint64(c.count))
}

// caller is who calls, as far as the context of a partition tells.
type caller struct{ partition, tenure int }

type callerKey struct{}

func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// clock is the engine's: virtual time, in whole ticks.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(wholeTicks(d))
	return t.C, func() { t.Stop() }
}

func (clock) AfterFunc(d time.Duration, f func()) func() {
	t := time.AfterFunc(wholeTicks(d), f)
	return func() { t.Stop() }
}

func wholeTicks(d time.Duration) time.Duration { return max(tick, (d + tick - 1).Truncate(tick)) }
