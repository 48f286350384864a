package producer

import (
	"context"
	"fmt"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// destination is a topic that something was sent to; it is guarded by Producer.mu.
type destination struct {
	spec *topic.Spec
	// limit is the largest record that the topic takes.
	limit int
	// bound is where a batch of several records is full.
	bound      int
	partitions []partition
}

// partition is where records wait for their turn to be sent.
type partition struct {
	records runtime.Records
	// sequence is that of the first record in records.
	sequence int32
	// tickets are of those records whose positions somebody waits for.
	tickets []ticket
}

// ticket is where the position of a record is told: that of its batch, and the record's place in it.
type ticket struct {
	place    int
	position chan<- runtime.Position // has room for it
}

// maxRequestBytes bounds what is sent to a topic at once, however many partitions it has: brokers refuse requests of more
// than 100 MiB (socket.request.max.bytes).
const maxRequestBytes = 32 << 20

func (p *Producer) destination(ctx context.Context, spec *topic.Spec) (*destination, error) {
	p.mu.Lock()
	to, known := p.topics[spec.Name]
	p.mu.Unlock()
	if known {
		return to, nil
	}
	var info runtime.TopicInfo
	err := p.retry(ctx, func() (err error) {
		info, err = p.config.Log.Describe(ctx, spec.Name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", spec.Name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if to, known = p.topics[spec.Name]; known { // somebody else was faster
		return to, nil
	}
	limit := info.MaxMessageBytes - runtime.BatchOverhead
	to = &destination{
		spec:       spec,
		limit:      limit,
		bound:      min(limit, p.config.BatchBytes, maxRequestBytes/int(max(info.Partitions, 1))),
		partitions: make([]partition, info.Partitions),
	}
	p.topics[spec.Name] = to
	return to, nil
}

func (d *destination) place(key []byte, spread uint32) int32 {
	return d.spec.Place(key, int32(len(d.partitions)), spread)
}

// fits says whether a record may join what waits for the partition. A record larger than the bound goes alone.
func (d *destination) fits(at int32, record *runtime.Output) bool {
	waiting := &d.partitions[at].records
	return waiting.Count == 0 || len(waiting.Bytes)+waiting.Size(record) <= d.bound
}

func (d *destination) add(at int32, record *runtime.Output, position chan<- runtime.Position) {
	waiting := &d.partitions[at]
	if position != nil {
		waiting.tickets = append(waiting.tickets, ticket{place: waiting.records.Count, position: position})
	}
	waiting.records.Append(record)
}

// take returns what waits for the partition as a batch, with its tickets, and leaves room for the next one.
func (d *destination) take(at int) (runtime.RecordBatch, []ticket) {
	waiting := &d.partitions[at]
	batch := runtime.RecordBatch{
		TopicPartition: runtime.TopicPartition{Topic: d.spec.Name, Partition: int32(at)},
		Sequence:       waiting.sequence,
		Records:        waiting.records,
	}
	tickets := waiting.tickets
	*waiting = partition{
		records:  runtime.Records{Bytes: make([]byte, 0, len(batch.Records.Bytes))},
		sequence: after(waiting.sequence, batch.Records.Count),
	}
	return batch, tickets
}

// after returns the sequence n records after another; 0 follows 2147483647.
func after(sequence int32, n int) int32 {
	return int32((int64(sequence) + int64(n)) & 0x7fffffff)
}
