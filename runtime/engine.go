package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Config is what an Engine runs and with what.
type Config struct {
	Functions []*Function
	Log       Log
	// Store may be nil where every function is AtLeastOnce.
	Store Store
	// Clock, Observer and Logger are WallClock, NoObserver and a logger that discards unless set.
	Clock    Clock
	Observer Observer
	Logger   *slog.Logger
	// BufferBytes bounds what all partitions together hold of messages that are read ahead and of batches under way; 0 is
	// 256 MiB. They share it, those of functions with states or rows with four times the weight of others,
	// but for functions whose Options say otherwise; each gets 256 KiB a buffer at least.
	BufferBytes int
	// CacheBytes bounds the states that all partitions together keep in memory; 0 is 256 MiB. They share it evenly, but for
	// functions whose Options say otherwise, and each gets 1 MiB at least.
	CacheBytes int
	// Random is what waits vary by and what the first versions of rows come from; nil is math/rand/v2's. Many goroutines use
	// it. A test sets it to have the same run again.
	Random rand.Source
}

// Engine runs functions.
type Engine struct {
	config   Config
	budget   *budget
	trackers []*tracker

	mutex sync.Mutex
	// reached is the highest position of each partition that this process saw committed, across ownerships.
	reached map[CheckpointKey]int64
}

// New returns an engine; it does nothing until Run.
func New(config Config) *Engine {
	if config.Clock == nil {
		config.Clock = WallClock
	}
	if config.Observer == nil {
		config.Observer = NoObserver
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Random == nil {
		config.Random = anyRandom{}
	}
	e := &Engine{config: config, budget: newBudget(config.BufferBytes, config.CacheBytes), reached: map[CheckpointKey]int64{}}
	for _, f := range config.Functions {
		e.trackers = append(e.trackers, newTracker(f, config.Clock))
	}
	return e
}

// ErrNoStore says that a function needs a store and there is none.
var ErrNoStore = errors.New("exactly once needs a store; set one, or make the function's delivery at least once")

// Run runs the functions until ctx is done, then drains and returns nil; or until one of them fails, which is the
// error, a *FunctionError. It owns every goroutine that it starts. It expects topics and tables to be there (see
// Store.Migrate).
func (e *Engine) Run(ctx context.Context) error {
	for _, f := range e.config.Functions {
		if e.config.Store == nil && f.Options.Delivery == ExactlyOnce {
			return &FunctionError{Function: f.Name, Err: ErrNoStore}
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, f := range e.config.Functions {
		group.Go(func() error {
			if err := e.runFunction(ctx, f, e.trackers[i]); err != nil {
				return &FunctionError{Function: f.Name, Err: err}
			}
			return nil
		})
	}
	return group.Wait()
}

// runFunction is a member of the function's group until ctx is done, and again when a log that is away is back.
func (e *Engine) runFunction(ctx context.Context, f *Function, t *tracker) error {
	if f.Route != nil {
		// Requests come to it by themselves.
		t.assigned(0)
		defer t.left()
		<-ctx.Done()
		return nil
	}
	waits := newWaits(e.config.Random)
	for {
		err := e.join(ctx, f, t)
		t.left()
		var message *MessageError
		switch {
		case errors.As(err, &message):
			return err
		case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable)):
			return nil
		case !errors.Is(err, ErrUnavailable):
			return err
		}
		wait := waits.next()
		e.config.Logger.Warn("joining the group again", "function", f.Name, "err", err, "wait", wait)
		if !Sleep(ctx, e.config.Clock, wait) {
			return nil
		}
	}
}

// join is a member of the function's group once.
func (e *Engine) join(ctx context.Context, f *Function, t *tracker) error {
	if err := createTopics(ctx, e.config.Log, f.OwnTopics()); err != nil {
		return err
	}
	options := f.Options.withDefaults()
	group := Group{Name: f.Name, Assigned: e.assigned(f, t), Release: options.DrainTimeout + releaseMargin}
	for _, input := range f.Inputs {
		group.Topics = append(group.Topics, input.Name)
	}
	in, err := e.newInputs(ctx, f)
	if err != nil {
		return err
	}
	member, ctx := errgroup.WithContext(ctx)
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	member.Go(func() error { return in.watch(ctx) })
	member.Go(func() error {
		defer leave()
		return e.config.Log.Join(ctx, group, func(ctx context.Context, held Held) error {
			return e.runPartition(ctx, f, options, t, held)
		})
	})
	return member.Wait()
}

// assigned returns what is told of each rebalance of the function's group.
func (e *Engine) assigned(f *Function, t *tracker) func(partitions int) {
	return func(partitions int) {
		t.assigned(partitions)
		if partitions >= 0 {
			e.config.Observer.Happened(f.Name, TopicPartition{}, Rebalanced, 1)
		}
	}
}

// releaseMargin is what a partition may be held for beyond draining, so that draining ends by itself.
const releaseMargin = DefaultDrainTimeout / 2

func (e *Engine) runPartition(ctx context.Context, f *Function, options Options, t *tracker, held Held) error {
	status, done := t.own(held.TopicPartition)
	defer done()
	defer e.budget.enter(f)()
	key := CheckpointKey{Function: f.Name, TopicPartition: held.TopicPartition}
	o := &owner{
		function: f, options: options, limits: limits{&options, e.budget, weight(f)}, held: held, log: e.config.Log, store: e.config.Store, clock: e.config.Clock,
		observer: e.config.Observer, status: status, durable: options.Delivery == ExactlyOnce, reached: e.reachedOf(key),
		random: e.config.Random, suspects: suspects{found: noSuspect},
		logger: e.config.Logger.With("function", f.Name, "topic", held.Topic, "partition", held.Partition),
	}
	if !o.durable {
		o.store = groupStore{log: e.config.Log}
	}
	defer func() { e.setReached(key, o.reached) }()
	return o.run(ctx)
}

func (e *Engine) reachedOf(key CheckpointKey) int64 {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if reached, ok := e.reached[key]; ok {
		return reached
	}
	return -1
}

func (e *Engine) setReached(key CheckpointKey, reached int64) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	// An owner that takes too long to let go ends after its successor.
	if before, ok := e.reached[key]; !ok || before < reached {
		e.reached[key] = reached
	}
}

