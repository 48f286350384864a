package simulation

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// process is one instance of the app. Its ports decide at each call what goes wrong.
type process struct {
	world  *world
	number int
	ports  Ports
	cancel context.CancelFunc
	// ended is closed when the engine has returned, with err.
	ended chan struct{}
	err   error

	mutex sync.Mutex
	dead  bool
	// calls counts by what is called and for whom, so that what goes wrong does not depend on what others do.
	calls map[string]uint64
}

// errCrashed is what a dead process gets from everything it calls.
var errCrashed = errors.New("crashed")

// launch starts one more process.
func (w *world) launch(ctx context.Context) *process {
	ctx, cancel := context.WithCancel(ctx)
	w.mutex.Lock()
	w.processes++
	p := &process{world: w, number: w.processes, cancel: cancel, ended: make(chan struct{}), calls: map[string]uint64{}}
	p.ports = Ports{Log: faultyLog{brokerLog{w.log, w}, p}, Store: faultyStore{w.store, p}}
	if w.mutate != nil {
		p.ports = w.mutate(p.ports, p.number)
	}
	w.live = append(w.live, p)
	w.mutex.Unlock()
	functions, err := w.functions()
	if err != nil {
		w.fail(err)
	}
	engine := runtime.New(runtime.Config{Functions: functions, Log: p.ports.Log, Store: p.ports.Store, Logger: w.logger.With("process", p.number)})
	w.running.Go(func() {
		defer cancel()
		p.err = engine.Run(ctx)
		p.gone()
		close(p.ended)
	})
	return p
}

// gone notes that a process has ended; only those that crashed may do so with an error, and all when the store is behind.
func (p *process) gone() {
	w := p.world
	w.mutex.Lock()
	w.live = slices.DeleteFunc(w.live, func(other *process) bool { return other == p })
	w.mutex.Unlock()
	if p.err != nil && !p.crashed() && !errors.Is(p.err, runtime.ErrStoreBehind) {
		w.fail(fmt.Errorf("process %d ended: %w", p.number, p.err))
	}
	if errors.Is(p.err, runtime.ErrStoreBehind) && !w.isCalm() {
		w.fail(fmt.Errorf("process %d: false alarm: %w", p.number, p.err))
	}
}

func (w *world) isCalm() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.calm
}

func (p *process) crashed() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.dead
}

func (p *process) crash() {
	p.mutex.Lock()
	p.dead = true
	p.mutex.Unlock()
	p.cancel()
}

// fault is what may go wrong with a call.
type fault uint8

const (
	none fault = iota
	// slow calls take a while.
	slow
	// requestLost is a call that never arrives; answerLost is one of which the caller does not learn that it did.
	requestLost
	answerLost
	// A paused process goes on as if nothing had been, perhaps beside a successor.
	pausedBefore
	pausedAfter
	// A crashed process does nothing any more.
	crashedBefore
	crashedAfter
	faultCount
)

func (f fault) String() string {
	return [faultCount]string{
		"none", "slow", "request lost", "answer lost", "paused before", "paused after", "crashed before", "crashed after",
	}[f]
}

// decide says what goes wrong with the next call of a lane, and brings a source of further decisions.
func (p *process) decide(lane string) (fault, *rand.Rand) {
	p.mutex.Lock()
	p.calls[lane]++
	calls := p.calls[lane]
	p.mutex.Unlock()
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, p.world.seed, p.number, lane, calls)
	random := rand.New(rand.NewPCG(h.Sum64(), p.world.seed))
	if p.world.isCalm() || random.IntN(1000) >= p.world.plan.faults {
		return none, random
	}
	return fault(random.IntN(int(faultCount))), random
}

