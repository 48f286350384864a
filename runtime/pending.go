package runtime

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/kappaflows/flows/topic"
)

// pending is a batch of outputs that the log may or may not have: all that is needed to send it again just as it was.
type pending struct {
	// ordinal numbers the batches of a checkpoint in the order in which they were committed.
	ordinal  int64
	identity Identity
	// sections are the record batches in the order of sending; a partition may have several.
	sections []RecordBatch
}

// append appends the encoding of p. Output partitions, counts and sequences are written as they are, since computing
// them again could give others.
func (p *pending) append(buf []byte) []byte {
	buf = append(buf, encodingVersion)
	buf = binary.AppendVarint(buf, p.ordinal)
	buf = binary.AppendVarint(buf, p.identity.ProducerID)
	buf = binary.AppendVarint(buf, int64(p.identity.Epoch))
	buf = binary.AppendUvarint(buf, uint64(len(p.sections)))
	for i := range p.sections {
		buf = appendSection(buf, &p.sections[i])
	}
	return buf
}

func appendSection(buf []byte, s *RecordBatch) []byte {
	buf = appendString(buf, s.Topic)
	buf = binary.AppendUvarint(buf, uint64(s.Partition))
	buf = binary.AppendUvarint(buf, uint64(s.Sequence))
	buf = binary.AppendUvarint(buf, uint64(len(s.Records)))
	last := int64(0)
	for i := range s.Records {
		r := &s.Records[i]
		buf = binary.AppendVarint(buf, r.Timestamp-last)
		last = r.Timestamp
		buf = appendBytes(buf, r.Key)
		buf = appendBytes(buf, r.Value)
		buf = binary.AppendUvarint(buf, uint64(len(r.Headers)))
		for _, h := range r.Headers {
			buf = appendString(buf, h.Key)
			buf = appendBytes(buf, h.Value)
		}
	}
	return buf
}

// The fewest bytes that an encoded section, record and header take.
const (
	minSection = 4
	minRecord  = 4
	minHeader  = 2
)

// decodePending reads what append wrote. The records alias data.
func decodePending(data []byte) (*pending, error) {
	d := decoder{data: data}
	d.version()
	p := &pending{ordinal: d.varint(), identity: Identity{ProducerID: d.varint(), Epoch: int16(d.varint())}}
	for range d.count(minSection) {
		p.sections = append(p.sections, d.section())
	}
	if err := d.finish(); err != nil {
		return nil, fmt.Errorf("pending outputs: %w", err)
	}
	return p, nil
}

func (d *decoder) section() RecordBatch {
	s := RecordBatch{TopicPartition: TopicPartition{Topic: d.string(), Partition: d.int31()}, Sequence: d.int31()}
	n := d.count(minRecord)
	s.Records = make([]Output, 0, n)
	last := int64(0)
	for range n {
		last += d.varint()
		r := Output{Timestamp: last, Key: d.bytes(), Value: d.bytes()}
		for range d.count(minHeader) {
			r.Headers = append(r.Headers, topic.Header{Key: d.string(), Value: d.bytes()})
		}
		s.Records = append(s.Records, r)
	}
	return s
}

// decodeSlots returns the pending batches of a checkpoint in the order in which they were committed.
func decodeSlots(slots [Slots][]byte) ([]*pending, error) {
	var batches []*pending
	for _, data := range slots {
		if len(data) == 0 {
			continue
		}
		p, err := decodePending(data)
		if err != nil {
			return nil, err
		}
		batches = append(batches, p)
	}
	slices.SortFunc(batches, func(a, b *pending) int { return int(a.ordinal - b.ordinal) })
	return batches, nil
}
