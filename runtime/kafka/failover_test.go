package kafka_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
)

// TestFailover holds a cluster to what the engine does when another broker leads: it knows what an identity has sent as
// the one before did. With too few copies nothing is taken, which passes.
func TestFailover(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	ctx := withPatience(t)
	log := connect(t, cluster.Addr())
	p := newTopic(ctx, t, log, 1)
	identity := identityOf(ctx, t, log)
	reader, err := log.Open(ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	for i := range int32(5) {
		require.Equal(t, runtime.Ack{Offset: int64(10 * i)}, send(ctx, t, log, identity, batch(p, 10*i)))
	}

	first := cluster.leader(ctx, p)
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
		second = cluster.leader(ctx, p)
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
	cluster.failCoordinator(ctx, log, p.Topic)
}

// failCoordinator: the coordinator of a group is gone, and does not come back. Its members find the next one.
func (c *testCluster) failCoordinator(ctx context.Context, log *kafka.Log, topic string) {
	c.t.Helper()
	held := hold(ctx, c.t, log, topic)
	awaitHeld(ctx, c.t, held, 1, true)
	c.coordinator(ctx, topic).Kill()
	awaitHeld(ctx, c.t, held, 1, false)
	awaitHeld(ctx, c.t, held, 1, true)
}

// testCluster is several brokers, and another client that asks them things.
type testCluster struct {
	*services.Cluster
	t     *testing.T
	admin *kadm.Client
}

func newCluster(t *testing.T) *testCluster {
	t.Helper()
	cluster := services.NewCluster(t, "", "", "")
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(cluster.Addr(), ",")...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &testCluster{Cluster: cluster, t: t, admin: kadm.NewClient(client)}
}

// leader returns the id of the broker that leads a partition, which are numbered from 1.
func (c *testCluster) leader(ctx context.Context, p runtime.TopicPartition) int32 {
	c.t.Helper()
	topics, err := c.admin.ListTopics(ctx, p.Topic)
	require.NoError(c.t, err)
	return topics[p.Topic].Partitions[p.Partition].Leader
}

func (c *testCluster) coordinator(ctx context.Context, group string) *services.Broker {
	c.t.Helper()
	coordinators := c.admin.FindGroupCoordinators(ctx, group)
	require.NoError(c.t, coordinators.Error())
	return c.Brokers[coordinators[group].NodeID-1]
}

// awaitHeld waits until a member of a group has been given, or has given back, so many partitions.
func awaitHeld(ctx context.Context, t *testing.T, held <-chan bool, partitions int, comes bool) {
	t.Helper()
	for range partitions {
		select {
		case now := <-held:
			require.Equal(t, comes, now)
		case <-ctx.Done():
			require.Fail(t, "the member is not in its group")
		}
	}
}

// TestSilentBroker stops one broker of a cluster, which leads and coordinates: it takes connections and does not answer.
// Once the others have taken over everything goes on without it, and with it when it goes on.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	ctx := withPatience(t)
	log := connect(t, cluster.Addr())
	p := newTopic(ctx, t, log, 12)
	held := hold(ctx, t, log, p.Topic)
	awaitHeld(ctx, t, held, 12, true)
	silent := cluster.coordinator(ctx, p.Topic)
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
	awaitHeld(ctx, t, held, 12, false)
	awaitHeld(ctx, t, held, 12, true)
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
