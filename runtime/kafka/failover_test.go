package kafka_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
)

// TestFailover holds a cluster to what the engine does when another broker leads: it knows what an identity has sent as
// the one before did. With too few copies nothing is taken, which passes.
func TestFailover(t *testing.T) {
	t.Parallel()
	cluster := services.NewCluster(t, "", "", "")
	var addresses []string
	for _, b := range cluster.Brokers {
		addresses = append(addresses, b.Addr())
	}
	ctx := withPatience(t)
	log := connect(t, strings.Join(addresses, ","))
	p := newTopic(ctx, t, log, 1)
	identity := identityOf(ctx, t, log)
	reader, err := log.Open(ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	for i := range int32(5) {
		require.Equal(t, runtime.Ack{Offset: int64(10 * i)}, send(ctx, t, log, identity, batch(p, 10*i)))
	}

	admin, err := kgo.NewClient(kgo.SeedBrokers(addresses...))
	require.NoError(t, err)
	defer admin.Close()
	leader := func() int32 {
		topics, err := kadm.NewClient(admin).ListTopics(ctx, p.Topic)
		require.NoError(t, err)
		return topics[p.Topic].Partitions[0].Leader
	}
	first := leader()
	cluster.Brokers[first-1].Kill()
	for i := range int32(5) {
		require.Equal(t, runtime.Ack{Offset: int64(10 * i)}, send(ctx, t, log, identity, batch(p, 10*i)), "all five are remembered")
	}
	require.ErrorIs(t, send(ctx, t, log, identity, batch(p, 60)).Err, runtime.ErrOutOfOrder)
	require.Equal(t, runtime.Ack{Offset: 50}, send(ctx, t, log, identity, batch(p, 50)))
	state, err := log.Producer(ctx, p, identity.ProducerID)
	require.NoError(t, err)
	require.Equal(t, runtime.ProducerState{Known: true, LastSequence: 59}, state)
	require.EqualValues(t, 59, read(ctx, t, reader, 60)[59].Offset)

	var second int32
	require.Eventually(t, func() bool {
		second = leader()
		return second > 0 && second != first
	}, patience, 100*time.Millisecond)
	third := 6 - first - second
	cluster.Brokers[third-1].Kill()
	require.Eventually(t, func() bool {
		acks, err := log.Send(ctx, identity, batch(p, 60))
		require.NoError(t, err)
		require.ErrorIs(t, acks[0].Err, runtime.ErrUnavailable)
		return strings.Contains(acks[0].Err.Error(), "fewer in-sync replicas")
	}, patience, 100*time.Millisecond)
	cluster.Brokers[first-1].Start()
	require.Equal(t, runtime.Ack{Offset: 60}, send(ctx, t, log, identity, batch(p, 60)))
	require.EqualValues(t, 69, read(ctx, t, reader, 10)[9].Offset)
	cluster.Brokers[third-1].Start()
	headers := 0
	require.NoError(t, log.Batches(ctx, runtime.Position{TopicPartition: p}, func(runtime.BatchHeader) bool {
		headers++
		return true
	}))
	require.Equal(t, 7, headers)
	// The coordinator of a group is gone, and does not come back: its members find the next one.
	held := hold(ctx, t, log, p.Topic)
	await := func(comes bool) {
		select {
		case now := <-held:
			require.Equal(t, comes, now)
		case <-ctx.Done():
			require.Fail(t, "the member is not in its group")
		}
	}
	await(true)
	coordinators := kadm.NewClient(admin).FindGroupCoordinators(ctx, p.Topic)
	require.NoError(t, coordinators.Error())
	cluster.Brokers[coordinators[p.Topic].NodeID-1].Kill()
	await(false)
	await(true)
}

// TestSilentBroker stops one broker of a cluster, which leads and coordinates: it takes connections and does not answer.
// Once the others have taken over everything goes on without it, and with it when it goes on.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	cluster := services.NewCluster(t, "", "", "")
	var addresses []string
	for _, b := range cluster.Brokers {
		addresses = append(addresses, b.Addr())
	}
	ctx := withPatience(t)
	log := connect(t, strings.Join(addresses, ","))
	p := newTopic(ctx, t, log, 12)
	held := hold(ctx, t, log, p.Topic)
	await := func(comes bool) {
		for range 12 {
			select {
			case now := <-held:
				require.Equal(t, comes, now)
			case <-ctx.Done():
				require.Fail(t, "the member waits for the broker")
			}
		}
	}
	await(true)
	admin, err := kgo.NewClient(kgo.SeedBrokers(addresses...))
	require.NoError(t, err)
	defer admin.Close()
	coordinators := kadm.NewClient(admin).FindGroupCoordinators(ctx, p.Topic)
	require.NoError(t, coordinators.Error())
	silent := cluster.Brokers[coordinators[p.Topic].NodeID-1]
	identity := identityOf(ctx, t, log)
	first := func(i int32) []runtime.RecordBatch {
		return batch(runtime.TopicPartition{Topic: p.Topic, Partition: i}, 0)
	}
	for i := range int32(12) {
		require.NoError(t, send(ctx, t, log, identity, first(i)).Err)
	}

	silent.Pause()
	for i := range int32(12) {
		require.NoError(t, send(ctx, t, log, identity, first(i)).Err)
	}
	await(false)
	await(true)
	identityOf(ctx, t, log)
	reader, err := log.Open(ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
	require.NoError(t, err)
	require.Len(t, read(ctx, t, reader, 10), 10)
	require.NoError(t, reader.Close())
	silent.Continue()
	eventually(ctx, t, func() error { return log.Ping(ctx) })
	for i := range int32(12) {
		require.NoError(t, send(ctx, t, log, identity, first(i)).Err)
	}
}
