package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"golang.org/x/sync/errgroup"
)

// claim is one ownership of a partition: from the raise of its epoch until it is given back or something fails.
type claim struct {
	*owner
	cp       Checkpoint
	info     TopicInfo
	identity Identity
	outlets  map[TopicPartition]outlet
	// described are the output topics, as far as they were asked about.
	described map[string]TopicInfo
	next      int64
	// ordinal is the one of the first new batch.
	ordinal int64
	settled []*pending
}

// take makes this process the owner of the partition: raises the epoch, checks that log and store fit together, and
// sees to it that every pending batch of outputs is in the log. Reading starts at claim.next.
func (o *owner) take(ctx context.Context) (*claim, error) {
	info, err := o.log.Describe(ctx, o.held.Topic)
	if err != nil {
		return nil, fmt.Errorf("input topic %s: %w", o.held.Topic, err)
	}
	cp, err := o.store.Claim(ctx, CheckpointKey{Function: o.function.Name, TopicPartition: o.held.TopicPartition})
	if err != nil {
		return nil, fmt.Errorf("claim checkpoint: %w", err)
	}
	c := &claim{owner: o, cp: cp, info: info, identity: cp.Identity, next: cp.Next, described: map[string]TopicInfo{}}
	if c.outlets, err = decodeOutlets(cp.Sequences); err != nil {
		return nil, fmt.Errorf("checkpoint of topic %s partition %d: %w", o.held.Topic, o.held.Partition, err)
	}
	if c.settled, err = decodeSlots(cp.Pending); err != nil {
		return nil, fmt.Errorf("checkpoint of topic %s partition %d: %w", o.held.Topic, o.held.Partition, err)
	}
	if err := c.prepare(ctx); err != nil {
		return nil, c.excuse(ctx, err)
	}
	// A process that crashed may not have come to it, and tools would see lag where there is none.
	c.held.Mark(c.next)
	o.happened(PartitionClaimed, 1)
	return c, nil
}

// prepare holds log and store against each other, and brings both to where reading can start.
func (c *claim) prepare(ctx context.Context) error {
	if err := c.position(ctx); err != nil {
		return err
	}
	if err := c.identify(ctx); err != nil {
		return err
	}
	if c.cp.Next < 0 {
		if err := c.begin(ctx); err != nil {
			return err
		}
	}
	return c.settle(ctx)
}

// excuse returns ErrFenced instead of an error that asks for people where another process has claimed the partition
// since: its work looks as if the checkpoint, as it was read, were behind the log.
func (c *claim) excuse(ctx context.Context, err error) error {
	if !errors.Is(err, ErrStoreBehind) && !errors.Is(err, ErrDeleted) {
		return err
	}
	rows, failure := c.store.Checkpoints(ctx, c.function.Name)
	if failure != nil {
		return fmt.Errorf("read checkpoints: %w", failure)
	}
	for i := range rows {
		if rows[i].CheckpointKey == c.cp.CheckpointKey && rows[i].Epoch != c.cp.Epoch {
			return fmt.Errorf("claimed again by epoch %d: %w", rows[i].Epoch, ErrFenced)
		}
	}
	return err
}

// position decides where reading starts, and refuses where log and store contradict each other.
func (c *claim) position(ctx context.Context) error {
	start, end, err := c.bounds(ctx)
	if err != nil {
		return fmt.Errorf("bounds of topic %s partition %d: %w", c.held.Topic, c.held.Partition, err)
	}
	if never := c.cp.Next < 0; never {
		c.next = start
		if c.options.Start == Newest {
			c.next = end
		}
	} else if c.cp.TopicID != c.info.ID && c.cp.TopicID != (TopicID{}) && c.info.ID != (TopicID{}) {
		return fmt.Errorf("topic %s: %w; reset function %s to read it from its start", c.held.Topic, ErrTopicRecreated, c.function.Name)
	}
	if err := c.compare(ctx, end); err != nil {
		return err
	}
	if c.next < start {
		gone := &DeletedError{Position: Position{TopicPartition: c.held.TopicPartition, Offset: c.next}, Start: start}
		if !c.options.SkipDeleted {
			return gone
		}
		c.logger.Warn("going on without deleted messages", "err", gone)
		c.skipped = start
	}
	return nil
}

// from is the first offset that is read.
func (c *claim) from() int64 { return max(c.next, c.skipped) }

// bounds returns those of the partition. A log that ends before the checkpoint is asked again once it is sure that others
// don't know better: a broker that was away goes on to answer for what it led until it hears of its successor.
func (c *claim) bounds(ctx context.Context) (start, end int64, err error) {
	start, end, err = c.log.Bounds(ctx, c.held.TopicPartition)
	if err != nil || c.cp.Next <= end {
		return start, end, err
	}
	last := Position{TopicPartition: c.held.TopicPartition, Offset: end}
	if err := c.log.Batches(ctx, last, func(BatchHeader) bool { return true }); err != nil {
		return 0, 0, err
	}
	return c.log.Bounds(ctx, c.held.TopicPartition)
}

