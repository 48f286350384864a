package runtime

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/kappaflows/flows/topic"
)

// Output is one record as it is sent.
type Output struct {
	Key, Value []byte
	Headers    topic.Headers
	// Timestamp is in milliseconds since 1970.
	Timestamp int64
}

// Records are records as Kafka keeps them in a record batch: magic 2, not compressed, without the batch's header
// (KIP-98). They are encoded once, when a function makes them; from then on the same bytes are kept as pending, sent,
// and sent again. The zero value is none.
type Records struct {
	Count int
	// FirstTimestamp is the first record's, which the timestamps of the others are relative to; MaxTimestamp is the
	// latest. Both are in milliseconds since 1970.
	FirstTimestamp, MaxTimestamp int64
	Bytes                        []byte
}

// Encode returns the records of outputs.
func Encode(outputs ...Output) (r Records) {
	for i := range outputs {
		r.Append(&outputs[i])
	}
	return r
}

// Append appends a record.
func (r *Records) Append(o *Output) { r.append(o, r.body(o)) }

// Size returns how many bytes a record takes that is appended next.
func (r *Records) Size(o *Output) int { return recordSize(r.body(o)) }

// BatchOverhead is how many bytes a record batch takes besides its records (KIP-98): what TopicInfo.MaxMessageBytes
// bounds is the sum.
const BatchOverhead = 61

// body returns how many bytes a record takes that is appended next, the length in front of it left out.
func (r *Records) body(o *Output) int {
	const attributes = 1
	size := attributes + varintSize(int64(r.Count)) + nullableSize(o.Key) + nullableSize(o.Value) + varintSize(int64(len(o.Headers)))
	if r.Count == 0 {
		size++
	} else {
		size += varintSize(o.Timestamp - r.FirstTimestamp)
	}
	for i := range o.Headers {
		size += varintSize(int64(len(o.Headers[i].Key))) + len(o.Headers[i].Key) + nullableSize(o.Headers[i].Value)
	}
	return size
}

// append appends a record whose body takes so many bytes.
func (r *Records) append(o *Output, body int) {
	if r.Count == 0 {
		r.FirstTimestamp, r.MaxTimestamp = o.Timestamp, o.Timestamp
	}
	buf := binary.AppendVarint(r.Bytes, int64(body))
	buf = append(buf, 0)
	buf = binary.AppendVarint(buf, o.Timestamp-r.FirstTimestamp)
	buf = binary.AppendVarint(buf, int64(r.Count))
	buf = appendNullable(buf, o.Key)
	buf = appendNullable(buf, o.Value)
	buf = binary.AppendVarint(buf, int64(len(o.Headers)))
	for i := range o.Headers {
		buf = binary.AppendVarint(buf, int64(len(o.Headers[i].Key)))
		buf = append(buf, o.Headers[i].Key...)
		buf = appendNullable(buf, o.Headers[i].Value)
	}
	r.Bytes = buf
	r.MaxTimestamp = max(r.MaxTimestamp, o.Timestamp)
	r.Count++
}

// recordSize is how many bytes a record with such a body takes.
func recordSize(body int) int { return varintSize(int64(body)) + body }

// varintSize is how many bytes binary.AppendVarint appends.
func varintSize(n int64) int {
	const groupBits = 7
	zigzag := uint64(n)<<1 ^ uint64(n>>63)
	return (bits.Len64(zigzag|1) + groupBits - 1) / groupBits
}

func nullableSize(data []byte) int {
	if data == nil {
		return 1
	}
	return varintSize(int64(len(data))) + len(data)
}

// appendNullable appends bytes that may be null, as Kafka does it in records.
func appendNullable(buf, data []byte) []byte {
	if data == nil {
		return binary.AppendVarint(buf, -1)
	}
	buf = binary.AppendVarint(buf, int64(len(data)))
	return append(buf, data...)
}

// Outputs decodes the records. They alias r.Bytes.
func (r *Records) Outputs() ([]Output, error) {
	d := decoder{data: r.Bytes}
	if r.Count < 0 || r.Count > len(r.Bytes)/minRecord {
		return nil, fmt.Errorf("%w: %d records in %d bytes", errCorrupt, r.Count, len(r.Bytes))
	}
	outputs := make([]Output, 0, r.Count)
	for i := range r.Count {
		outputs = append(outputs, d.record(int64(i), r.FirstTimestamp))
	}
	if err := d.finish(); err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	return outputs, nil
}

// The fewest bytes that an encoded record and header take.
const (
	minRecord = 7
	minHeader = 2
)

// record reads the record at an offset within its batch.
func (d *decoder) record(offset, first int64) (o Output) {
	body := decoder{data: d.take(d.length())}
	if attributes := body.take(1); d.err == nil && body.err == nil && attributes[0] != 0 {
		body.fail("unknown attributes of a record")
	}
	o.Timestamp = first + body.varint()
	if body.varint() != offset {
		body.fail("records out of order")
	}
	o.Key, o.Value = body.nullable(), body.nullable()
	headers := body.length()
	if headers > uint64(len(body.data)/minHeader) {
		body.fail("count out of range")
		headers = 0
	}
	for range headers {
		o.Headers = append(o.Headers, topic.Header{Key: string(body.take(body.length())), Value: body.nullable()})
	}
	if err := body.finish(); err != nil && d.err == nil {
		d.err, d.data = err, nil
	}
	return o
}

// length reads the length of something that can't be null.
func (d *decoder) length() uint64 {
	n := d.varint()
	if n < 0 {
		d.fail("negative length")
		return 0
	}
	return uint64(n)
}

// nullable reads what appendNullable wrote. It aliases the data.
func (d *decoder) nullable() []byte {
	n := d.varint()
	if n < 0 {
		if n < -1 {
			d.fail("negative length")
		}
		return nil
	}
	b := d.take(uint64(n))
	if b == nil && d.err == nil {
		b = []byte{}
	}
	return b
}
