package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// fault is what may go wrong with a call.
type fault uint8

const (
	none fault = iota
	// slow calls take a while.
	slow
	// requestLost is a call that never arrives; answerLost is one of which the caller does not learn that it did.
	requestLost
	answerLost
	// partlyLost is a call of several brokers, of some of which the caller hears nothing.
	partlyLost
	// arrivesLate is a call that arrives when its caller has given up long since.
	arrivesLate
	// A paused process goes on as if nothing had been, perhaps beside a successor.
	pausedBefore
	pausedAfter
	// A crashed process does nothing any more.
	crashedBefore
	crashedAfter
	// Those stop a process between the two halves of a CommitLocked, with its transaction open.
	pausedInside
	crashedInside
)

func (f fault) String() string {
	return [...]string{
		"", "takes a while", "the request is lost", "the answer is lost", "some of its answers are lost", "the answer is lost, and the request arrives later",
		"the process pauses before it", "the process pauses after it", "the process dies before it", "the process dies after it",
		"the process pauses in the middle, its transaction open", "the process dies in the middle, its transaction open",
	}[f]
}

// risk is what can go wrong with a call, and how much more often than with one that asks: there are many of those.
type risk struct {
	times  int
	faults []fault
}

// The risks of calls that ask, that change something, that do so on several brokers, and that do so in two halves. What does not end a process is
// more likely than what does: dead processes find nothing.
var (
	asking   = risk{times: 1, faults: []fault{slow, slow, requestLost, requestLost, pausedBefore, crashedBefore}}
	changing = risk{times: 4, faults: []fault{
		slow, requestLost, requestLost, answerLost, answerLost, arrivesLate, arrivesLate, pausedBefore, pausedAfter, crashedBefore, crashedAfter,
	}}
	spreading = risk{times: changing.times, faults: append(slices.Clone(changing.faults), partlyLost, partlyLost)}
	halving   = risk{times: 40, faults: []fault{
		slow, requestLost, answerLost, answerLost, pausedBefore, pausedAfter, crashedBefore, crashedAfter, pausedInside, pausedInside, crashedInside,
	}}
)

// request is a call on its way.
type request struct {
	kind kind
	risk risk
	do   func(context.Context) error
	// inside is what a CommitLocked waits for in the middle; do calls it.
	inside *func(ctx context.Context) error
	// detach makes what do uses its own, before the caller has it back. Calls that can arrive late have it.
	detach func()
	// part makes what do does some of it. Calls of several brokers have it.
	part func(*dice)
	// text says what is called, for the journal.
	text func() string
}

// call makes a call when it is the turn of its lane, and makes it go wrong, or not.
func (p port) call(ctx context.Context, r request) error {
	l := p.lane(ctx, r.kind)
	next := p.process.next(l)
	d := next.dice(p.process.world.schedule.seed)
	there, back := delay(d), delay(d)
	if err := p.process.turn(ctx, l, there); err != nil {
		return err
	}
	p.process.made(next)
	c := underway{port: p, request: r, call: next, dice: newDice(d.throw())}
	c.fault = p.process.world.decide(next, r.risk, d)
	if err := c.carryOut(ctx); err != nil {
		return err
	}
	return p.process.turn(ctx, l, back)
}

// delay is how many ticks a message is on its way, besides those until it is its turn.
func delay(d *dice) int {
	if d.oneIn(4) {
		return d.below(6)
	}
	return 0
}

// decide says what goes wrong with a call.
func (w *world) decide(c call, r risk, d *dice) fault {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.calm {
		return none
	}
	chosen := none
	if of := d.below(4000); w.schedule.faults != nil {
		if there := w.schedule.faults[c]; slices.Contains(r.faults, there) {
			chosen = there
		}
	} else if of < r.times*w.schedule.plan.faults {
		chosen = r.faults[d.below(len(r.faults))]
	}
	if chosen != none {
		w.happened[c] = chosen
	}
	return chosen
}

// underway is a call that has left its process.
type underway struct {
	port
	request
	call  call
	dice  *dice
	fault fault
}

