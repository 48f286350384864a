package kafka

import (
	"cmp"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/topic"
)

// part is what an answer holds for one reader.
type part struct {
	block
	// shared is how many bytes of the messages are in the buffer of the whole answer.
	shared int
	err    error
}

var errOldFormat = sarama.ConfigurationError("messages of a format before Kafka 0.11 can't be read")

// asCode returns a broker's code, or sarama.ErrUnknown for any other error.
func asCode(err error) sarama.KError {
	if code, ok := errors.AsType[sarama.KError](err); ok {
		return code
	}
	return sarama.ErrUnknown
}

// part makes messages of a reader's part of an answer, and moves its position.
func (r *reader) part(fetched *sarama.FetchResponseBlock) part {
	switch {
	case fetched == nil:
		return part{err: sarama.ErrIncompleteResponse}
	case fetched.Err != sarama.ErrNoError:
		return part{err: fetched.Err}
	}
	r.end.Store(fetched.HighWaterMarkOffset)
	d := decoding{from: r.next, next: r.next}
	if err := d.run(fetched); err != nil {
		return part{err: err}
	}
	switch {
	case d.next > r.next:
		r.next = d.next
		r.sized(d.bytes, d.next < fetched.HighWaterMarkOffset)
	case d.cut:
		r.fetch = min(largestFetch, 2*r.fetch)
	}
	return d.part
}

// decoding makes messages of record batches.
type decoding struct {
	part
	from, next int64
	// cut says that the answer ends within its first batch.
	cut bool
	// aborted are the transactions that were given up, by where they begin; skipped those that are under way.
	aborted []*sarama.AbortedTransaction
	skipped map[int64]bool
}

func (d *decoding) run(fetched *sarama.FetchResponseBlock) error {
	records := 0
	for _, set := range fetched.RecordsSet {
		if set.RecordBatch == nil {
			return errOldFormat
		}
		records += len(set.RecordBatch.Records)
	}
	d.messages = newSpace(records)
	if len(fetched.AbortedTransactions) > 0 {
		d.aborted, d.skipped = slices.Clone(fetched.AbortedTransactions), map[int64]bool{}
		slices.SortFunc(d.aborted, func(a, b *sarama.AbortedTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	}
	for _, set := range fetched.RecordsSet {
		if set.RecordBatch.PartialTrailingRecord {
			break
		}
		d.batch(set.RecordBatch)
	}
	if d.next == d.from {
		d.next = max(d.next, emptied(fetched))
	}
	d.cut = d.next == d.from && (fetched.Partial || len(fetched.RecordsSet) > 0)
	return nil
}

func (d *decoding) batch(batch *sarama.RecordBatch) {
	for len(d.aborted) > 0 && d.aborted[0].FirstOffset <= batch.LastOffset() {
		d.skipped[d.aborted[0].ProducerID] = true
		d.aborted = d.aborted[1:]
	}
	switch {
	case batch.Control:
		if aborts(batch) {
			delete(d.skipped, batch.ProducerID)
		}
	case batch.IsTransactional && d.skipped[batch.ProducerID]:
	default:
		d.records(batch)
	}
	d.next = max(d.next, batch.LastOffset()+1)
}

// aborts says whether a control batch ends a transaction that was given up: its key is a version and a type, which is 0.
func aborts(batch *sarama.RecordBatch) bool {
	return len(batch.Records) > 0 && len(batch.Records[0].Key) >= 4 && binary.BigEndian.Uint16(batch.Records[0].Key[2:]) == 0
}

func (d *decoding) records(batch *sarama.RecordBatch) {
	before := d.bytes
	for _, record := range batch.Records {
		m := topic.Raw{
			Offset:    batch.FirstOffset + record.OffsetDelta,
			Timestamp: batch.FirstTimestamp.Add(record.TimestampDelta),
			Key:       slices.Clip(record.Key),
			Value:     slices.Clip(record.Value),
		}
		if m.Offset < d.from {
			continue // a batch is sent whole, also to whom asks for its middle
		}
		if batch.LogAppendTime {
			m.Timestamp = batch.MaxTimestamp
		}
		if len(record.Headers) > 0 {
			m.Headers = decodeHeaders(record.Headers)
		}
		d.messages = append(d.messages, m)
		d.bytes += m.Size()
	}
	if batch.Codec == sarama.CompressionNone { // else they are in a buffer of their batch
		d.shared += d.bytes - before
	}
}

func decodeHeaders(from []*sarama.RecordHeader) topic.Headers {
	headers := make(topic.Headers, len(from))
	for i, h := range from {
		headers[i] = topic.Header{Key: string(h.Key), Value: slices.Clip(h.Value)}
	}
	return headers
}

// detach copies the bytes of the messages out of the buffer of the answer.
func (p *part) detach() {
	buffer := make([]byte, 0, p.bytes)
	own := func(data []byte) []byte {
		if data == nil {
			return nil
		}
		start := len(buffer)
		buffer = append(buffer, data...)
		return buffer[start:len(buffer):len(buffer)]
	}
	for i := range p.messages {
		m := &p.messages[i]
		m.Key, m.Value = own(m.Key), own(m.Value)
		for j := range m.Headers {
			m.Headers[j].Value = own(m.Headers[j].Value)
		}
	}
}

// emptied returns the offset behind batches that compaction has left without records, 0 where there are none. sarama
// drops such batches but knows where they end, in a field that it does not export; without it a reader would ask for
// them for ever.
func emptied(fetched *sarama.FetchResponseBlock) int64 {
	field := reflect.ValueOf(fetched).Elem().FieldByName("recordsNextOffset")
	if !field.IsValid() || field.Kind() != reflect.Pointer || field.IsNil() {
		return 0
	}
	return field.Elem().Int()
}
