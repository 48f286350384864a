package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
)

// world is all that outlives processes, and what they have in common.
type world struct {
	schedule  schedule
	log       *memory.Log
	store     *memory.Store
	mutate    Mutation
	journal   *journal
	functions []*runtime.Function
	// topics are all that there are, in order.
	topics []runtime.TopicInfo
	// lines is what was put in: by partition, in order.
	lines [][]line
	// nights is how long all nights took together.
	nights time.Duration
	backup *backup

	mutex sync.Mutex
	// calm says that the faults are over, and asleep that no process is to run for a while.
	calm, asleep bool
	// processes counts all that ever were; live are those that are not to end.
	processes int
	live      []*process
	running   sync.WaitGroup
	// happened is what went wrong with calls.
	happened map[call]fault
	// forgotten are identities that the broker lost track of on a partition, and whether it knows nothing of them at all.
	forgotten map[forgottenKey]bool
	// mended is up to where split takes lines of each partition that it refused before; tableMended says that the database takes
	// all rows.
	mended      []int64
	tableMended bool
	// wentBack says that the store lost commits, and noticed that a process has noticed.
	wentBack, noticed bool
	// reached are the epoch and the offset of each checkpoint.
	reached map[runtime.CheckpointKey]progress
	// due are the moments that after has given.
	due     map[appointment]bool
	failure error
}

// outcome is what came of a run.
type outcome struct {
	// err is what the check found; nil where all was right.
	err     error
	journal *journal
	// happened is what went wrong with calls: with it for the schedule's faults, the run is the same.
	happened map[call]fault
}

// settings are what a run is made with besides its schedule.
type settings struct {
	mutate Mutation
	// journal says that one is to be kept.
	journal bool
}

// run lives through a schedule. It must run in a bubble of virtual time (testing/synctest). What it notes on the way is in o
// even when it does not return.
func run(ctx context.Context, s schedule, with settings, o *outcome) {
	*o = outcome{journal: &journal{kept: with.journal, start: time.Now()}, happened: map[call]fault{}}
	w := &world{
		schedule: s, log: memory.NewLog(), store: memory.NewStore(), mutate: with.mutate,
		journal: o.journal, happened: o.happened, forgotten: map[forgottenKey]bool{}, reached: map[runtime.CheckpointKey]progress{}, due: map[appointment]bool{},
	}
	w.store.Clock = clock{}
	if o.err = w.create(ctx); o.err == nil {
		o.err = w.passes(ctx)
	}
}

// passes lets everything happen, and then holds what the app did against what it should have done.
func (w *world) passes(ctx context.Context) error {
	defer w.stopAll()
	w.makeBackup()
	for _, e := range w.schedule.events {
		w.sleepUntil(e)
		if w.failed() != nil || w.hasNoticed() {
			break
		}
		w.happen(ctx, e)
	}
	w.quieten()
	w.launch(ctx)
	err := w.settle(ctx)
	// Those that were paused come back, what is late arrives, and idle partitions are cleared.
	if w.sleep(2 * time.Minute); err == nil && !w.hasNoticed() {
		err = w.check()
	}
	return w.end(ctx, err)
}

// end stops the app, and then shows it an older database.
func (w *world) end(ctx context.Context, err error) error {
	awake := w.schedule.plan.awake && w.losesMessages() && err == nil && w.failed() == nil && !w.hasNoticed()
	if awake {
		err = w.goBackAwake(ctx)
	}
	w.stopAll()
	if err = errors.Join(err, w.failed()); err != nil {
		return err
	}
	if !awake && !w.hasNoticed() {
		if err := w.undoubted(ctx); err != nil {
			return err
		}
	}
	if !w.hasNoticed() {
		if err := w.goBack(ctx, awake); err != nil {
			return err
		}
	}
	if awake {
		// A partition that only lost that its outputs were acknowledged goes on, and does not know what is pending.
		return nil
	}
	return w.checkDoubles()
}

// sleepUntil waits for an event's time.
func (w *world) sleepUntil(e event) {
	ticks := max(0, int((e.at+w.nights-time.Since(w.journal.start))/tick))
	time.Sleep(worldLane(e.number).until(w.schedule.seed, time.Now(), ticks))
}

// sleep waits, and then for the world's turn.
func (w *world) sleep(d time.Duration) {
	time.Sleep(worldLane(worldItself).until(w.schedule.seed, time.Now(), int(d/tick)))
}

// quieten ends all faults.
func (w *world) quieten() {
	w.sleep(0)
	w.mutex.Lock()
	w.calm = true
	w.mutex.Unlock()
	w.store.SetDown(false)
	w.tell(worldLane(worldItself), "nothing goes wrong any more")
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

// notice notes that a process has stopped because the store had gone back in time.
func (w *world) notice() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.noticed = true
}

func (w *world) hasNoticed() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.noticed
}

// hasGoneBack says whether the store has lost commits.
func (w *world) hasGoneBack() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.wentBack
}

// stopAll ends all processes and waits until nothing of them is left.
func (w *world) stopAll() {
	w.mutex.Lock()
	live := w.live
	w.live = nil
	w.mutex.Unlock()
	for _, p := range live {
		p.cancel()
	}
	w.running.Wait()
	w.sleep(0)
}

// settleWait is how long to wait before looking again whether all is processed, and patience how often.
const (
	settleWait = 2 * time.Second
	patience   = 1000
)

// settle waits until everything is processed.
func (w *world) settle(ctx context.Context) error {
	behind := ""
	for range patience {
		w.sleep(settleWait)
		if err := w.failed(); err != nil || w.hasNoticed() {
			return err
		}
		if behind = w.behind(ctx); behind == "" {
			return nil
		}
		if w.schedule.plan.stops && w.alive() == 0 {
			w.mend(worldLane(worldItself))
			w.launch(ctx)
		}
	}
	return fmt.Errorf("the app does not finish; %s: %w", behind, errWrong)
}

// behind says which partition is not processed to its end; empty where all are.
func (w *world) behind(ctx context.Context) string {
	for _, f := range w.functions {
		for _, input := range f.Inputs {
			info, err := w.log.Describe(ctx, input.Name)
			if err != nil {
				return err.Error()
			}
			for p := range info.Partitions {
				at := runtime.TopicPartition{Topic: input.Name, Partition: p}
				_, end, err := w.log.Bounds(ctx, at)
				if err != nil {
					return err.Error()
				}
				if done, err := w.log.Committed(ctx, f.Name, at); err != nil || done != end {
					return fmt.Sprintf("%s is at offset %d of %d of %s", f.Name, done, end, textOfPartition(at))
				}
			}
		}
	}
	return ""
}

// errWrong is wrapped by what the check finds.
var errWrong = errors.New("wrong")