// carryOut makes the call. What is under way has its effect even when its caller has gone.
func (c *underway) carryOut(ctx context.Context) error {
	p := c.process
	switch c.fault {
	case slow:
		if err := p.turn(ctx, c.call.lane, c.dice.of(10, 100, 1000, 30_000)); err != nil {
			return err
		}
	case requestLost:
		return c.lose(ctx, "request lost")
	case answerLost:
		c.partly()
		_ = c.effect(context.Background())
		return c.lose(ctx, "answer lost")
	case partlyLost:
		c.part(c.dice)
	case arrivesLate:
		c.partly()
		c.arriveLater()
		return c.lose(ctx, "request late")
	case pausedBefore:
		c.pause()
		if err := p.turn(context.Background(), c.call.lane, 0); err != nil {
			return err
		}
		if c.kind == reading {
			return c.effect(ctx)
		}
		return c.effect(context.Background())
	case pausedAfter:
		err := c.effect(context.Background())
		p.stopFor(c.dice)
		return err
	case crashedBefore:
		c.note("", nil)
		p.crash()
		return errCrashed
	case crashedAfter:
		c.partly()
		_ = c.effect(context.Background())
		p.crash()
		return errCrashed
	case pausedInside, crashedInside:
		*c.inside = c.stopInside
	case none:
	}
	return c.effect(ctx)
}

// partly lets some of the call have no effect, or all of it have one. Who does not hear of it can't tell.
func (c *underway) partly() {
	if c.part != nil && c.dice.oneIn(2) {
		c.part(c.dice)
	}
}

// effect is where the world changes.
func (c *underway) effect(ctx context.Context) error {
	err := c.do(ctx)
	c.note("", err)
	return err
}

// lose lets the caller wait in vain.
func (c *underway) lose(ctx context.Context, what string) error {
	if c.fault == requestLost {
		c.note("", nil)
	}
	if err := c.process.turn(ctx, c.call.lane, c.dice.of(5, 50, 500)); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", what, runtime.ErrUnavailable)
}

func (c *underway) arriveLater() {
	l := c.call.lane
	l.kind = arriving
	c.detach()
	c.note("", nil)
	c.fault = none
	later := *c
	c.process.world.after(l, 500+c.dice.below(30_000), func() {
		err := later.do(context.Background())
		later.call.lane = l
		later.note("late: ", err)
	})
}

// pause pauses the process, and lets the groups give its partitions to others meanwhile, or not.
func (c *underway) pause() {
	c.note("", nil)
	c.process.stopFor(c.dice)
	c.fault = none
}

// stopFor pauses a process for a time.
func (p *process) stopFor(d *dice) {
	pause := d.wait(time.Minute)
	p.pause(pause)
	if d.oneIn(2) {
		p.supersede(d.wait(pause), pause+d.wait(10*time.Second))
	}
}

// supersede makes the groups of all functions go on without a process, of which it is told only later.
func (p *process) supersede(from, until time.Duration) {
	w := p.world
	l := lane{process: p.number, kind: pausing}
	w.after(l, int(from/tick), func() {
		w.tell(l, "the groups go on without process %d", p.number)
		for i, f := range w.functions {
			told := lane{process: p.number, function: i, kind: pausing}
			w.after(told, int((until-from)/tick), w.log.Evict(f.Name, p.name()))
		}
	})
}

// stopInside stops the process in the middle of a CommitLocked.
func (c *underway) stopInside(ctx context.Context) error {
	c.note("in the middle: ", nil)
	f := c.fault
	c.fault = none
	if f == pausedInside {
		c.process.stopFor(c.dice)
		return c.process.turn(ctx, c.call.lane, 0)
	}
	c.process.crash()
	if c.dice.oneIn(2) {
		// The server does not learn of it.
		time.Sleep(c.call.until(c.process.world.schedule.seed, time.Now(), c.dice.below(15_000)))
	}
	return errCrashed
}

func (c *underway) note(prefix string, err error) {
	c.process.world.journal.add(c.call.lane, c.fault != none || err != nil && !errors.Is(err, context.Canceled), func() string {
		text := prefix + c.text()
		if err != nil {
			text += ": " + err.Error()
		}
		if c.fault != none {
			text += "; " + c.fault.String()
		}
		return text
	})
}
