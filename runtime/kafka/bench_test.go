package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/topic"
)

// Each operation is one record of 100 bytes, over 4 partitions.
const (
	benchPartitions = 4
	benchBatch      = 8000
)

func benchLog(b *testing.B) (*kafka.Log, string) {
	log, err := kafka.Open(b.Context(), kafka.Config{Brokers: []string{services.Kafka(b)}})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, log.Close()) })
	name := services.Name(b)
	require.NoError(b, log.Create(b.Context(), []runtime.NewTopic{{Name: name, Partitions: benchPartitions}}))
	return log, name
}

// fill sends n records to each partition, one batch a partition at a time.
func fill(b *testing.B, log *kafka.Log, name string, n int) {
	identity, err := log.NewIdentity(b.Context())
	for errors.Is(err, runtime.ErrUnavailable) { // the broker has just started
		identity, err = log.NewIdentity(b.Context())
	}
	require.NoError(b, err)
	records := make([]runtime.Output, benchBatch)
	for i := range records {
		records[i] = runtime.Output{Key: binary.BigEndian.AppendUint64(nil, uint64(i)), Value: make([]byte, 92), Timestamp: 1_700_000_000_000}
	}
	var partitions sync.WaitGroup
	for partition := range int32(benchPartitions) {
		at := runtime.TopicPartition{Topic: name, Partition: partition}
		partitions.Go(func() {
			for sent := 0; sent < n; {
				size := min(benchBatch, n-sent)
				acks, err := log.Send(b.Context(), identity, []runtime.RecordBatch{{TopicPartition: at, Sequence: int32(sent), Records: runtime.Encode(records[:size]...)}})
				if err == nil && errors.Is(acks[0].Err, runtime.ErrUnavailable) {
					continue // the same batch again: the broker drops it if it has it
				}
				if err != nil || acks[0].Err != nil {
					b.Error(err, acks)
					return
				}
				sent += size
			}
		})
	}
	partitions.Wait()
}

func BenchmarkSend(b *testing.B) {
	log, name := benchLog(b)
	b.ReportAllocs()
	b.ResetTimer()
	fill(b, log, name, (b.N+benchPartitions-1)/benchPartitions)
}

func BenchmarkRead(b *testing.B) {
	log, name := benchLog(b)
	n := (b.N + benchPartitions - 1) / benchPartitions
	fill(b, log, name, n)
	b.ReportAllocs()
	b.ResetTimer()
	var partitions sync.WaitGroup
	for partition := range int32(benchPartitions) {
		at := runtime.Position{TopicPartition: runtime.TopicPartition{Topic: name, Partition: partition}}
		partitions.Go(func() { drain(b.Context(), b, log, at, n) })
	}
	partitions.Wait()
}

func drain(ctx context.Context, b *testing.B, log *kafka.Log, at runtime.Position, n int) {
	reader, err := log.Open(ctx, at, runtime.ReadLimits{})
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = reader.Close() }()
	var messages []topic.Raw
	for read := 0; read < n; read += len(messages) {
		if messages, err = reader.Read(ctx, messages[:0], 10_000); err != nil {
			b.Error(err)
			return
		}
	}
}