// begin writes down where a partition that was never read begins, so that a crash before the first batch does not move
// the beginning.
func (c *claim) begin(ctx context.Context) error {
	commit := &Commit{CheckpointKey: c.cp.CheckpointKey, Epoch: c.cp.Epoch, From: c.next, Next: c.next, TopicID: c.info.ID, Identity: c.identity}
	if err := c.store.Commit(ctx, commit); err != nil {
		return fmt.Errorf("commit first position: %w", err)
	}
	c.cp.Next = c.next
	return nil
}

// compare refuses a store that knows less than the log or this process: one that went back in time.
func (c *claim) compare(ctx context.Context, end int64) error {
	committed, err := c.log.Committed(ctx, c.function.Name, c.held.TopicPartition)
	if err != nil {
		return fmt.Errorf("committed offset of group %s: %w", c.function.Name, err)
	}
	reached := max(committed, c.reached)
	if c.durable && c.next < reached {
		return fmt.Errorf("topic %s partition %d: %w: the checkpoint is at offset %d, but the function had reached %d; "+
			"restore the store or reset function %s", c.held.Topic, c.held.Partition, ErrStoreBehind, c.next, reached, c.function.Name)
	}
	if c.next > end {
		return fmt.Errorf("topic %s partition %d: the checkpoint is at offset %d, but the topic ends at %d: "+
			"the log lost messages; reset function %s", c.held.Topic, c.held.Partition, c.next, end, c.function.Name)
	}
	return nil
}

// identify sees to it that there is a producer identity, and that the broker has not more from it than we know of.
func (c *claim) identify(ctx context.Context) (err error) {
	for _, p := range c.settled {
		c.ordinal = max(c.ordinal, p.ordinal)
	}
	c.ordinal++
	if len(c.function.allOutputs()) == 0 {
		return nil
	}
	if c.identity.ProducerID < 0 {
		if c.identity, err = c.log.NewIdentity(ctx); err != nil {
			return fmt.Errorf("producer identity: %w", err)
		}
		return nil
	}
	partitions, err := c.outputPartitions(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(identityChecks)
	for _, key := range partitions {
		group.Go(func() error { return c.checkOutlet(ctx, key, c.outlets[key]) })
	}
	return group.Wait()
}

// outputPartitions are those that the identity may have been used on. The checkpoint does not know all of them: the store may
// be from before the first output to one.
func (c *claim) outputPartitions(ctx context.Context) ([]TopicPartition, error) {
	partitions := maps.Clone(c.outlets)
	for _, spec := range c.function.allOutputs() {
		info, err := c.describe(ctx, spec.Name)
		if err != nil && !errors.Is(err, ErrUnknownTopic) {
			return nil, fmt.Errorf("output topic %s: %w", spec.Name, err)
		}
		for p := range info.Partitions {
			partitions[TopicPartition{Topic: spec.Name, Partition: p}] = outlet{}
		}
	}
	return SortedPartitions(partitions), nil
}

// describe returns what the log says of an output topic. It is asked once.
func (c *claim) describe(ctx context.Context, name string) (TopicInfo, error) {
	if info, ok := c.described[name]; ok {
		return info, nil
	}
	info, err := c.log.Describe(ctx, name)
	if err == nil {
		c.described[name] = info
	}
	return info, err
}

// identityChecks is how many output partitions are asked about at once.
const identityChecks = 8

func (c *claim) checkOutlet(ctx context.Context, key TopicPartition, o outlet) error {
	state, err := c.log.Producer(ctx, key, c.identity.ProducerID)
	switch {
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, ErrDenied):
		// The check is one of several; without the right or the means, the others must do.
		return nil
	case errors.Is(err, ErrUnknownTopic):
		// The function may have written to it once and no longer; where it still does, that is found out later.
		return nil
	case err != nil:
		return fmt.Errorf("producer state of topic %s partition %d: %w", key.Topic, key.Partition, err)
	case !state.Known || state.Epoch < c.identity.Epoch:
		return nil
	}
	ahead := state.Epoch > c.identity.Epoch || behind(o.next, advance(state.LastSequence, 1)) > 0
	if !ahead {
		return nil
	}
	return fmt.Errorf("topic %s partition %d: %w: the log has outputs of function %s that the checkpoint does not know; "+
		"restore the store or reset the function", key.Topic, key.Partition, ErrStoreBehind, c.function.Name)
}
