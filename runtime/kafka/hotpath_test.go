package kafka

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/internal/baseline"
	"github.com/kappaflows/flows/runtime"
)

// hotRecords is how many records the batches of the hot path's benchmarks have.
const hotRecords = 10_000

// hotAnswer is what a broker answers to a fetch, as sarama has decoded it.
func hotAnswer() *sarama.FetchResponseBlock {
	value, at := bytes.Repeat([]byte("x"), 100), time.UnixMilli(1_700_000_000_000)
	batch := &sarama.RecordBatch{Version: 2, LastOffsetDelta: hotRecords - 1, ProducerID: 1, FirstTimestamp: at, MaxTimestamp: at}
	for i := range hotRecords {
		batch.Records = append(batch.Records, &sarama.Record{OffsetDelta: int64(i), Key: strconv.AppendInt([]byte("key-"), int64(i), 10), Value: value})
	}
	return &sarama.FetchResponseBlock{RecordsSet: []*sarama.Records{{RecordBatch: batch}}}
}

// hotOutputs is a record batch as the engine sends it.
func hotOutputs() *runtime.RecordBatch {
	outputs := make([]runtime.Output, hotRecords)
	for i := range outputs {
		outputs[i] = runtime.Output{Key: strconv.AppendInt([]byte("key-"), int64(i), 10), Value: []byte("12345"), Timestamp: 1_700_000_000_000}
	}
	return &runtime.RecordBatch{TopicPartition: runtime.TopicPartition{Topic: "counts"}, Records: runtime.Encode(outputs...)}
}

// hotPaths are what the driver does to every message, each as a function that does one record batch: "decode" makes the
// engine's messages of what was fetched, "batch" makes sarama's record batch of outputs.
func hotPaths(tb testing.TB) baseline.Stages {
	answer, outputs, identity := hotAnswer(), hotOutputs(), runtime.Identity{ProducerID: 1}
	return baseline.Stages{
		"decode": func() {
			r := &reader{limit: func() int { return defaultQueueBytes }}
			p := r.part(answer)
			if p.err != nil || len(p.messages) != hotRecords {
				tb.Fatal(len(p.messages), p.err)
			}
			p.whole = p.messages
			p.release()
		},
		"batch": func() {
			if batch, err := encode(identity, outputs); err != nil || batch.LastOffsetDelta != hotRecords-1 {
				tb.Fatal(batch.LastOffsetDelta, err)
			}
		},
	}
}

func BenchmarkHotPath(b *testing.B) { baseline.Bench(b, hotRecords, hotPaths(b)) }

// TestHotPathAllocations holds what a record batch allocates against the baseline.
func TestHotPathAllocations(t *testing.T) { baseline.Hold(t, hotRecords, hotPaths(t)) }
