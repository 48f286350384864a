package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// send sends the outputs of committed batches in order. A broker that is away is waited for: the outputs are in the
// checkpoint, and sending them again is harmless.
func (p *pipeline) send(work context.Context) error {
	for b := range p.sends {
		start := p.clock.Now()
		if err := p.deliver(work, b); err != nil {
			return err
		}
		now := p.clock.Now()
		b.stats.Send = now.Sub(start)
		if !b.oldest.IsZero() {
			b.stats.Latency = max(0, now.Sub(b.oldest))
		}
		p.held.Mark(b.next)
		p.status.progress(b.next)
		p.observer.BatchDone(p.function.Name, p.held.TopicPartition, b.stats)
		p.unacked.Add(-int64(b.stats.OutBytes))
		p.processor.router.reclaim(b)
		p.acked.Store(b.ordinal + 1)
		tell(p.acking)
		select {
		case p.free <- b:
		default:
		}
	}
	return nil
}

// deliver sends the sections of a batch, those of one partition one after the other.
func (p *pipeline) deliver(work context.Context, b *batch) error {
	sections := b.outputs.sections
	for len(sections) > 0 {
		n := round(sections)
		if err := p.deliverRound(work, &b.outputs, sections[:n:n]); err != nil {
			return err
		}
		sections = sections[n:]
	}
	return nil
}

// round returns how many sections, from the first, go to partitions that differ.
func round(sections []RecordBatch) int {
	for n := 1; n < len(sections); n++ {
		for i := range n {
			if sections[i].TopicPartition == sections[n].TopicPartition {
				return n
			}
		}
	}
	return len(sections)
}

// deliverRound sends sections to partitions that differ until the log has all of them.
func (p *pipeline) deliverRound(work context.Context, of *pending, sections []RecordBatch) error {
	waits := newWaits(p.random)
	start := p.clock.Now()
	for retries := 0; ; retries++ {
		left, err := p.trySend(work, of, sections)
		if len(left) == 0 && err == nil {
			if retries > 0 {
				p.status.resume()
			}
			return nil
		}
		// After so long the broker may have forgotten the identity: a claim finds out what the log has.
		if !errors.Is(err, ErrUnavailable) || p.clock.Now().Sub(start) > 2*doubtful {
			return err
		}
		sections = left
		if err := p.waitForLog(work, err, waits.next()); err != nil {
			return err
		}
	}
}

func (p *pipeline) waitForLog(work context.Context, err error, wait time.Duration) error {
	p.retrying("trying again", err, wait)
	p.happened(Retried, 1)
	if !Sleep(work, p.clock, wait) {
		return work.Err()
	}
	return nil
}

// trySend sends sections once and returns those that are not acknowledged, with the reason of one of them.
func (p *pipeline) trySend(work context.Context, of *pending, sections []RecordBatch) (left []RecordBatch, err error) {
	acks, err := p.log.Send(work, of.identity, sections)
	if err != nil {
		return sections, fmt.Errorf("send: %w", err)
	}
	for i, ack := range acks {
		key := sections[i].TopicPartition
		if ack.Err == nil {
			p.note(of.ordinal, key, ack.Offset)
			continue
		}
		left = append(left, sections[i])
		if err == nil || errors.Is(err, ErrUnavailable) {
			err = fmt.Errorf("send to topic %s partition %d: %w", key.Topic, key.Partition, ack.Err)
		}
	}
	return left, err
}

// note keeps the offset of a batch's first record batch on a partition.
func (p *pipeline) note(ordinal int64, key TopicPartition, offset int64) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.noted[key] != ordinal && offset >= 0 {
		p.offsets[key] = offset
	}
	p.noted[key] = ordinal
}
