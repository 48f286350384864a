package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kappaflows/flows/topic"
)

// compute reads messages and makes batches of them until reading is done, or a message ends it. The user's function
// runs under work, so that a message that was begun is finished when the partition is given back.
func (p *pipeline) compute(reading, work context.Context) error {
	defer close(p.commits)
	err := p.computeAll(reading, work)
	if _, ok := errors.AsType[*MessageError](err); ok {
		// Returned here, it would cut off the sending of what came before the message.
		p.verdict = err
		return nil
	}
	return err
}

func (p *pipeline) computeAll(reading, work context.Context) error {
	var backlog []topic.Raw
	locked := lockedBatches(p.conflicts)
	for ordinal := p.ordinal; reading.Err() == nil; ordinal++ {
		var err error
		if len(backlog) == 0 {
			if backlog = p.read(reading, backlog); len(backlog) == 0 {
				return nil
			}
		}
		b := p.batch(ordinal)
		messages, suspect := p.unsuspected(backlog)
		if suspect != nil {
			_, err = p.failed(reading, work, b, &messages[0], suspect)
			backlog = rest(backlog, b.stats.In)
			if err != nil {
				return err
			}
			continue
		}
		n, err := p.make(reading, work, b, messages, p.function.State != nil && locked > 0)
		if err != nil {
			return err
		}
		backlog = rest(backlog, n)
		locked--
	}
	return nil
}

// lockedBatches is how many batches are done with locked rows after so many conflicts in a row.
func lockedBatches(conflicts int) int {
	const doublings = 6
	if conflicts == 0 {
		return 0
	}
	return 1 << min(conflicts, doublings)
}

// unsuspected returns the messages that the next batch may have while one is looked for whose row the database refuses;
// and the reason, where the first of them is that one.
func (p *pipeline) unsuspected(messages []topic.Raw) ([]topic.Raw, error) {
	p.searching.Lock()
	defer p.searching.Unlock()
	s := &p.suspects
	if s.limit == 0 {
		return messages, nil
	}
	for i := range messages[:min(len(messages), s.limit)] {
		if messages[i].Offset != s.found {
			continue
		}
		if i == 0 {
			return messages, s.reason
		}
		return messages[:i], nil
	}
	return messages[:min(len(messages), s.limit)], nil
}

// rest returns the messages behind the first n, at the front of the same space.
func rest(messages []topic.Raw, n int) []topic.Raw {
	left := copy(messages, messages[n:])
	clear(messages[left:])
	return messages[:left]
}

// read waits for messages; none are returned only when ctx is done, or reading failed, which becomes the verdict: what
// has been read is finished first.
func (p *pipeline) read(ctx context.Context, backlog []topic.Raw) []topic.Raw {
	backlog, err := p.reader.Read(ctx, backlog[:0], p.options.BatchMessages)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		p.verdict = fmt.Errorf("read topic %s partition %d: %w", p.held.Topic, p.held.Partition, err)
		return nil
	default:
		return backlog
	}
}

// batch returns an empty batch.
func (p *pipeline) batch(ordinal int64) *batch {
	var b *batch
	select {
	case b = <-p.free:
	default:
		b = &batch{}
	}
	b.reset(ordinal, p.newEffects())
	return b
}

func (p *pipeline) newEffects() *effects {
	select {
	case of := <-p.effects:
		return of
	default:
		return &effects{}
	}
}

// make makes a batch of the first messages and hands it on; it returns how many messages are in it, none only when the
// partition is to be given back. Where the function fails on one, the messages before it become the batch, so that it
// comes first in the next; what becomes of the first one is the policy's to say.
func (p *pipeline) make(reading, work context.Context, b *batch, messages []topic.Raw, locked bool) (int, error) {
	for {
		n, failed, err := p.run(reading, work, b, messages, locked)
		if err != nil {
			return 0, err
		}
		if failed == nil {
			p.processor.cache.shrink(p.committed.Load())
			p.status.caching(p.processor.cache.bytes)
			p.recovered()
			return n, nil
		}
		if err := p.takeBack(work, b); err != nil {
			return 0, err
		}
		if failed.index > 0 {
			messages = messages[:failed.index]
			continue
		}
		if again, err := p.failed(reading, work, b, &messages[0], failed.err); !again || err != nil {
			return b.stats.In, err
		}
		messages = messages[:1]
	}
}

// recovered notes that the function was applied after it had failed.
func (p *pipeline) recovered() {
	if p.attempts > 0 {
		p.attempts = 0
		p.status.resume()
	}
}

// takeBack makes a batch in which the function failed as if it had never been.
func (p *pipeline) takeBack(work context.Context, b *batch) error {
	if err := p.await(work, b.ordinal); err != nil {
		return err
	}
	p.processor.forget(b)
	b.reset(b.ordinal, nil)
	return nil
}

// run computes a batch and hands it to the committer.
func (p *pipeline) run(reading, work context.Context, b *batch, messages []topic.Raw, locked bool) (n int, failed *failedAt, err error) {
	p.processor.router.spread = uint32(b.ordinal)
	if locked {
		return p.runLocked(reading, work, b, messages)
	}
	n, failed, err = p.processor.run(work, reading.Done(), b, messages, p.identity)
	if err != nil || failed != nil {
		return 0, failed, err
	}
	return n, nil, p.hand(work, b)
}

// runLocked does the same with the rows of the messages' keys locked. The function is then called by the committer's
// goroutine, inside the transaction, while this one waits.
func (p *pipeline) runLocked(reading, work context.Context, b *batch, messages []topic.Raw) (n int, failed *failedAt, err error) {
	if err := p.await(work, b.ordinal); err != nil {
		return 0, nil, err
	}
	messages = messages[:min(len(messages), p.processor.affordable())]
	job := &lockedJob{keys: p.processor.distinctKeys(messages), done: make(chan struct{})}
	job.compute = func(rows []StateRow) (err error) {
		job.n, job.failed, err = p.processor.runWith(work, reading.Done(), b, messages, job.keys, rows, p.identity)
		if job.failed != nil {
			return errVoid
		}
		return err
	}
	b.locked = job
	if err := p.hand(work, b); err != nil {
		return 0, nil, err
	}
	select {
	case <-job.done:
		return job.n, job.failed, nil
	case <-work.Done():
		return 0, nil, work.Err()
	}
}

// lockedJob is a batch that is computed while its rows are locked.
type lockedJob struct {
	keys    []string
	compute func(rows []StateRow) error
	// n and failed are the result once done is closed.
	n      int
	failed *failedAt
	done   chan struct{}
}

// errVoid rolls back a batch that the function failed in.
var errVoid = errors.New("the batch is void")

// distinctKeys returns the keys of the messages that can have a row, in order.
func (p *processor) distinctKeys(messages []topic.Raw) []string {
	keys := make([]string, 0, len(messages))
	for i := range messages {
		if key := string(messages[i].Key); p.storable(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// hand gives a batch to the committer.
func (p *pipeline) hand(work context.Context, b *batch) error {
	select {
	case p.commits <- b:
		return nil
	case <-work.Done():
		return work.Err()
	}
}

// await waits until every batch below ordinal is committed.
func (p *pipeline) await(work context.Context, ordinal int64) error {
	return wait(work, p.committing, func() bool { return p.committed.Load() >= ordinal })
}

// wait waits until done is true, which it asks again whenever it is told.
func wait(ctx context.Context, told <-chan struct{}, done func() bool) error {
	for !done() {
		select {
		case <-told:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// tell wakes the one who waits.
func tell(waiter chan<- struct{}) {
	select {
	case waiter <- struct{}{}:
	default:
	}
}
