package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// What is watched while a run goes on: rules that the engine must keep at every step.

// observer hears what an engine counts.
type observer struct {
	runtime.Observer
	process *process
}

func (observer) BatchDone(string, runtime.TopicPartition, runtime.BatchStats) {}

// Happened looks that outputs are only said to be lost where the broker has lost track of the producer that the partition was
// claimed with, on a partition that it may have written to.
func (o observer) Happened(function string, partition runtime.TopicPartition, event runtime.Event, _ int) {
	key := runtime.CheckpointKey{Function: function, TopicPartition: partition}
	if event == runtime.OutputLost && !o.process.world.lostTrack(function, o.process.claimedAs(key)) {
		o.process.world.fail(fmt.Errorf("process %d: %s, %s: outputs are said to be lost, and none are: %w",
			o.process.number, function, textOfPartition(partition), errWrong))
	}
}

// checkUnlocked looks that a batch which met a conflict is done again with its rows locked.
func (p *process) checkUnlocked(l lane, commit *runtime.Commit) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.conflicted[l] && len(commit.Writes.Keys)+len(commit.Deletes.Keys) > 0 {
		p.world.fail(fmt.Errorf("a batch that met a conflict is done again without its rows locked: %w", errWrong))
	}
}

// heard notes what a process hears of a commit. Only several partitions that write one key meet conflicts, and none where all
// rows were locked.
func (p *process) heard(l lane, err error, locked bool) {
	conflict := errors.Is(err, runtime.ErrConflict)
	p.mutex.Lock()
	p.conflicted[l] = conflict
	p.mutex.Unlock()
	switch {
	case p.world.hasGoneBack():
		// States are not those that the process knows.
	case conflict && locked:
		p.world.fail(fmt.Errorf("a batch met a conflict though all its rows were locked: %w", errWrong))
	case conflict && functionNames[l.function] != authorsName:
		p.world.fail(fmt.Errorf("%s met a conflict, and each of its keys is in one partition: %w", functionNames[l.function], errWrong))
	}
}

// progress is how far a checkpoint has come, and when.
type progress struct {
	epoch, next int64
	at          time.Time
}

// advance looks that neither the epoch nor the offset of a checkpoint ever goes back, unless the store does. What waited for the
// same lock comes at one moment, and is told of in any order.
func (w *world) advance(key runtime.CheckpointKey, epoch, next int64) {
	w.mutex.Lock()
	before, now := w.reached[key], progress{epoch, next, time.Now()}
	if before.at.Equal(now.at) {
		now.epoch, now.next = max(before.epoch, epoch), max(before.next, next)
	}
	w.reached[key] = now
	w.mutex.Unlock()
	if now.epoch < before.epoch || now.next < before.next && before.epoch > 0 {
		w.fail(fmt.Errorf("the checkpoint of %s, %s goes from epoch %d and offset %d back to %d and %d: %w",
			key.Function, textOfPartition(key.TopicPartition), before.epoch, before.next, epoch, next, errWrong))
	}
}

// checkMark looks that a mark does not bring the group's offset back.
func (w *world) checkMark(function, partition int, mark func()) {
	for _, f := range w.functions {
		if f.Name != functionNames[function] {
			continue
		}
		at := runtime.TopicPartition{Topic: f.Inputs[0].Name, Partition: int32(partition)}
		before, err := w.log.Committed(context.Background(), f.Name, at)
		mark()
		after, failed := w.log.Committed(context.Background(), f.Name, at)
		if err != nil || failed != nil || after < before && !w.hasGoneBack() {
			w.fail(fmt.Errorf("the group of %s goes from offset %d of %s back to %d: %w", f.Name, before, textOfPartition(at), after, errWrong))
		}
	}
}

// checkRound looks that what is sent at once goes to different partitions, since a log may append it in any order; and to
// those that it belongs into.
func (w *world) checkRound(batches []runtime.RecordBatch) {
	seen := map[runtime.TopicPartition]bool{}
	for i := range batches {
		at := batches[i].TopicPartition
		if seen[at] {
			w.fail(fmt.Errorf("two record batches for %s are sent at once: %w", textOfPartition(at), errWrong))
		}
		seen[at] = true
		outputs, err := batches[i].Records.Outputs()
		for _, o := range outputs {
			err = errors.Join(err, w.checkPlace(at, o.Key))
		}
		if err != nil {
			w.fail(err)
		}
	}
}
