package memory

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// defaultMaxMessageBytes is Kafka's default of max.message.bytes.
const defaultMaxMessageBytes = 1048588

// Log is a runtime.Log in memory. Its answers to repeated, missing and superseded batches are those of a Kafka broker.
// It outlives Close, so that a test can go on with another engine on the same log.
type Log struct {
	mu           sync.Mutex
	topics       map[string]*topicLog
	groups       map[string]*group
	nextTopic    uint64
	nextProducer int64
}

var _ runtime.Log = (*Log)(nil)

type topicLog struct {
	info       runtime.TopicInfo
	partitions []*partitionLog
}

// NewLog returns a log without topics.
func NewLog() *Log {
	return &Log{topics: map[string]*topicLog{}, groups: map[string]*group{}}
}

// Describe implements runtime.Log.
func (l *Log) Describe(ctx context.Context, name string) (runtime.TopicInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.topics[name]
	if !ok {
		return runtime.TopicInfo{}, unknown(name)
	}
	return t.info, ctx.Err()
}

// Create implements runtime.Log. A topic without a number of partitions gets one.
func (l *Log) Create(ctx context.Context, topics []runtime.NewTopic) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range topics {
		if _, ok := l.topics[t.Name]; !ok {
			l.create(t)
		}
	}
	return nil
}

func (l *Log) create(topic runtime.NewTopic) {
	l.nextTopic++
	t := &topicLog{info: runtime.TopicInfo{Name: topic.Name, MaxMessageBytes: cmp.Or(topic.MaxMessageBytes, defaultMaxMessageBytes)}}
	binary.BigEndian.PutUint64(t.info.ID[8:], l.nextTopic)
	l.topics[topic.Name] = t
	l.grow(t, max(1, topic.Partitions))
}

func (l *Log) grow(t *topicLog, partitions int32) {
	for t.info.Partitions < partitions {
		t.partitions = append(t.partitions, newPartitionLog())
		t.info.Partitions++
	}
	for _, name := range slices.Sorted(maps.Keys(l.groups)) {
		l.rebalance(l.groups[name])
	}
}

// Bounds implements runtime.Log.
func (l *Log) Bounds(ctx context.Context, partition runtime.TopicPartition) (start, end int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.partition(partition)
	if err != nil {
		return 0, 0, err
	}
	return p.start, p.end, ctx.Err()
}

// NewIdentity implements runtime.Log.
func (l *Log) NewIdentity(ctx context.Context) (runtime.Identity, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nextProducer++
	return runtime.Identity{ProducerID: l.nextProducer}, ctx.Err()
}

// Send implements runtime.Log. A ProducerID of -1 appends without telling repeated batches.
func (l *Log) Send(ctx context.Context, identity runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	acks := make([]runtime.Ack, len(batches))
	for i := range batches {
		acks[i] = l.send(identity, &batches[i])
	}
	return acks, nil
}

func (l *Log) send(identity runtime.Identity, batch *runtime.RecordBatch) runtime.Ack {
	p, err := l.partition(batch.TopicPartition)
	if err != nil {
		return runtime.Ack{Offset: -1, Err: err}
	}
	records, err := batch.Records.Outputs()
	if err == nil && len(records) == 0 {
		err = errors.New("record batch without records")
	}
	if err != nil {
		return runtime.Ack{Offset: -1, Err: fmt.Errorf("%s/%d: %w", batch.Topic, batch.Partition, err)}
	}
	limit := l.topics[batch.Topic].info.MaxMessageBytes
	if size := runtime.BatchOverhead + len(batch.Records.Bytes); size > limit {
		err := fmt.Errorf("%s/%d: %d bytes of at most %d: %w", batch.Topic, batch.Partition, size, limit, runtime.ErrTooLarge)
		return runtime.Ack{Offset: -1, Err: err}
	}
	ack := p.send(identity, batch.Sequence, records)
	if ack.Err != nil {
		ack.Err = fmt.Errorf("%s/%d: %w", batch.Topic, batch.Partition, ack.Err)
	}
	return ack
}

// Producer implements runtime.Log.
func (l *Log) Producer(ctx context.Context, partition runtime.TopicPartition, producerID int64) (runtime.ProducerState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.partition(partition)
	if err != nil {
		return runtime.ProducerState{}, err
	}
	known, ok := p.producers[producerID]
	if !ok {
		return runtime.ProducerState{}, ctx.Err()
	}
	return runtime.ProducerState{Known: true, Epoch: known.epoch, LastSequence: known.lastSequence()}, ctx.Err()
}

