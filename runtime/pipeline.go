package runtime

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// pipeline processes one claim in three stages that work at the same time, each in a goroutine of its own: batch n+1 is
// computed while batch n is committed and batch n-1 is sent. Any failure ends all three and the claim with them.
type pipeline struct {
	*claim
	reader    Reader
	processor *processor
	ledger    *ledger
	commits   chan *batch
	sends     chan *batch
	// free holds batches whose space can be used again, and effects what committed ones have no more need of.
	free    chan *batch
	effects chan *effects
	// committed and acked are ordinals: all batches below are committed, or acknowledged.
	committed, acked atomic.Int64
	// unacked is how many bytes of outputs are committed and not acknowledged.
	unacked atomic.Int64
	// committing and acking are told when committed and acked move; only compute waits for the one, only commit for
	// the other.
	committing, acking chan struct{}
	// offsets are those of the batches that were acknowledged last, by output partition, which the ledger does not have
	// yet: of the first record batch of each, since a pending batch is looked for from there. noted says for which batch.
	mutex   sync.Mutex
	offsets map[TopicPartition]int64
	noted   map[TopicPartition]int64
	// searching guards the owner's suspects.
	searching sync.Mutex
	// attempts counts how often the function failed on the message that comes next.
	attempts int
	// calm counts commits without a conflict.
	calm int
	// verdict is why there is nothing more to read: the message that the function cannot be applied to, or the log's
	// error. It ends the claim when all before it is committed and sent.
	verdict error
}

const (
	// inFlight bounds the batches that are committed and not acknowledged.
	inFlight = Slots
	// inCompute bounds those that are not committed: one is computed, one waits, one is committed.
	inCompute = 3
)

// process runs the stages until ctx is done and what was begun is finished, or something fails.
func (c *claim) process(ctx context.Context) (err error) {
	p, err := c.newPipeline(ctx)
	if err != nil {
		return err
	}
	defer func() { err = p.closeReader(err) }()
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stages, work := errgroup.WithContext(work)
	// Reading ends when the partition is to be given back, or when a stage fails.
	reading, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(work, stop)()
	c.status.reading(c.from(), p.reader.End)
	c.status.enter(Running)
	finished := make(chan struct{})
	stages.Go(func() error { return p.compute(reading, work) })
	// The committer is the last to finish: it waits for what is sent, and then commits that.
	gone := true
	stages.Go(func() (err error) {
		defer close(finished)
		defer func() {
			if gone {
				cancel() // nobody hands on what the others wait for
			}
		}()
		err = p.commit(work)
		gone = false
		return err
	})
	stages.Go(func() error { return p.send(work) })
	stages.Go(func() error { return p.limitDrain(ctx, finished) })
	err = stages.Wait()
	switch {
	case gone:
		return errGone
	case err != nil:
		return err
	default:
		return p.verdict
	}
}

// closeReader closes the reader without hiding an error that was there before.
func (p *pipeline) closeReader(err error) error {
	closing := p.reader.Close()
	switch {
	case closing == nil:
		return err
	case err == nil:
		return fmt.Errorf("stop reading topic %s partition %d: %w", p.held.Topic, p.held.Partition, closing)
	default:
		p.logger.Warn("stop reading", "err", closing)
		return err
	}
}

func (c *claim) newPipeline(ctx context.Context) (*pipeline, error) {
	router, err := newRouter(ctx, c.describe, c.function, c.outlets, c.limits.budget)
	if err != nil {
		return nil, err
	}
	table := ""
	if c.function.State != nil {
		table = c.function.State.Table.Name
	}
	reader, err := c.log.Open(ctx, Position{TopicPartition: c.held.TopicPartition, Offset: c.from()}, ReadLimits{Bytes: c.limits.queueBytes})
	if err != nil {
		return nil, fmt.Errorf("read topic %s partition %d: %w", c.held.Topic, c.held.Partition, err)
	}
	p := &pipeline{
		claim:  c,
		reader: reader,
		processor: &processor{
			function: c.function, options: c.options, limits: c.limits, source: c.held.TopicPartition, store: c.store, clock: c.clock,
			random: c.random, cache: newCache(c.limits.cacheBytes), router: router, durable: c.durable,
		},
		ledger:  newLedger(&c.cp, c.next, c.info.ID, c.identity, c.outlets, table),
		commits: make(chan *batch),
		sends:   make(chan *batch, inFlight),
		free:    make(chan *batch, inFlight+2),
		effects: make(chan *effects, inCompute),
		offsets: map[TopicPartition]int64{},
		noted:   map[TopicPartition]int64{},

		committing: make(chan struct{}, 1),
		acking:     make(chan struct{}, 1),
	}
	p.committed.Store(c.ordinal)
	p.acked.Store(c.ordinal)
	// The ledger knows what it needs of them, and they can be large.
	c.settled, c.cp.Pending = nil, [Slots][]byte{}
	return p, nil
}

// errDrained ends the stages when draining took too long.
var errDrained = fmt.Errorf("drain: time is up: %w", context.DeadlineExceeded)

// limitDrain gives the stages a limited time to finish once ctx is done.
func (p *pipeline) limitDrain(ctx context.Context, finished <-chan struct{}) error {
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
	}
	p.status.enter(Draining)
	after, stop := p.clock.After(p.options.DrainTimeout)
	defer stop()
	select {
	case <-finished:
		return nil
	case <-after:
		p.logger.Warn("giving up on what was begun; it is done again by the next owner", "err", errDrained)
		return errDrained
	}
}
