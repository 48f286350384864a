package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/s2"
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
	buf = p.appendHead(buf)
	for i := range p.sections {
		buf = appendSection(buf, &p.sections[i])
	}
	return buf
}

// appendHead appends what is in front of the sections.
func (p *pending) appendHead(buf []byte) []byte {
	buf = append(buf, recordsVersion)
	buf = binary.AppendVarint(buf, p.ordinal)
	buf = binary.AppendVarint(buf, p.identity.ProducerID)
	buf = binary.AppendVarint(buf, int64(p.identity.Epoch))
	return binary.AppendUvarint(buf, uint64(len(p.sections)))
}

// bound is how many bytes the encoding takes at most.
func (p *pending) bound() int {
	const numbers = 9 * binary.MaxVarintLen64
	n := numbers
	for i := range p.sections {
		n += numbers + len(p.sections[i].Topic) + len(p.sections[i].Records.Bytes)
	}
	return n
}

func appendSection(buf []byte, s *RecordBatch) []byte {
	buf = appendString(buf, s.Topic)
	buf = binary.AppendUvarint(buf, uint64(s.Partition))
	buf = binary.AppendUvarint(buf, uint64(s.Sequence))
	buf = binary.AppendUvarint(buf, uint64(s.Records.Count))
	buf = binary.AppendVarint(buf, s.Records.FirstTimestamp)
	buf = binary.AppendVarint(buf, s.Records.MaxTimestamp-s.Records.FirstTimestamp)
	buf = binary.AppendUvarint(buf, uint64(len(s.Records.Bytes)))
	return append(buf, s.Records.Bytes...)
}

const (
	// packedFrom is the size from which pending outputs are compressed. Postgres takes ten times as long to write a byte as
	// it takes to compress one.
	packedFrom = 2 << 10
	// packedMost is the size up to which they are: it bounds what is made of compressed bytes when they are read.
	packedMost = 256 << 20
)

// pack compresses the encoding of pending outputs where that is worth it; else packed is nil.
func (s *spaces) pack(data []byte) (packed []byte) {
	if len(data) < packedFrom || len(data) > packedMost {
		return nil
	}
	scratch := s.take(s2.MaxEncodedLen(len(data)))
	defer s.give(scratch)
	encoded := s2.Encode(scratch[:cap(scratch)], data)
	if len(encoded) > len(data)-len(data)/8 {
		return nil
	}
	// It stays for as long as a commit takes, so it gets no more space than it needs.
	return append(append(make([]byte, 0, 1+len(encoded)), packedVersion), encoded...)
}

// unpack returns what pack was given, and what it did not compress as it is.
func unpack(data []byte) ([]byte, error) {
	if len(data) == 0 || data[0] != packedVersion {
		return data, nil
	}
	size, err := s2.DecodedLen(data[1:])
	if err == nil && size > packedMost {
		err = errors.New("too large")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: compressed: %w", errCorrupt, err)
	}
	unpacked, err := s2.Decode(nil, data[1:])
	if err != nil {
		return nil, fmt.Errorf("%w: compressed: %w", errCorrupt, err)
	}
	return unpacked, nil
}

// minSection is the fewest bytes that an encoded section takes.
const minSection = 7

// decodePending reads what append wrote, compressed or not. The records alias data where it is not.
func decodePending(data []byte) (*pending, error) {
	data, err := unpack(data)
	if err != nil {
		return nil, fmt.Errorf("pending outputs: %w", err)
	}
	d := decoder{data: data}
	d.version(recordsVersion)
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
	s.Records = Records{Count: int(d.int31()), FirstTimestamp: d.varint()}
	s.Records.MaxTimestamp = s.Records.FirstTimestamp + d.varint()
	s.Records.Bytes = d.take(d.uvarint())
	if s.Records.Count > len(s.Records.Bytes)/minRecord {
		d.fail("count out of range")
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
