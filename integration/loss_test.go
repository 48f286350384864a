package integration

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kappaflows/flows/internal/services"
)

// TestAcknowledgedOutputsAreLost gives the output topic what the page on guarantees warns of, one copy and unclean elections,
// and makes use of it: the copy is gone, and a broker that was behind leads. What the brokers had acknowledged is lost; the
// function finds out, sends anew what it still has, says so, and goes on. Its states are right.
func TestAcknowledgedOutputsAreLost(t *testing.T) {
	cluster := services.NewCluster(t, "", "", "")
	o := oracle{brokers: cluster.Addr(), database: services.Postgres(t)}
	client := o.client(t)
	createUnsafe(t, client, "counts")
	env, program := environment(o.brokers, o.database), build(t, "wordcount")
	run(t, env, program, "topics", "create", "--partitions", "1")
	random := rand.New(rand.NewPCG(9, 9))
	p := start(t, env, program, "run", "count")
	require.NoError(t, <-produceWords(t, client, random, 1000))
	awaitRecords(t, o, client, p, 1000)

	cluster.Brokers[1].Kill()
	awaitPartition(t, client, "counts", func(p kadm.PartitionDetail) bool { return len(p.ISR) == 1 })
	stop := produceOn(t, client, random)
	awaitRecords(t, o, client, p, 20_000)
	// There is always more to do for it: it is in the middle of its work, and has outputs pending.
	p.kill()
	require.NoError(t, stop())
	had := o.records(t, client, "counts")
	cluster.Brokers[0].Kill()
	cluster.Brokers[1].Start()
	awaitPartition(t, client, "counts", func(p kadm.PartitionDetail) bool { return p.Leader == 2 })
	cluster.Brokers[0].Start()
	left := o.records(t, client, "counts")
	require.Less(t, left, had, "the brokers have lost nothing")

	p = start(t, env, program, "run", "count")
	awaitLine(t, p, "the log does not have outputs that were sent")
	table := func() (n int64) {
		report, err := o.judge().Counts(t.Context(), "words", "counts", "word_count")
		require.NoError(t, err)
		require.Zero(t, report.Faults.Doubled)
		require.Zero(t, report.Faults.Reordered)
		return int64(report.Faults.Wrong)
	}
	require.Eventually(t, func() bool { return table() == 0 }, time.Minute, time.Second, "the states are not what the words make")
	p.terminate(t)
	report, err := o.judge().Counts(t.Context(), "words", "counts", "word_count")
	require.NoError(t, err)
	t.Log(report.Faults)
	require.Zero(t, report.Faults.Wrong)
	require.Positive(t, report.Faults.Lost)
	require.Less(t, int64(report.Faults.Lost), had-left, "nothing was sent anew")
}

// produceOn appends words until stop is called, as fast as the brokers take them.
func produceOn(t *testing.T, client *kgo.Client, random *rand.Rand) (stop func() error) {
	t.Helper()
	var stopped atomic.Bool
	done := make(chan error, 1)
	go func() {
		var err error
		for err == nil && !stopped.Load() {
			err = <-produceWords(t, client, random, 10_000)
		}
		done <- err
	}()
	return func() error {
		stopped.Store(true)
		return <-done
	}
}

// createUnsafe makes a topic on the first two brokers, of which one is enough, and either may lead whatever it has.
func createUnsafe(t *testing.T, client *kgo.Client, name string) {
	t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = name, -1, -1
	wanted.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{1, 2}}}
	for name, value := range map[string]string{"min.insync.replicas": "1", "unclean.leader.election.enable": "true"} {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, &value
		wanted.Configs = append(wanted.Configs, config)
	}
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.Zero(t, answer.Topics[0].ErrorCode)
}

// awaitPartition waits until the only partition of a topic is as it should be.
func awaitPartition(t *testing.T, client *kgo.Client, topic string, so func(kadm.PartitionDetail) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		found, err := kadm.NewClient(client).ListTopics(t.Context(), topic)
		return err == nil && so(found[topic].Partitions[0])
	}, time.Minute, 100*time.Millisecond)
}