// Status returns what each function is doing now, in the order of Config.Functions. It may be called at any time.
func (e *Engine) Status() []Status {
	statuses := make([]Status, 0, len(e.trackers))
	for _, t := range e.trackers {
		statuses = append(statuses, t.snapshot())
	}
	return statuses
}

// groupStore stands in for a store where a function needs none: the position is the offset that the group committed.
type groupStore struct{ log Log }

func (s groupStore) Claim(ctx context.Context, key CheckpointKey) (Checkpoint, error) {
	next, err := s.log.Committed(ctx, key.Function, key.TopicPartition)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("committed offset: %w", err)
	}
	return Checkpoint{CheckpointKey: key, Fresh: next < 0, Next: next, Identity: Identity{ProducerID: -1}}, nil
}

// Commit has nothing to do: positions are marked as outputs are acknowledged.
func (groupStore) Commit(_ context.Context, batch *Commit) error {
	if len(batch.Writes.Keys)+len(batch.Deletes.Keys)+len(batch.Changes) > 0 {
		return errStateless
	}
	return nil
}

func (groupStore) Load(context.Context, string, []string) ([]StateRow, error) {
	return nil, errStateless
}

func (groupStore) CommitLocked(context.Context, string, []string, func([]StateRow) (*Commit, error)) error {
	return errStateless
}

// errStateless is of functions that check for themselves that they have no states or rows where they need no store.
var errStateless = errors.New("a function without a store has states or rows")

func (groupStore) Migrate(context.Context, []StateTable) error               { return nil }
func (groupStore) Checkpoints(context.Context, string) ([]Checkpoint, error) { return nil, nil }
func (groupStore) Ping(context.Context) error                                { return nil }
func (groupStore) Close() error                                              { return nil }