// Batches implements runtime.Log.
func (l *Log) Batches(ctx context.Context, from runtime.Position, visit func(runtime.BatchHeader) bool) error {
	headers, err := l.headers(from)
	if err != nil {
		return err
	}
	for _, header := range headers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !visit(header) {
			return nil
		}
	}
	return nil
}

func (l *Log) headers(from runtime.Position) ([]runtime.BatchHeader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.partition(from.TopicPartition)
	if err != nil {
		return nil, err
	}
	if err := p.contains(from); err != nil {
		return nil, err
	}
	first, _ := slices.BinarySearchFunc(p.batches, from.Offset, func(h runtime.BatchHeader, offset int64) int {
		return int(min(1, max(-1, h.Offset+int64(h.Records)-1-offset)))
	})
	return slices.Clone(p.batches[first:]), nil
}

// Ping implements runtime.Log.
func (l *Log) Ping(ctx context.Context) error { return ctx.Err() }

// Close implements runtime.Log; it does nothing.
func (l *Log) Close() error { return nil }

func (l *Log) partition(at runtime.TopicPartition) (*partitionLog, error) {
	t, ok := l.topics[at.Topic]
	if !ok {
		return nil, unknown(at.Topic)
	}
	if at.Partition < 0 || at.Partition >= t.info.Partitions {
		return nil, fmt.Errorf("%w: %q has no partition %d", runtime.ErrUnknownTopic, at.Topic, at.Partition)
	}
	return t.partitions[at.Partition], nil
}

func unknown(name string) error { return fmt.Errorf("%w %q", runtime.ErrUnknownTopic, name) }

// Append appends records as one batch of a client without an identity, and returns the offset of the first.
func (l *Log) Append(name string, partition int32, records ...runtime.Output) (int64, error) {
	batch := runtime.RecordBatch{TopicPartition: runtime.TopicPartition{Topic: name, Partition: partition}, Records: runtime.Encode(records...)}
	l.mu.Lock()
	defer l.mu.Unlock()
	ack := l.send(runtime.Identity{ProducerID: -1}, &batch)
	return ack.Offset, ack.Err
}

// Records returns what is in a partition, nothing where there is no such partition.
func (l *Log) Records(name string, partition int32) []topic.Raw {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.partition(runtime.TopicPartition{Topic: name, Partition: partition})
	if err != nil {
		return nil
	}
	return slices.Clone(p.records)
}

// Restart does what a restart of the broker does: of each identity only the last batch is remembered.
func (l *Log) Restart() {
	l.eachPartition(func(p *partitionLog) {
		for _, known := range p.producers {
			known.recent = known.recent[len(known.recent)-1:]
		}
	})
}

// Expire forgets all identities, as a broker does a day after their last batch.
func (l *Log) Expire() {
	l.eachPartition(func(p *partitionLog) { clear(p.producers) })
}

func (l *Log) eachPartition(do func(*partitionLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.topics {
		for _, p := range t.partitions {
			do(p)
		}
	}
}

// Truncate deletes the records of a partition below an offset, as retention does.
func (l *Log) Truncate(name string, partition int32, before int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.partition(runtime.TopicPartition{Topic: name, Partition: partition})
	if err != nil {
		return err
	}
	p.truncate(before)
	return nil
}

// Lose takes back the batches of a partition that reach to an offset or beyond, and what is remembered of them, as the
// election of a leader does that was behind.
func (l *Log) Lose(name string, partition int32, from int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.partition(runtime.TopicPartition{Topic: name, Partition: partition})
	if err != nil {
		return err
	}
	p.lose(from)
	return nil
}

// Remove deletes single records, as compaction does: offsets then have gaps.
func (l *Log) Remove(name string, partition int32, offsets ...int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.partition(runtime.TopicPartition{Topic: name, Partition: partition})
	if err != nil {
		return err
	}
	p.records = slices.DeleteFunc(slices.Clone(p.records), func(r topic.Raw) bool { return slices.Contains(offsets, r.Offset) })
	return nil
}

// Delete deletes a topic. Created again, it has another id and is empty.
func (l *Log) Delete(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.topics[name]
	if !ok {
		return
	}
	delete(l.topics, name)
	for _, p := range t.partitions {
		p.changed.notify()
	}
	for _, g := range l.groups {
		l.rebalance(g)
	}
}

// Grow adds partitions to a topic until it has so many.
func (l *Log) Grow(name string, partitions int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.topics[name]; ok {
		l.grow(t, partitions)
	}
}

// SetMaxMessageBytes sets the largest record batch that a topic takes.
func (l *Log) SetMaxMessageBytes(name string, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.topics[name]; ok {
		t.info.MaxMessageBytes = bytes
	}
}
