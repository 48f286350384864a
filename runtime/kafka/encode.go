package kafka

import (
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

// encode makes sarama's record batch of the engine's.
func encode(identity runtime.Identity, batch *runtime.RecordBatch) (*sarama.RecordBatch, error) {
	records := &batch.Records
	encoded := &sarama.RecordBatch{
		Version: 2, ProducerID: identity.ProducerID, ProducerEpoch: identity.Epoch, FirstSequence: batch.Sequence,
		FirstTimestamp: time.UnixMilli(records.FirstTimestamp), MaxTimestamp: time.UnixMilli(records.MaxTimestamp),
		LastOffsetDelta: int32(records.Count - 1),
	}
	if identity.ProducerID < 0 {
		encoded.ProducerEpoch, encoded.FirstSequence = -1, -1
	}
	if handOver(encoded, records) {
		return encoded, nil
	}
	return encoded, encodeAnew(encoded, records)
}

// encodedField is where sarama keeps the encoded records of a batch: what it writes in place of Records where it is set. The
// engine's records are encoded already, as sarama would do it, and doing it again costs more than all else in sending.
var encodedField = func() *reflect.StructField {
	field, ok := reflect.TypeFor[sarama.RecordBatch]().FieldByName("compressedRecords")
	if !ok || field.Type != reflect.TypeFor[[]byte]() {
		return nil
	}
	return &field
}()

// unset are records that sarama counts and does not look at.
var unset [1 << 16]*sarama.Record

// handOver gives sarama the encoded records as they are. It says whether this sarama takes them.
func handOver(to *sarama.RecordBatch, records *runtime.Records) bool {
	if encodedField == nil {
		return false
	}
	if records.Count <= len(unset) {
		to.Records = unset[:records.Count:records.Count]
	} else {
		to.Records = make([]*sarama.Record, records.Count)
	}
	*(*[]byte)(unsafe.Add(unsafe.Pointer(to), encodedField.Offset)) = records.Bytes
	return true
}

// encodeAnew lets sarama encode the records itself.
func encodeAnew(to *sarama.RecordBatch, records *runtime.Records) error {
	outputs, err := records.Outputs()
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	to.Records = make([]*sarama.Record, len(outputs))
	space := make([]sarama.Record, len(outputs)) // one allocation for all
	for i := range outputs {
		output, record := &outputs[i], &space[i]
		record.Key, record.Value, record.OffsetDelta = output.Key, output.Value, int64(i)
		record.TimestampDelta = time.Duration(output.Timestamp-records.FirstTimestamp) * time.Millisecond
		for _, h := range output.Headers {
			record.Headers = append(record.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		to.Records[i] = record
	}
	return nil
}
