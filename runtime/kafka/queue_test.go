package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kappaflows/flows/runtime"
)

// TestQueuesAreBounded: of a partition that nobody reads no more is fetched than its queue holds, whatever is read meanwhile of
// others on the same connection.
func TestQueuesAreBounded(t *testing.T) {
	const partitions, batches, size, limit = 2 * maxLanes, 30, 100_000, 200_000
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "words"))
	require.NoError(t, err)
	defer cluster.Close()
	log, err := Open(t.Context(), Config{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close()) }()
	identity, err := log.NewIdentity(t.Context())
	require.NoError(t, err)

	var readers []*reader
	noise := rand.NewChaCha8([32]byte{})
	for p := range int32(partitions) {
		at := runtime.TopicPartition{Topic: "words", Partition: p}
		for b := range int32(batches) {
			value := make([]byte, size)
			noise.Read(value)
			acks, err := log.Send(t.Context(), identity, []runtime.RecordBatch{{
				TopicPartition: at, Sequence: b, Records: runtime.Encode(runtime.Output{Value: value}),
			}})
			require.NoError(t, err)
			require.NoError(t, acks[0].Err)
		}
		opened, err := log.Open(t.Context(), runtime.Position{TopicPartition: at}, runtime.ReadLimits{Bytes: func() int { return limit }})
		require.NoError(t, err)
		readers = append(readers, opened.(*reader))
	}
	// Readers are spread over the lanes in turn, so that each lane has some that are read.
	for _, r := range readers[maxLanes:] {
		readAll(t.Context(), t, r, batches)
	}
	for _, r := range readers[:maxLanes] {
		r.mu.Lock()
		queued := r.queued
		r.mu.Unlock()
		require.Less(t, queued, 2*limit, "nobody takes what it has")
		readAll(t.Context(), t, r, batches)
	}
}

// readAll reads so many messages, one at a time. The fake broker leaves partitions out of an answer that is full.
func readAll(ctx context.Context, t *testing.T, r *reader, messages int) {
	t.Helper()
	for i := range messages {
		read, err := r.Read(ctx, nil, 1)
		for errors.Is(err, runtime.ErrUnavailable) {
			read, err = r.Read(ctx, nil, 1)
		}
		require.NoError(t, err)
		require.Len(t, read, 1)
		require.EqualValues(t, i, read[0].Offset)
	}
	require.NoError(t, r.Close())
}
