package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idleAfter is how long a partition is quiet before its acknowledged batches are cleared from the checkpoint.
const idleAfter = time.Second

// commit commits batches in order and hands them to the sender. When the partition is quiet, and at the end, it clears
// what is acknowledged from the checkpoint, so that nothing is left in doubt.
func (p *pipeline) commit(work context.Context) error {
	last, err := p.commitAll(work)
	if err != nil {
		return err
	}
	if err := wait(work, p.acking, func() bool { return p.acked.Load() >= last }); err != nil {
		return err
	}
	return p.clear(work)
}

// commitAll commits until there are no more batches; last is the ordinal behind the last one. The sender is told that nothing
// more comes however it ends: a function that is applied to locked rows can end the goroutine.
func (p *pipeline) commitAll(work context.Context) (last int64, err error) {
	defer close(p.sends)
	last = p.ordinal
	for {
		b, err := p.nextBatch(work)
		if b == nil || err != nil {
			return last, err
		}
		void, err := p.commitBatch(work, b)
		if err != nil {
			return last, err
		}
		if void {
			continue
		}
		last = b.ordinal + 1
		select {
		case p.sends <- b:
		case <-work.Done():
			return last, work.Err()
		}
	}
}

// nextBatch waits for a batch, nil when there are no more, and clears the checkpoint while it is idle.
func (p *pipeline) nextBatch(work context.Context) (*batch, error) {
	for {
		b, idle, err := p.waitBatch(work)
		if err != nil || !idle {
			return b, err
		}
		if err := p.clear(work); err != nil {
			return nil, err
		}
	}
}

func (p *pipeline) waitBatch(work context.Context) (b *batch, idle bool, err error) {
	var quiet <-chan time.Time
	if p.durable && p.ledger.occupied() {
		after, stop := p.clock.After(idleAfter)
		defer stop()
		quiet = after
	}
	select {
	case b = <-p.commits:
		return b, false, nil
	case <-quiet:
		return nil, true, nil
	case <-work.Done():
		return nil, false, work.Err()
	}
}

// clear frees the slots of acknowledged batches, if there are any.
func (p *pipeline) clear(work context.Context) error {
	if !p.durable || !p.ledger.clearable(p.acked.Load()) {
		return nil
	}
	if err := p.store.Commit(work, p.entry(nil)); err != nil {
		return fmt.Errorf("clear checkpoint: %w", err)
	}
	return nil
}

// commitBatch commits one batch in one transaction, once there is room for its outputs in the checkpoint. A batch is
// void when the function failed in it.
func (p *pipeline) commitBatch(work context.Context, b *batch) (void bool, err error) {
	if err := wait(work, p.acking, func() bool { return p.room(b.stats.OutBytes) }); err != nil {
		return false, err
	}
	start := p.clock.Now()
	if b.locked != nil {
		defer close(b.locked.done)
		err = p.commitLocked(work, b)
	} else {
		err = p.store.Commit(work, p.entry(b))
	}
	switch {
	case errors.Is(err, errVoid):
		return true, nil
	case errors.Is(err, ErrRefused):
		return false, &refusedError{from: b.from, next: b.next, messages: b.stats.In, err: err}
	case err != nil && b.next == 0:
		// A batch that is computed while its rows are locked has no offsets before that.
		return false, fmt.Errorf("commit with locked rows: %w", err)
	case err != nil:
		return false, fmt.Errorf("commit offsets %d to %d: %w", b.from, b.next-1, err)
	}
	b.stats.Commit = p.clock.Now().Sub(start)
	p.succeeded(b)
	return false, nil
}

// room says whether a batch with so many bytes of outputs may be committed: whether the checkpoint has a slot for it, and
// not too much waits to be acknowledged.
func (p *pipeline) room(outputs int) bool {
	unacked := p.unacked.Load()
	return p.ledger.room(p.acked.Load()) && (unacked == 0 || int(unacked)+outputs <= unackedBatches*p.limits.outputBytes())
}

func (p *pipeline) commitLocked(work context.Context, b *batch) error {
	return p.store.CommitLocked(work, p.ledger.table, b.locked.keys, func(rows []StateRow) (*Commit, error) {
		if err := b.locked.compute(rows); err != nil {
			return nil, err
		}
		return p.entry(b), nil
	})
}

// calmAfter is how many batches without a conflict make earlier conflicts forgotten.
const calmAfter = 256

func (p *pipeline) succeeded(b *batch) {
	if b.locked == nil {
		if p.calm++; p.calm == calmAfter {
			p.conflicts = 0
		}
	}
	p.tellDiscards(b)
	p.unacked.Add(int64(b.stats.OutBytes))
	p.release(b)
	p.reached = b.next
	p.searching.Lock()
	p.suspects.passed(b)
	p.searching.Unlock()
	p.committed.Store(b.ordinal + 1)
	tell(p.committing)
}

// release gives what a committed batch has no more need of to another one.
func (p *pipeline) release(b *batch) {
	of := b.effects
	b.effects = nil
	p.limits.budget.spaces.give(of.states)
	of.reset()
	select {
	case p.effects <- of:
	default:
	}
}

// entry enters a batch, or none, into the ledger.
func (p *pipeline) entry(b *batch) *Commit {
	// In this order: when the offset of a batch is in the checkpoint, what was sent before that batch is pending no more.
	offsets := p.takeOffsets()
	if b == nil {
		return p.ledger.commit(nil, nil, p.acked.Load(), offsets)
	}
	kept := b.pending
	if packed := p.limits.budget.spaces.pack(kept); packed != nil {
		kept = packed
	}
	return p.ledger.commit(b, kept, p.acked.Load(), offsets)
}

// takeOffsets returns the acknowledged offsets that the ledger does not have yet.
func (p *pipeline) takeOffsets() map[TopicPartition]int64 {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	taken := p.offsets
	p.offsets = make(map[TopicPartition]int64, len(taken))
	return taken
}
