package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
)

// process is one instance of the app. Each of its functions has an engine and ports of its own, by which its calls are told
// from those of the others; when one ends, all do.
type process struct {
	world  *world
	number int
	cancel context.CancelFunc
	// follow starts another process in this one's place.
	follow func()
	// died is closed when the process crashes.
	died chan struct{}
	// ended is closed when all engines have returned, with errs.
	ended chan struct{}
	errs  []error

	mutex  sync.Mutex
	dead   bool
	paused time.Time // until when
	calls  map[lane]int
	// conflicted are partitions whose last batch met a conflict.
	conflicted map[lane]bool
	// tenures counts how often a partition was given to the process, by function and partition.
	tenures map[[2]int]int
	// claimed are the identities of the last claims.
	claimed map[runtime.CheckpointKey]runtime.Identity
}

// errCrashed is what a dead process gets from everything it calls.
var errCrashed = errors.New("crashed")

// launch starts one more process.
func (w *world) launch(ctx context.Context) *process {
	ctx, cancel := context.WithCancel(ctx)
	w.mutex.Lock()
	w.processes++
	p := &process{
		world: w, number: w.processes, cancel: cancel, follow: func() { w.launch(context.WithoutCancel(ctx)) }, died: make(chan struct{}), ended: make(chan struct{}),
		calls: map[lane]int{}, conflicted: map[lane]bool{}, tenures: map[[2]int]int{}, claimed: map[runtime.CheckpointKey]runtime.Identity{},
	}
	w.live = append(w.live, p)
	w.mutex.Unlock()
	w.tell(p.lane(), "process %d starts", p.number)
	w.running.Go(func() {
		defer cancel()
		p.errs = p.run(ctx)
		p.gone()
		close(p.ended)
	})
	return p
}

// run runs all functions until ctx is done or one fails.
func (p *process) run(ctx context.Context) []error {
	errs := make([]error, len(p.world.functions))
	group, ctx := errgroup.WithContext(ctx)
	for i, f := range p.world.functions {
		number := slices.Index(functionNames, f.Name)
		ports := p.ports(number)
		engine := runtime.New(runtime.Config{
			Functions: []*runtime.Function{f}, Log: ports.Log, Store: ports.Store, Clock: clock{},
			Observer: observer{process: p}, Random: chance{process: p, function: number},
		})
		group.Go(func() error {
			errs[i] = engine.Run(ctx)
			return errs[i]
		})
	}
	_ = group.Wait() // Which of several errors comes first is not decided.
	return errs
}

func (p *process) ports(function int) Ports {
	w, at := p.world, port{process: p, function: function}
	client := &memory.Client{Log: w.log, Name: p.name(), Pace: at.pace}
	ports := Ports{Log: faultyLog{brokerLog{client, w}, at}, Store: faultyStore{w.store, at}}
	if w.mutate != nil {
		ports = w.mutate(ports, p.number)
	}
	return ports
}

// lane is that of the process as a whole.
func (p *process) lane() lane { return lane{process: p.number, kind: grouping} }

// err is what the engines have returned together.
func (p *process) err() error { return errors.Join(p.errs...) }

func (p *process) name() string { return fmt.Sprint("process ", p.number) }

// gone notes that a process has ended; only those that crashed may do so with an error, and all when the store is behind.
func (p *process) gone() {
	w := p.world
	w.mutex.Lock()
	w.live = slices.DeleteFunc(w.live, func(other *process) bool { return other == p })
	wentBack := w.wentBack
	w.mutex.Unlock()
	switch {
	case p.crashed():
		return
	case (errors.Is(p.err(), runtime.ErrStoreBehind) || errors.Is(p.err(), runtime.ErrDeleted)) && wentBack:
		// What the store knows of may be deleted by now.
		w.tell(p.lane(), "process %d ends: %v", p.number, p.err())
		w.notice()
	case errors.Is(p.err(), runtime.ErrStoreBehind):
		w.fail(fmt.Errorf("process %d: false alarm: %w", p.number, p.err()))
	case p.err() != nil:
		w.tell(p.lane(), "process %d ends: %v", p.number, p.err())
		if err := w.stopped(p); err != nil {
			w.fail(fmt.Errorf("process %d ended: %w", p.number, err))
		}
	default:
		w.tell(p.lane(), "process %d ends", p.number)
	}
}

func (p *process) crashed() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.dead
}

// crash ends the process at once. Where the plan says so, another follows some time later.
func (p *process) crash() {
	p.mutex.Lock()
	if p.dead {
		p.mutex.Unlock()
		return
	}
	p.dead = true
	close(p.died)
	p.mutex.Unlock()
	p.cancel()
	if !p.world.schedule.plan.restarts {
		return
	}
	l := lane{process: p.number, kind: restarting}
	d := newDice(p.world.schedule.seed, l.number())
	p.world.after(l, d.below(d.of(5, 1500)), func() {
		if p.world.wants() {
			p.follow()
		}
	})
}

// pause stops everything that the process does, for a while.
func (p *process) pause(d time.Duration) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if until := time.Now().Add(d); until.After(p.paused) {
		p.paused = until
	}
}

// pauseLeft is how long the process is paused for.
func (p *process) pauseLeft() time.Duration {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return max(0, time.Until(p.paused))
}

// claims notes what identity the process has claimed a partition with.
func (p *process) claims(key runtime.CheckpointKey, id runtime.Identity) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.claimed[key] = id
}

func (p *process) claimedAs(key runtime.CheckpointKey) runtime.Identity {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.claimed[key]
}

// next returns the identity of the lane's next call, which is not made yet.
func (p *process) next(l lane) call {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return call{lane: l, count: p.calls[l] + 1}
}

func (p *process) made(c call) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.calls[c.lane] = c.count
}

// turn waits for the lane's next turn, and some ticks more, while the process lives and is not paused.
func (p *process) turn(ctx context.Context, l lane, ticks int) error {
	for {
		if p.crashed() {
			return errCrashed
		}
		now, left := time.Now(), p.pauseLeft()
		turn := time.NewTimer(left + l.until(p.world.schedule.seed, now.Add(left), ticks))
		select {
		case <-turn.C:
		case <-p.died:
			turn.Stop()
			return errCrashed
		case <-ctx.Done():
			turn.Stop()
			return ctx.Err()
		}
		if p.pauseLeft() == 0 {
			return nil
		}
	}
}

// port is what one function of a process calls log and store through.
type port struct {
	process  *process
	function int
}

func (p port) lane(ctx context.Context, k kind) lane {
	by := callerOf(ctx)
	return lane{process: p.process.number, function: p.function, partition: by.partition, tenure: by.tenure, kind: k}
}

// pace waits until it is the turn of the function's member of its group. That of a process that has crashed does nothing
// until its session is over.
func (p port) pace() {
	l := p.lane(context.Background(), grouping)
	c := p.process.next(l)
	p.process.made(c)
	if p.process.turn(context.Background(), l, 0) == nil {
		return
	}
	d := c.dice(p.process.world.schedule.seed)
	time.Sleep(l.until(p.process.world.schedule.seed, time.Now(), d.below(d.of(5, 5000))))
}

// chance is where an engine's random numbers come from: the seed and the moment. It does not count them, since a goroutine
// that works on in vain may ask for one or not.
type chance struct {
	process  *process
	function int
}

// Uint64 implements rand.Source.
func (c chance) Uint64() uint64 {
	return newDice(c.process.world.schedule.seed, uint64(c.process.number), uint64(c.function), uint64(time.Now().UnixNano())).throw()
}
