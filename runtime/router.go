package runtime

import (
	"context"
	"fmt"
	"strings"

	"github.com/kappaflows/flows/topic"
)

// router puts the records of a function where they belong: into the record batch of their output partition, under the
// next sequence number.
type router struct {
	targets []*target
	// spread names the partition of records without a key; it changes with every batch.
	spread uint32
}

// target is one output topic.
type target struct {
	spec  *topic.Spec
	limit int
	doors []door
}

// door is one output partition: the sequence to go on with, and the record batch that is being filled.
type door struct {
	partition TopicPartition
	next      int32
	// batch is the ordinal of the batch that section belongs to.
	batch   int64
	section int
	bytes   int
}

// newRouter asks the log about the function's output topics and goes on with the sequences of the checkpoint.
func newRouter(ctx context.Context, log Log, outputs []*topic.Spec, outlets map[TopicPartition]outlet) (*router, error) {
	r := &router{}
	for _, spec := range outputs {
		info, err := log.Describe(ctx, spec.Name)
		if err != nil {
			return nil, fmt.Errorf("output topic %s: %w", spec.Name, err)
		}
		t := &target{spec: spec, limit: info.MaxMessageBytes - batchHeaderSize, doors: make([]door, info.Partitions)}
		for p := range t.doors {
			key := TopicPartition{Topic: spec.Name, Partition: int32(p)}
			t.doors[p] = door{partition: key, next: outlets[key].next, batch: -1}
		}
		r.targets = append(r.targets, t)
	}
	return r, nil
}

// add puts one record into the batch.
func (r *router) add(b *batch, rec *topic.Record, input *topic.Raw) error {
	if err := rec.Err(); err != nil {
		return err
	}
	t := r.find(rec.Spec())
	if t == nil {
		return undeclared(rec.Spec())
	}
	for _, h := range rec.Headers() {
		if strings.HasPrefix(h.Key, topic.ReservedHeader) {
			return fmt.Errorf("header %q: %w", h.Key, ErrReserved)
		}
	}
	size := recordSize(rec)
	if size > t.limit {
		return fmt.Errorf("%w: %d bytes for topic %s, which takes %d", ErrRecordTooLarge, size, t.spec.Name, t.limit)
	}
	p := t.spec.Place(rec.Key(), int32(len(t.doors)), r.spread)
	if p < 0 || int(p) >= len(t.doors) {
		return fmt.Errorf("the partitioner of topic %s gave %d of %d partitions", t.spec.Name, p, len(t.doors))
	}
	t.doors[p].put(b, rec, input, size, t.limit)
	return nil
}

func (r *router) find(spec *topic.Spec) *target {
	for _, t := range r.targets {
		if t.spec == spec {
			return t
		}
	}
	if spec == nil {
		return nil
	}
	for _, t := range r.targets {
		if t.spec.Name == spec.Name {
			return t
		}
	}
	return nil
}

func undeclared(spec *topic.Spec) error {
	if spec == nil {
		return fmt.Errorf("the zero Record, which no topic made: %w", ErrUndeclared)
	}
	return fmt.Errorf("record for topic %s: %w", spec.Name, ErrUndeclared)
}

func (d *door) put(b *batch, rec *topic.Record, input *topic.Raw, size, limit int) {
	if d.batch != b.ordinal || d.bytes+size > limit {
		d.batch, d.section, d.bytes = b.ordinal, b.section(d.partition, d.next), 0
	}
	at := rec.Timestamp()
	if at.IsZero() {
		at = input.Timestamp
	}
	s := &b.outputs.sections[d.section]
	s.Records = append(s.Records, Output{Key: rec.Key(), Value: rec.Value(), Headers: rec.Headers(), Timestamp: at.UnixMilli()})
	d.bytes += size
	d.next = advance(d.next, 1)
	b.stats.Out++
	b.stats.OutBytes += size
}

// undo takes back what was put into the batch, so that its sequences are free again.
func (r *router) undo(b *batch) {
	for _, t := range r.targets {
		for p := range t.doors {
			d := &t.doors[p]
			if d.batch != b.ordinal {
				continue
			}
			d.batch = -1
			for _, s := range b.outputs.sections {
				if s.TopicPartition == d.partition {
					d.next = s.Sequence
					break
				}
			}
		}
	}
}
