package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// run sends what waits, one batch a partition at a time, until the producer is closed or fails. While it sends, the next
// batches fill: the slower the log, the larger they are.
func (p *Producer) run(ctx context.Context) {
	defer close(p.done)
	for {
		select {
		case <-p.filled:
		case <-ctx.Done():
			return
		}
		batches := p.take()
		if err := p.deliver(ctx, batches); err != nil {
			p.fail(err)
			return
		}
		p.acknowledged()
	}
}

// take takes what waits for every partition.
func (p *Producer) take() (batches []runtime.RecordBatch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = map[runtime.TopicPartition][]ticket{}
	for _, to := range p.topics {
		for at := range to.partitions {
			if to.partitions[at].records.Count > 0 {
				batch, tickets := to.take(at)
				batches = append(batches, batch)
				if len(tickets) > 0 {
					p.told[batch.TopicPartition] = tickets
				}
			}
		}
	}
	p.sending, p.filling = p.filling, 0
	// The next records without a key start another partition.
	p.spread++
	p.announce()
	return batches
}

func (p *Producer) acknowledged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent += int64(p.sending)
	p.sending = 0
	p.announce()
}

// deliver sends the batches until each is acknowledged. Those that already are drop out; the log tells repeated ones by
// their sequences.
func (p *Producer) deliver(ctx context.Context, batches []runtime.RecordBatch) error {
	return p.retry(ctx, func() error {
		acks, err := p.config.Log.Send(ctx, p.identity, batches)
		if err != nil {
			return fmt.Errorf("cannot append to %s: %w", topicsOf(batches), err)
		}
		var failed error
		left := batches[:0:0]
		for i, ack := range acks {
			if ack.Err == nil {
				p.tell(batches[i].TopicPartition, ack.Offset)
				continue
			}
			left = append(left, batches[i])
			// One that cannot be helped decides over those that can.
			if failed == nil || !errors.Is(ack.Err, runtime.ErrUnavailable) {
				failed = fmt.Errorf("cannot append to %s/%d: %w", batches[i].Topic, batches[i].Partition, ack.Err)
			}
		}
		batches = left
		return failed
	})
}

// tell tells those who wait for it where their records are.
func (p *Producer) tell(partition runtime.TopicPartition, offset int64) {
	for _, t := range p.told[partition] {
		at := runtime.Position{TopicPartition: partition, Offset: -1}
		if offset >= 0 {
			at.Offset = offset + int64(t.place)
		}
		t.position <- at
	}
}

func topicsOf(batches []runtime.RecordBatch) string {
	var names []string
	for _, b := range batches {
		if !slices.Contains(names, b.Topic) {
			names = append(names, b.Topic)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// retry calls attempt until it succeeds, fails for good, or has been unavailable for the configured time.
func (p *Producer) retry(ctx context.Context, attempt func() error) error {
	until := p.config.Clock.Now().Add(p.config.Timeout)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := attempt()
		switch {
		case err == nil || !errors.Is(err, runtime.ErrUnavailable):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case p.config.Clock.Now().After(until):
			return fmt.Errorf("given up after %s: %w", p.config.Timeout, err)
		}
		p.config.Logger.Warn("trying again", "error", err, "pause", pause)
		after, stop := p.config.Clock.After(pause)
		select {
		case <-after:
		case <-ctx.Done():
			stop()
			return ctx.Err()
		}
	}
}
