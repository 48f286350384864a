package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// doubtful is the age from which a pending batch is looked for in the log before it is sent again: a broker forgets
// identities that were quiet for long (producer.id.expiration.ms, a day unless set), and takes a repeated batch of a
// forgotten identity for a new one.
const doubtful = time.Hour

// settle sends every pending batch again, in order, just as it was. The broker drops what it has. A batch that it calls
// out of order is in the log if a later one of its partition is; if the last one is, the log lost what it had
// acknowledged, or the broker has forgotten the identity and takes it for a gap: what the log has not is then sent anew
// under a new identity.
func (c *claim) settle(ctx context.Context) error {
	old := c.cp.Now.Sub(c.cp.Updated) > doubtful
	doubt := map[TopicPartition][]doubted{}
	for _, p := range c.settled {
		for i := range p.sections {
			section := p.sections[i]
			found := false
			if old {
				var err error
				if found, err = c.look(ctx, p.identity, &section); err != nil {
					return err
				}
			}
			if found {
				// So are all before it.
				delete(doubt, section.TopicPartition)
			} else if err := c.again(ctx, p.identity, section, doubt); err != nil {
				return err
			}
		}
	}
	if len(doubt) == 0 {
		return nil
	}
	lost, err := c.lost(ctx, doubt)
	if err != nil {
		return err
	}
	return c.renew(ctx, lost)
}

// doubted is a section that the broker calls out of order.
type doubted struct {
	// identity is what it was sent as. After a reset that kept outputs it is not the checkpoint's any more.
	identity Identity
	RecordBatch
}

// lost returns the sections in doubt that the log does not have. A section that is there has all before it with it.
func (c *claim) lost(ctx context.Context, doubt map[TopicPartition][]doubted) (map[TopicPartition][]doubted, error) {
	lost := map[TopicPartition][]doubted{}
	for _, key := range SortedPartitions(doubt) {
		sections := doubt[key]
		for i := len(sections) - 1; i >= 0; i-- {
			found, err := c.find(ctx, sections[i].identity, &sections[i].RecordBatch)
			if err != nil {
				return nil, err
			}
			if found {
				break
			}
			lost[key] = sections[i:]
		}
	}
	return lost, nil
}

// again sends one section once more and keeps account of those that are in doubt.
func (c *claim) again(ctx context.Context, identity Identity, section RecordBatch, doubt map[TopicPartition][]doubted) error {
	acks, err := c.log.Send(ctx, identity, []RecordBatch{section})
	if err == nil {
		err = acks[0].Err
	}
	key := section.TopicPartition
	switch {
	case err == nil:
		delete(doubt, key)
		c.acknowledged(key, acks[0].Offset)
		c.happened(OutputResent, 1)
		return nil
	case errors.Is(err, ErrOutOfOrder):
		doubt[key] = append(doubt[key], doubted{identity, section})
		return nil
	case errors.Is(err, ErrStaleIdentity):
		return fmt.Errorf("send pending outputs to topic %s partition %d: %w: %w; reset function %s",
			key.Topic, key.Partition, ErrStoreBehind, err, c.function.Name)
	default:
		return fmt.Errorf("send pending outputs to topic %s partition %d: %w", key.Topic, key.Partition, err)
	}
}

func (c *claim) acknowledged(key TopicPartition, offset int64) {
	o := c.outlets[key]
	o.acked = max(o.acked, offset)
	c.outlets[key] = o
}

// look says whether the log has a section, from its batch headers. It asks only where the broker has forgotten the
// identity; where it has not, sending again is harmless.
func (c *claim) look(ctx context.Context, identity Identity, section *RecordBatch) (found bool, err error) {
	forgotten, err := Forgotten(ctx, c.log, section.TopicPartition, identity.ProducerID)
	if err != nil || !forgotten {
		return false, err
	}
	return c.find(ctx, identity, section)
}

// find says whether the log has a section, from its batch headers.
func (c *claim) find(ctx context.Context, identity Identity, section *RecordBatch) (found bool, err error) {
	from := Position{TopicPartition: section.TopicPartition, Offset: c.outlets[section.TopicPartition].acked}
	offset, _, err := Search(ctx, c.log, from, identity, section.Sequence)
	return offset >= 0, err
}

// renew takes a new identity, makes the lost sections pending under it, and sends them. The checkpoint is written
// first, so that a crash in between is one more resend.
func (c *claim) renew(ctx context.Context, doubt map[TopicPartition][]doubted) (err error) {
	if c.identity.Epoch < math.MaxInt16 {
		// The next epoch of a producer id needs nobody's permission and shuts the old one out.
		c.identity.Epoch++
	} else if c.identity, err = c.log.NewIdentity(ctx); err != nil {
		return fmt.Errorf("producer identity: %w", err)
	}
	renewed := &pending{ordinal: c.ordinal, identity: c.identity}
	c.ordinal++
	for key, o := range c.outlets {
		o.next = 0
		c.outlets[key] = o
	}
	for _, key := range SortedPartitions(doubt) {
		o, sections := c.outlets[key], doubt[key]
		for _, section := range sections {
			section.Sequence = o.next
			o.next = advance(o.next, section.Records.Count)
			renewed.sections = append(renewed.sections, section.RecordBatch)
		}
		c.outlets[key] = o
	}
	err = c.rewrite(ctx, renewed)
	if !errors.Is(err, ErrFenced) {
		// To one that has been superseded, outputs look lost that are only older than what its successor has sent.
		c.reportLost(doubt)
	}
	if err != nil {
		return err
	}
	for _, section := range renewed.sections {
		if err := c.again(ctx, c.identity, section, doubt); err != nil {
			return err
		}
	}
	if len(doubt) > 0 {
		return fmt.Errorf("outputs of a new identity are out of order: %w", ErrUnavailable)
	}
	return nil
}

func (c *claim) reportLost(doubt map[TopicPartition][]doubted) {
	for key, sections := range doubt {
		c.logger.Error("the log does not have outputs that were sent, or may have been; sending them under a new identity",
			"output_topic", key.Topic, "output_partition", key.Partition, "batches", len(sections))
		c.happened(OutputLost, len(sections))
	}
}

// rewrite replaces all pending batches of the checkpoint by one.
func (c *claim) rewrite(ctx context.Context, p *pending) error {
	commit := &Commit{
		CheckpointKey: c.cp.CheckpointKey, Epoch: c.cp.Epoch, From: c.cp.Next, Next: c.cp.Next,
		TopicID: c.info.ID, Identity: c.identity, Sequences: encodeOutlets(c.outlets),
	}
	for s := range c.cp.Pending {
		commit.Put[s], c.cp.Pending[s] = clears, nil
	}
	commit.Put[0] = p.append(nil)
	c.cp.Pending[0] = commit.Put[0]
	if err := c.store.Commit(ctx, commit); err != nil {
		return fmt.Errorf("commit new identity: %w", err)
	}
	return nil
}
