package memory

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// remembered is how many batches of an identity a broker remembers on a partition.
const remembered = 5

// partitionLog is guarded by the mutex of its Log.
type partitionLog struct {
	start, end int64
	records    []topic.Raw
	batches    []runtime.BatchHeader
	producers  map[int64]*producer
	changed    signal
}

// producer is what a partition knows of one producer id.
type producer struct {
	epoch  int16
	recent []runtime.BatchHeader
}

func newPartitionLog() *partitionLog {
	return &partitionLog{producers: map[int64]*producer{}, changed: newSignal()}
}

func (p *partitionLog) send(identity runtime.Identity, sequence int32, records []runtime.Output) runtime.Ack {
	if identity.ProducerID < 0 {
		return runtime.Ack{Offset: p.append(runtime.BatchHeader{Identity: identity, Sequence: -1}, records).Offset}
	}
	if known := p.producers[identity.ProducerID]; known != nil {
		repeated, err := known.check(identity.Epoch, sequence, len(records))
		switch {
		case err != nil:
			return runtime.Ack{Offset: -1, Err: err}
		case repeated != nil:
			return runtime.Ack{Offset: repeated.Offset}
		}
	}
	header := p.append(runtime.BatchHeader{Identity: identity, Sequence: sequence}, records)
	p.remember(header)
	return runtime.Ack{Offset: header.Offset}
}

// remember notes a batch as the last of its producer.
func (p *partitionLog) remember(h runtime.BatchHeader) {
	known := p.producers[h.Identity.ProducerID]
	if known == nil {
		known = &producer{epoch: h.Identity.Epoch}
		p.producers[h.Identity.ProducerID] = known
	}
	known.add(h)
}

// check says whether a batch repeats one that is remembered; an error where it is neither that nor the next.
func (k *producer) check(epoch int16, sequence int32, records int) (*runtime.BatchHeader, error) {
	switch {
	case epoch < k.epoch:
		return nil, runtime.ErrStaleIdentity
	case epoch > k.epoch && sequence == 0:
		return nil, nil
	case epoch > k.epoch:
		return nil, runtime.ErrOutOfOrder
	}
	for i := range k.recent {
		if k.recent[i].Sequence == sequence && k.recent[i].Records == records {
			return &k.recent[i], nil
		}
	}
	if sequence != advance(k.lastSequence(), 1) {
		return nil, runtime.ErrOutOfOrder
	}
	return nil, nil
}

func (k *producer) add(header runtime.BatchHeader) {
	if header.Identity.Epoch != k.epoch {
		k.epoch, k.recent = header.Identity.Epoch, nil
	}
	k.recent = append(k.recent, header)
	k.recent = slices.Clone(k.recent[max(0, len(k.recent)-remembered):])
}

// lastSequence is the sequence of the last record appended.
func (k *producer) lastSequence() int32 {
	last := k.recent[len(k.recent)-1]
	return advance(last.Sequence, last.Records-1)
}

// advance counts sequences, which go from 2147483647 to 0.
func advance(sequence int32, by int) int32 {
	return int32((int64(sequence) + int64(by)) & math.MaxInt32)
}

func (p *partitionLog) append(header runtime.BatchHeader, records []runtime.Output) runtime.BatchHeader {
	header.Offset, header.Records = p.end, len(records)
	for i := range records {
		p.records = append(p.records, topic.Raw{
			Offset:    p.end,
			Timestamp: time.UnixMilli(records[i].Timestamp),
			Key:       bytes.Clone(records[i].Key),
			Value:     bytes.Clone(records[i].Value),
			Headers:   cloneHeaders(records[i].Headers),
		})
		p.end++
	}
	p.batches = append(p.batches, header)
	p.changed.notify()
	return header
}

func cloneHeaders(headers topic.Headers) topic.Headers {
	if len(headers) == 0 {
		return nil
	}
	clone := make(topic.Headers, len(headers))
	for i, h := range headers {
		clone[i] = topic.Header{Key: h.Key, Value: bytes.Clone(h.Value)}
	}
	return clone
}

// contains reports whether a position is in the partition, its end included.
func (p *partitionLog) contains(at runtime.Position) error {
	if at.Offset < p.start || at.Offset > p.end {
		return fmt.Errorf("%s/%d at %d of %d to %d: %w", at.Topic, at.Partition, at.Offset, p.start, p.end, runtime.ErrOutOfRange)
	}
	return nil
}

// after returns the records from an offset on, at most limit.
func (p *partitionLog) after(offset int64, limit int) []topic.Raw {
	first, _ := slices.BinarySearchFunc(p.records, offset, func(r topic.Raw, offset int64) int {
		return int(min(1, max(-1, r.Offset-offset)))
	})
	return p.records[first:min(len(p.records), first+limit)]
}

func (p *partitionLog) truncate(before int64) {
	p.start = max(p.start, min(before, p.end))
	p.records = slices.DeleteFunc(slices.Clone(p.records), func(r topic.Raw) bool { return r.Offset < p.start })
	p.batches = slices.DeleteFunc(p.batches, func(h runtime.BatchHeader) bool { return h.Offset+int64(h.Records) <= p.start })
	p.changed.notify()
}

func (p *partitionLog) lose(from int64) {
	lost := func(h runtime.BatchHeader) bool { return h.Offset+int64(h.Records) > from }
	for _, h := range p.batches {
		if lost(h) {
			p.end = min(p.end, h.Offset)
		}
	}
	p.records = slices.DeleteFunc(slices.Clone(p.records), func(r topic.Raw) bool { return r.Offset >= p.end })
	p.batches = slices.DeleteFunc(p.batches, lost)
	clear(p.producers)
	for _, h := range p.batches {
		if h.Identity.ProducerID >= 0 {
			p.remember(h)
		}
	}
	p.changed.notify()
}

// signal wakes whoever waits for a change.
type signal struct{ changed chan struct{} }

func newSignal() signal { return signal{changed: make(chan struct{})} }

// wait returns a channel that is closed at the next notify.
func (s *signal) wait() <-chan struct{} { return s.changed }

func (s *signal) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}
