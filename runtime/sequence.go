package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// maxSequence is the last sequence number; the next one is 0 (org.apache.kafka.common.record.DefaultRecordBatch).
const maxSequence = math.MaxInt32

// advance returns the sequence number n records after s.
func advance(s int32, n int) int32 { return int32((int64(s) + int64(n)) & maxSequence) }

// behind returns how many records s must advance to be at t, as a number from -2^30 to 2^30: negative where s is ahead.
func behind(s, t int32) int32 {
	d := int32((int64(t) - int64(s)) & maxSequence)
	if d > maxSequence/2 {
		return int32(int64(d) - maxSequence - 1)
	}
	return d
}

// outlet is where the outputs to one partition are: what Checkpoint.Sequences holds of it.
type outlet struct {
	// next is the sequence number of the next record.
	next int32
	// acked is the offset of the last batch that the log acknowledged; -1 where none was.
	acked int64
}

// What every encoding starts with that the engine puts into a checkpoint.
const (
	outletsVersion = 1
	recordsVersion = 2
	// packedVersion is in front of an encoding that is compressed.
	packedVersion = 3
)

// errCorrupt is what decoding of a checkpoint's bytes gives when they are not what the engine wrote.
var errCorrupt = errors.New("corrupt checkpoint")

// encodeOutlets encodes outlets in an order of their own, so that equal ones give equal bytes.
func encodeOutlets(outlets map[TopicPartition]outlet) []byte {
	keys := SortedPartitions(outlets)
	buf := make([]byte, 0, 2+len(keys)*24)
	buf = append(buf, outletsVersion)
	buf = binary.AppendUvarint(buf, uint64(len(keys)))
	for _, key := range keys {
		o := outlets[key]
		buf = appendString(buf, key.Topic)
		buf = binary.AppendUvarint(buf, uint64(key.Partition))
		buf = binary.AppendUvarint(buf, uint64(o.next))
		buf = binary.AppendVarint(buf, o.acked)
	}
	return buf
}

// decodeOutlets reads what encodeOutlets wrote; no bytes are no outlets.
func decodeOutlets(data []byte) (map[TopicPartition]outlet, error) {
	outlets := map[TopicPartition]outlet{}
	if len(data) == 0 {
		return outlets, nil
	}
	d := decoder{data: data}
	d.version(outletsVersion)
	for range d.count(minOutlet) {
		key := TopicPartition{Topic: d.string(), Partition: d.int31()}
		outlets[key] = outlet{next: d.int31(), acked: d.varint()}
	}
	if err := d.finish(); err != nil {
		return nil, fmt.Errorf("sequences: %w", err)
	}
	return outlets, nil
}

// minOutlet is the fewest bytes that an encoded outlet takes.
const minOutlet = 4