// call makes a call go wrong, or not. A call that is under way has its effect even when its caller has gone.
func (p *process) call(ctx context.Context, lane string, do func(context.Context) error) error {
	if p.crashed() {
		return errCrashed
	}
	fault, random := p.decide(lane)
	p.world.logger.Debug("call", "process", p.number, "lane", lane, "fault", fault)
	wait := func(most time.Duration) time.Duration { return time.Duration(random.Int64N(int64(most))) }
	switch fault { //nolint:exhaustive // the others are of a broker or a store
	case slow:
		select {
		case <-time.After(wait(2 * time.Second)):
		case <-ctx.Done():
			return ctx.Err()
		}
	case requestLost:
		return fmt.Errorf("request lost: %w", runtime.ErrUnavailable)
	case answerLost:
		_ = do(context.Background())
		return fmt.Errorf("answer lost: %w", runtime.ErrUnavailable)
	case pausedBefore:
		p.world.superseded(random)
		time.Sleep(wait(time.Minute))
		return do(context.Background())
	case pausedAfter:
		err := do(context.Background())
		p.world.superseded(random)
		time.Sleep(wait(time.Minute))
		return err
	case crashedBefore:
		p.crash()
		return errCrashed
	case crashedAfter:
		_ = do(context.Background())
		p.crash()
		return errCrashed
	}
	return do(ctx)
}

// superseded makes the group of a function give its partitions to others, at times, while a process pauses.
func (w *world) superseded(random *rand.Rand) {
	if random.IntN(2) == 0 {
		w.evict(functions[random.IntN(len(functions))], time.Duration(random.Int64N(int64(time.Minute))))
	}
}

// evict makes a group forget its members, who are told only later.
func (w *world) evict(function string, later time.Duration) {
	time.AfterFunc(later, w.log.Evict(function))
}

// faultyStore is the store as a process reaches it.
type faultyStore struct {
	runtime.Store
	process *process
}

func (s faultyStore) Claim(ctx context.Context, key runtime.CheckpointKey) (cp runtime.Checkpoint, err error) {
	err = s.process.call(ctx, fmt.Sprint("claim ", key), func(ctx context.Context) (err error) {
		cp, err = s.Store.Claim(ctx, key)
		return err
	})
	return cp, err
}

func (s faultyStore) Load(ctx context.Context, table string, keys []string) (rows []runtime.StateRow, err error) {
	err = s.process.call(ctx, "load "+table, func(ctx context.Context) (err error) {
		rows, err = s.Store.Load(ctx, table, keys)
		return err
	})
	return rows, err
}

func (s faultyStore) Commit(ctx context.Context, commit *runtime.Commit) error {
	// The caller may use its space again before a paused commit happens.
	commit = cloneCommit(commit)
	return s.process.call(ctx, fmt.Sprint("commit ", commit.CheckpointKey), func(ctx context.Context) error {
		return s.Store.Commit(ctx, commit)
	})
}

func cloneCommit(c *runtime.Commit) *runtime.Commit {
	clone := *c
	for i, put := range clone.Put {
		if put != nil {
			clone.Put[i] = append([]byte{}, put...)
		}
	}
	clone.Writes.Keys, clone.Deletes.Keys = slices.Clone(c.Writes.Keys), slices.Clone(c.Deletes.Keys)
	clone.Writes.Versions, clone.Deletes.Versions = slices.Clone(c.Writes.Versions), slices.Clone(c.Deletes.Versions)
	clone.Writes.Fresh, clone.Writes.States = slices.Clone(c.Writes.Fresh), slices.Clone(c.Writes.States)
	for i, state := range clone.Writes.States {
		clone.Writes.States[i] = slices.Clone(state)
	}
	return &clone
}

// faultyLog is the log as a process reaches it.
type faultyLog struct {
	runtime.Log
	process *process
}

func (l faultyLog) Send(ctx context.Context, id runtime.Identity, batches []runtime.RecordBatch) (acks []runtime.Ack, err error) {
	err = l.process.call(ctx, fmt.Sprint("send ", id), func(ctx context.Context) (err error) {
		acks, err = l.Log.Send(ctx, id, batches)
		return err
	})
	return acks, err
}

func (l faultyLog) Committed(ctx context.Context, group string, partition runtime.TopicPartition) (offset int64, err error) {
	err = l.process.call(ctx, fmt.Sprint("committed ", group, partition), func(ctx context.Context) (err error) {
		offset, err = l.Log.Committed(ctx, group, partition)
		return err
	})
	return offset, err
}

func (l faultyLog) Producer(ctx context.Context, partition runtime.TopicPartition, id int64) (state runtime.ProducerState, err error) {
	err = l.process.call(ctx, fmt.Sprint("producer ", partition, id), func(ctx context.Context) (err error) {
		state, err = l.Log.Producer(ctx, partition, id)
		return err
	})
	return state, err
}
