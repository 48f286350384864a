package simulation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// happen does one thing to the world.
func (w *world) happen(ctx context.Context, e event) {
	say := func(format string, args ...any) { w.tell(worldLane(e.number), format, args...) }
	switch e.what {
	case lineComes:
		at := e.partition % w.schedule.plan.inputs
		say("a line comes into %s/%d: %s writes %q", input, at, e.line.author, e.line.String())
		w.put(at, e.line)
	case processStarts:
		if w.wants() {
			w.launch(ctx)
		}
	case processStops, processDies, processPauses:
		w.strike(e)
	case brokerRestarts:
		say("the broker restarts")
		w.log.Restart()
	case otherClaims:
		w.claim(ctx, e)
	case membersAreEvicted:
		f := w.functions[e.pick%uint64(len(w.functions))]
		say("the group of %s goes on without its members", f.Name)
		w.later(e, w.log.Evict(f.Name))
	case identityIsLost:
		w.forget(ctx, e)
	case storeGoesDown:
		say("the store is away for %v", e.lasts)
		w.store.SetDown(true)
		w.later(e, func() { w.store.SetDown(false) })
	case nightFalls:
		w.night(ctx, e)
	case inputIsDeleted:
		w.retain()
	case backupIsMade:
		say("a backup is made")
		w.makeBackup()
	case backupIsRestored:
		w.disaster(ctx, e)
	}
}

// later does something when the event is over.
func (w *world) later(e event, do func()) {
	w.after(worldLane(e.number), int(e.lasts/tick), do)
}

// wants says whether there may be one more process.
func (w *world) wants() bool {
	w.mutex.Lock()
	quiet := w.calm || w.asleep || w.processes > mostProcesses
	w.mutex.Unlock()
	return !quiet && w.alive() < w.schedule.plan.processes
}

// alive is how many processes there are that have not crashed.
func (w *world) alive() (n int) {
	w.mutex.Lock()
	live := slices.Clone(w.live)
	w.mutex.Unlock()
	for _, p := range live {
		if !p.crashed() {
			n++
		}
	}
	return n
}

// strike stops, kills or pauses one process.
func (w *world) strike(e event) {
	w.mutex.Lock()
	if len(w.live) == 0 {
		w.mutex.Unlock()
		return
	}
	p := w.live[e.pick%uint64(len(w.live))]
	w.mutex.Unlock()
	l := worldLane(e.number)
	switch e.what { //nolint:exhaustive // the others are no strikes
	case processStops:
		w.tell(l, "process %d is told to stop", p.number)
		p.cancel()
	case processDies:
		w.tell(l, "process %d dies", p.number)
		p.crash()
	case processPauses:
		w.tell(l, "process %d pauses", p.number)
		p.stopFor(newDice(e.pick))
	}
}

// claim is that of a process that is never heard of again.
func (w *world) claim(ctx context.Context, e event) {
	f := w.functions[e.pick%uint64(len(w.functions))]
	info, err := w.log.Describe(ctx, f.Inputs[0].Name)
	if err != nil {
		w.fail(err)
		return
	}
	at := runtime.TopicPartition{Topic: info.Name, Partition: int32(newDice(e.pick).below(int(info.Partitions)))}
	w.tell(worldLane(e.number), "somebody who is not heard of again claims %s of %s", textOfPartition(at), f.Name)
	// A store that is down does not take it, which is as well. Where it waits for a lock, it does so for itself.
	w.running.Go(func() { _, _ = w.store.Claim(ctx, runtime.CheckpointKey{Function: f.Name, TopicPartition: at}) })
}

// killAll ends all processes at once, and waits until what they have sent has arrived.
func (w *world) killAll() {
	w.mutex.Lock()
	live := w.live
	w.live, w.asleep = nil, true
	w.mutex.Unlock()
	for _, p := range live {
		p.crash()
	}
	w.running.Wait()
}

// awaken starts a process when all is over that none was to see.
func (w *world) awaken(ctx context.Context) {
	w.mutex.Lock()
	w.asleep = false
	w.mutex.Unlock()
	if w.schedule.plan.restarts {
		w.launch(ctx)
	}
}

// night is when all processes are gone for so long that the broker forgets all producers. Not while the store is back in time
// and nobody has noticed: a broker that has forgotten can't tell.
func (w *world) night(ctx context.Context, e event) {
	if w.hasGoneBack() {
		return
	}
	w.tell(worldLane(e.number), "all processes die, and a night passes")
	start := time.Now()
	w.killAll()
	w.sleep(25 * time.Hour)
	w.log.Expire()
	w.nights += time.Since(start)
	w.awaken(ctx)
}

// disaster kills all processes and brings an older store back.
func (w *world) disaster(ctx context.Context, e event) {
	start := time.Now()
	w.killAll()
	w.sleep(2 * time.Minute)
	w.tell(worldLane(e.number), "all processes die")
	if w.store.SetDown(false); w.evident(ctx) {
		w.restoreBackup(worldLane(e.number))
	}
	w.nights += time.Since(start)
	w.awaken(ctx)
}

// retain deletes input that is processed, as retention does.
func (w *world) retain() {
	read := map[int32]int64{}
	for key, row := range w.checkpoints() {
		if key.Topic != input {
			continue
		}
		if before, ok := read[key.Partition]; !ok || row.Next < before {
			read[key.Partition] = row.Next
		}
	}
	for p, next := range read {
		if len(w.readers(input)) > w.claimed(p) || next <= 0 {
			continue
		}
		if err := w.log.Truncate(input, p, next-1); err != nil {
			w.fail(fmt.Errorf("delete input: %w", err))
		}
	}
}

// readers are the functions that read a topic.
func (w *world) readers(topic string) (names []string) {
	for _, f := range w.functions {
		if f.Inputs[0].Name == topic {
			names = append(names, f.Name)
		}
	}
	return names
}

// claimed is how many functions have a checkpoint of a partition of the input.
func (w *world) claimed(partition int32) (n int) {
	for key := range w.checkpoints() {
		if key.Topic == input && key.Partition == partition {
			n++
		}
	}
	return n
}
