package runtime

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kappaflows/flows/topic"
)

// router puts the records of a function where they belong: into the record batch of their output partition, under the
// next sequence number.
type router struct {
	targets []*target
	budget  *budget
	// spread names the partition of records without a key; it changes with every batch.
	spread uint32
}

// target is one output topic.
type target struct {
	spec *topic.Spec
	// framework says that the topic is the framework's own, so that its headers may be, too.
	framework bool
	limit     int
	doors     []door
}

// door is one output partition: the sequence to go on with, and the record batch that is being filled.
type door struct {
	partition TopicPartition
	next      int32
	// batch is the ordinal of the batch that section belongs to.
	batch   int64
	section int
	// filled is how many bytes were put into it: about as many as the next one will take.
	filled int
}

// newRouter asks about the function's output topics and goes on with the sequences of the checkpoint.
func newRouter(
	ctx context.Context, describe func(context.Context, string) (TopicInfo, error), f *Function,
	outlets map[TopicPartition]outlet, budget *budget,
) (*router, error) {
	r := &router{budget: budget}
	for _, spec := range f.allOutputs() {
		info, err := describe(ctx, spec.Name)
		if err != nil {
			return nil, fmt.Errorf("output topic %s: %w", spec.Name, err)
		}
		t := &target{spec: spec, framework: spec == f.DeadLetter, limit: info.MaxMessageBytes - BatchOverhead, doors: make([]door, info.Partitions)}
		for p := range t.doors {
			key := TopicPartition{Topic: spec.Name, Partition: int32(p)}
			t.doors[p] = door{partition: key, next: outlets[key].next, batch: -1}
		}
		r.targets = append(r.targets, t)
	}
	return r, nil
}

// add puts one record into the batch.
func (r *router) add(b *batch, rec *topic.Record, input time.Time) error {
	if err := rec.Err(); err != nil {
		return Permanent(err)
	}
	t := r.find(rec.Spec())
	if t == nil {
		return undeclared(rec.Spec())
	}
	if !t.framework {
		for _, h := range rec.OwnHeaders() {
			if strings.HasPrefix(h.Key, topic.ReservedHeader) {
				return fmt.Errorf("header %q: %w", h.Key, ErrReserved)
			}
		}
	}
	at := rec.Timestamp()
	if at.IsZero() {
		at = input
	}
	return r.put(t, b, &Output{Key: rec.Key(), Value: rec.Value(), Headers: rec.Headers(), Timestamp: at.UnixMilli()})
}

// addOutput puts a record of the framework's own into the batch.
func (r *router) addOutput(b *batch, spec *topic.Spec, output Output) error {
	t := r.find(spec)
	if t == nil {
		return undeclared(spec)
	}
	return r.put(t, b, &output)
}

func (r *router) put(t *target, b *batch, output *Output) error {
	p := t.spec.Place(output.Key, int32(len(t.doors)), r.spread)
	if p < 0 || int(p) >= len(t.doors) {
		return fmt.Errorf("the partitioner of topic %s gave %d of %d partitions", t.spec.Name, p, len(t.doors))
	}
	if size := r.through(&t.doors[p], b, output, t.limit); size > t.limit {
		return fmt.Errorf("%w: %d bytes for topic %s, which takes %d", ErrRecordTooLarge, size, t.spec.Name, t.limit)
	}
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

// through appends an output to the record batch that is being filled, or to a new one where that is full. It returns how
// many bytes the output takes; one that takes more than limit is left out.
func (r *router) through(d *door, b *batch, output *Output, limit int) (size int) {
	if d.batch == b.ordinal {
		records := &b.outputs.sections[d.section].Records
		body := records.body(output)
		if size = recordSize(body); len(records.Bytes)+size <= limit {
			d.add(b, records, output, body)
			return size
		}
	}
	var none Records
	body := none.body(output)
	if size = recordSize(body); size <= limit {
		d.batch, d.section = b.ordinal, b.section(d.partition, d.next, r.budget.spaces.take(withMargin(d.filled)))
		d.filled = 0
		d.add(b, &b.outputs.sections[d.section].Records, output, body)
	}
	return size
}

func (d *door) add(b *batch, records *Records, output *Output, body int) {
	before := len(records.Bytes)
	records.append(output, body)
	d.next = advance(d.next, 1)
	b.stats.Out++
	more := len(records.Bytes) - before
	d.filled += more
	b.stats.OutBytes += more
}

// keep encodes a batch's outputs as pending. From then on their records are parts of that, and the space that they were in
// is free.
func (r *router) keep(b *batch) {
	buf := b.outputs.appendHead(r.budget.spaces.take(b.outputs.bound()))
	for i := range b.outputs.sections {
		buf = appendSection(buf, &b.outputs.sections[i])
		records := &b.outputs.sections[i].Records
		start := len(buf) - len(records.Bytes)
		r.budget.spaces.give(records.Bytes)
		records.Bytes = buf[start:len(buf):len(buf)]
	}
	b.pending = buf
}

// reclaim takes back the space of a batch's outputs, which nobody needs any more.
func (r *router) reclaim(b *batch) {
	if b.pending != nil {
		r.budget.spaces.give(b.pending)
	} else {
		for i := range b.outputs.sections {
			r.budget.spaces.give(b.outputs.sections[i].Records.Bytes)
		}
	}
	clear(b.outputs.sections)
	b.pending, b.outputs.sections = nil, b.outputs.sections[:0]
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
