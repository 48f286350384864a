package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
)

// Ports are what a process runs on. A mutation of the engine is made by wrapping them: see Mutation.
type Ports struct {
	Log   runtime.Log
	Store runtime.Store
}

// Mutation makes an engine with a bug of one that has none, by changing what it says to its ports and what it hears. It is
// called once a process; the process's number tells them apart.
type Mutation func(ports Ports, process int) Ports

// world is all that outlives processes, and what they have in common.
type world struct {
	seed   uint64
	plan   plan
	log    *memory.Log
	store  *memory.Store
	mutate Mutation
	logger *slog.Logger

	// lines is what was put in: by partition, in order.
	lines [][]line

	mutex sync.Mutex
	// calm says that the faults are over.
	calm bool
	// processes counts all that ever were; live are those that are not to end.
	processes int
	live      []*process
	running   sync.WaitGroup
	// forgotten are identities that the broker lost track of on a partition.
	forgotten map[forgottenKey]bool
	failure   error
}

type forgottenKey struct {
	runtime.TopicPartition
	runtime.Identity
}

// plan is what a seed decides beforehand.
type plan struct {
	inputs, middles, outputs int32
	steps                    int
	processes                int
	// faults is how many of a thousand calls go wrong.
	faults  int
	options runtime.Options
	// maxBytes is the size of record batches that the topics take.
	maxBytes int
}

func newPlan(random *rand.Rand) plan {
	pick := func(of ...int) int { return of[random.IntN(len(of))] }
	return plan{
		inputs: int32(1 + random.IntN(3)), middles: int32(1 + random.IntN(3)), outputs: int32(1 + random.IntN(3)),
		steps:     10 + random.IntN(30),
		processes: 1 + random.IntN(3),
		faults:    pick(0, 10, 30, 100, 200),
		options: runtime.Options{
			BatchMessages: pick(1, 3, 7, 100), BatchBytes: pick(0, 300), CacheBytes: pick(0, 1, 2000),
			DrainTimeout: time.Duration(pick(0, 1)) * time.Second,
		},
		maxBytes: pick(90, 300, 1<<20),
	}
}

// Run lives through what a seed decides and returns what was wrong in the end. It must run in a bubble of virtual time
// (testing/synctest). Decisions depend on the seed and on how often a process called what; goroutines that run at the same
// time may still change their order from one run to the next. What happens goes to the logger.
func Run(ctx context.Context, seed uint64, mutate Mutation, logger *slog.Logger) error {
	random := rand.New(rand.NewPCG(seed, 0))
	w := &world{
		seed: seed, plan: newPlan(random), log: memory.NewLog(), store: memory.NewStore(), mutate: mutate, logger: logger,
		forgotten: map[forgottenKey]bool{},
	}
	if err := w.create(ctx); err != nil {
		return err
	}
	w.lines = make([][]line, w.plan.inputs)
	restore, before := w.store.Snapshot(), w.positions()
	for range w.plan.steps {
		if positions := w.positions(); random.IntN(w.plan.steps) == 0 && positions != nil {
			restore, before = w.store.Snapshot(), positions
		}
		w.happen(ctx, random)
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
	}
	return w.end(ctx, restore, before)
}

// end lets the app finish in peace and holds what it did against what it should have done.
func (w *world) end(ctx context.Context, restore func(), before map[runtime.CheckpointKey]int64) error {
	w.mutex.Lock()
	w.calm = true
	w.mutex.Unlock()
	w.store.SetDown(false)
	w.launch(ctx)
	err := w.settle(ctx)
	if err == nil {
		// Those that were paused come back, and idle partitions are cleared.
		time.Sleep(10 * time.Minute)
		err = w.check(ctx)
	}
	w.stopAll()
	err = errors.Join(err, w.failed())
	if err == nil {
		err = w.undoubted(ctx)
	}
	if err == nil {
		err = w.goBack(ctx, restore, before)
	}
	if err != nil {
		return fmt.Errorf("seed %d: %w", w.seed, err)
	}
	return nil
}

func (w *world) fail(err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.failure == nil {
		w.failure = err
	}
}

func (w *world) failed() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.failure
}

// stopAll ends all processes and waits until nothing of them is left.
func (w *world) stopAll() {
	w.mutex.Lock()
	for _, p := range w.live {
		p.cancel()
	}
	w.live = nil
	w.mutex.Unlock()
	w.running.Wait()
}

// goBack brings an older database back: the app must notice and do nothing.
func (w *world) goBack(ctx context.Context, restore func(), before map[runtime.CheckpointKey]int64) error {
	after := w.positions()
	restore()
	behind := false
	for key, next := range after {
		// A partition of which nothing was applied has lost nothing.
		behind = behind || max(0, before[key]) < next
	}
	if !behind {
		return nil
	}
	counts := w.outputCount()
	p := w.launch(ctx)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Minute):
	}
	w.stopAll()
	if !errors.Is(p.err, runtime.ErrStoreBehind) {
		return fmt.Errorf("the store went back in time and nobody noticed: %w", errors.Join(p.err, errWrong))
	}
	if w.outputCount() != counts && w.mutate == nil {
		// Other partitions, which are not behind, have nothing to do.
		return fmt.Errorf("outputs of a store that went back in time: %w", errWrong)
	}
	return nil
}

// errWrong is wrapped by what the check finds.
var errWrong = errors.New("wrong")

// positions returns the checkpoints' offsets; nil where the store is down.
func (w *world) positions() map[runtime.CheckpointKey]int64 {
	positions := map[runtime.CheckpointKey]int64{}
	for _, f := range functions {
		rows, err := w.store.Checkpoints(context.Background(), f)
		if err != nil {
			return nil
		}
		for _, row := range rows {
			positions[row.CheckpointKey] = row.Next
		}
	}
	return positions
}
