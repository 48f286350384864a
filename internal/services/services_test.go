package services_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/internal/services"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSharedKafkaAnswers(t *testing.T) {
	address := services.Kafka(t)
	require.Equal(t, address, services.Kafka(t))
	topic := services.Name(t)
	createTopic(t, address, topic)
	require.Equal(t, []string{"one"}, produceAndRead(t, address, topic, "one"))
}

func TestSharedPostgresGivesFreshDatabases(t *testing.T) {
	var first string
	t.Run("first", func(t *testing.T) {
		first = services.Postgres(t)
		query(t, first, "create table seen (n int)")
	})
	second := services.Postgres(t)
	require.NotEqual(t, first, second)
	query(t, second, "create table seen (n int)")
	_, err := pgx.Connect(t.Context(), first)
	require.ErrorContains(t, err, "does not exist", "the database of a test that is over is dropped")
}

func TestBrokerKeepsItsDataAndItsPort(t *testing.T) {
	t.Parallel()
	broker := services.NewBroker(t)
	topic := services.Name(t)
	createTopic(t, broker.Addr(), topic)
	want := produceAndRead(t, broker.Addr(), topic, "one")

	address := broker.Addr()
	broker.Kill()
	broker.Start()
	require.Equal(t, address, broker.Addr())
	want = append(want, "two")
	require.Equal(t, want, produceAndRead(t, broker.Addr(), topic, "two"), "after a kill")

	broker.Stop()
	broker.Start()
	want = append(want, "three")
	require.Equal(t, want, produceAndRead(t, broker.Addr(), topic, "three"), "after a clean stop")
}

func TestPostgresKeepsItsDataAndItsPort(t *testing.T) {
	t.Parallel()
	server := services.NewPostgres(t, "application_name = 'given'")
	require.Equal(t, "given", query(t, server.URL(), "show application_name"))
	query(t, server.URL(), "create table seen as select 'here' as word")

	server.Kill()
	server.Start()
	require.Equal(t, "here", query(t, server.URL(), "select word from seen"), "after a kill")
	server.Stop()
	server.Start()
	require.Equal(t, "here", query(t, server.URL(), "select word from seen"), "after a clean stop")
	server.Quit()
	server.Start()
	require.Equal(t, "here", query(t, server.URL(), "select word from seen"), "after an immediate stop")
	require.Equal(t, "here", query(t, server.NewDatabase(), "select 'here'"))
}

func TestPausedServerAnswersNothing(t *testing.T) {
	t.Parallel()
	server := services.NewPostgres(t)
	connection, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer connection.Close(context.Background())

	server.Pause()
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = connection.Exec(short, "select 1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	server.Continue()
	require.Equal(t, "1", query(t, server.URL(), "select '1'"))
}

func TestClusterElectsLeaders(t *testing.T) {
	t.Parallel()
	cluster := services.NewCluster(t, "", "", "")
	topic := services.Name(t)
	address := cluster.Brokers[0].Addr()
	createTopic(t, address, topic)
	want := produceAndRead(t, address, topic, "one")

	first := partitionOf(t, address, topic)
	require.Len(t, first.ISR, 3)
	leader := int(first.Leader) - 1
	cluster.Brokers[leader].Kill()
	other := cluster.Brokers[(leader+1)%3]
	want = append(want, "two")
	require.Equal(t, want, produceAndRead(t, other.Addr(), topic, "two"), "another broker leads")

	cluster.Brokers[leader].Start()
	want = append(want, "three")
	require.Equal(t, want, produceAndRead(t, cluster.Brokers[leader].Addr(), topic, "three"))
}

// partitionOf returns what a broker knows of the only partition of a topic.
func partitionOf(t *testing.T, address, topic string) kmsg.MetadataResponseTopicPartition {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	require.NoError(t, err)
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	wanted := kmsg.NewMetadataRequestTopic()
	wanted.Topic = &topic
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(t.Context(), client)
	require.NoError(t, err)
	return answer.Topics[0].Partitions[0]
}

func createTopic(t *testing.T, address, topic string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	require.NoError(t, err)
	defer client.Close()
	request := kmsg.NewPtrCreateTopicsRequest()
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = topic, 1, -1
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.Zero(t, answer.Topics[0].ErrorCode)
}

// produceAndRead appends a value to a topic and returns all values up to it.
func produceAndRead(t *testing.T, address, topic, value string) (values []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr())
	for len(values) == 0 || values[len(values)-1] != value {
		fetches := client.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func query(t *testing.T, url, statement string) (text string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer connection.Close(context.Background())
	rows, err := connection.Query(t.Context(), statement)
	require.NoError(t, err)
	for rows.Next() {
		require.NoError(t, rows.Scan(&text))
	}
	require.NoError(t, rows.Err())
	return text
}
