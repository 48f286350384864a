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

// TestCreateSettings creates topics with every setting on a real broker, and asks another client what they have.
func TestCreateSettings(t *testing.T) {
	brokers := services.Kafka(t)
	ctx := withPatience(t)
	log := connect(t, brokers)
	name := services.Name(t)
	for suffix, settings := range map[string]struct {
		topic runtime.NewTopic
		want  map[string]string
	}{
		"plain":   {runtime.NewTopic{}, map[string]string{"cleanup.policy": "delete", "message.timestamp.type": "CreateTime"}},
		"compact": {runtime.NewTopic{Compacted: true}, map[string]string{"cleanup.policy": "compact"}},
		"large":   {runtime.NewTopic{MaxMessageBytes: 2 << 20}, map[string]string{"max.message.bytes": "2097152"}},
		"arrival": {runtime.NewTopic{Retention: runtime.ByArrival}, map[string]string{"message.timestamp.type": "LogAppendTime"}},
		"forever": {runtime.NewTopic{Retention: runtime.Forever}, map[string]string{"retention.ms": "-1"}},
	} {
		t.Run(suffix, func(t *testing.T) {
			created := settings.topic
			created.Name, created.Partitions = name+"-"+suffix, 3
			eventually(ctx, t, func() error { return log.Create(ctx, []runtime.NewTopic{created}) })
			got := configOf(t, brokers, created.Name)
			for key, value := range settings.want {
				require.Equal(t, value, got[key], key)
			}
			info, err := log.Describe(ctx, created.Name)
			require.NoError(t, err)
			require.EqualValues(t, 3, info.Partitions)
			if created.MaxMessageBytes > 0 {
				require.Equal(t, created.MaxMessageBytes, info.MaxMessageBytes)
			}
		})
	}
}

// TestArrivalKeepsIdentities appends to a topic whose broker stamps the records, and repeats the batch.
func TestArrivalKeepsIdentities(t *testing.T) {
	ctx := withPatience(t)
	log := connect(t, services.Kafka(t))
	p := runtime.TopicPartition{Topic: services.Name(t)}
	eventually(ctx, t, func() error {
		return log.Create(ctx, []runtime.NewTopic{{Name: p.Topic, Partitions: 1, Retention: runtime.ByArrival}})
	})
	identity := identityOf(ctx, t, log)
	for range 2 {
		require.NoError(t, send(ctx, t, log, identity, batch(p, 0)).Err)
	}
	_, end, err := log.Bounds(ctx, p)
	require.NoError(t, err)
	require.EqualValues(t, batch(p, 0)[0].Records.Count, end, "a repeated batch was appended")
	reader, err := log.Open(ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	got := read(ctx, t, reader, 1)
	require.Less(t, time.Since(got[0].Timestamp), time.Hour, "the timestamp is not the broker's")
}

func configOf(t *testing.T, brokers, name string) map[string]string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	require.NoError(t, err)
	defer client.Close()
	configs, err := kadm.NewClient(client).DescribeTopicConfigs(t.Context(), name)
	require.NoError(t, err)
	config, err := configs.On(name, nil)
	require.NoError(t, err)
	values := map[string]string{}
	for _, c := range config.Configs {
		values[c.Key] = c.MaybeValue()
	}
	return values
}
