package kafka_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
)

// producerConfig is that of another client, one that we read from.
func producerConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V4_0_0_0
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	return c
}

// TestCompression reads what other clients have compressed.
func TestCompression(t *testing.T) {
	brokers := services.Kafka(t)
	ctx := withPatience(t)
	log := connect(t, brokers)
	p := newTopic(ctx, t, log, 1)
	codecs := []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
	for _, codec := range codecs {
		config := producerConfig()
		config.Producer.Compression = codec
		producer, err := sarama.NewSyncProducer(strings.Split(brokers, ","), config)
		require.NoError(t, err)
		var messages []*sarama.ProducerMessage
		for i := range 100 {
			text := sarama.StringEncoder(fmt.Sprintf("%s %d %s", codec, i, strings.Repeat("again ", 20)))
			messages = append(messages, &sarama.ProducerMessage{Topic: p.Topic, Value: text})
		}
		require.NoError(t, producer.SendMessages(messages))
		require.NoError(t, producer.Close())
	}
	reader, err := log.Open(ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	for i, m := range read(ctx, t, reader, 100*len(codecs)) {
		require.EqualValues(t, i, m.Offset)
		require.True(t, strings.HasPrefix(string(m.Value), fmt.Sprintf("%s %d again", codecs[i/100], i%100)), "%q", m.Value)
	}
}

// TestTransactions reads only what was committed, and goes on behind what was not.
func TestTransactions(t *testing.T) {
	brokers := services.Kafka(t)
	ctx := withPatience(t)
	log := connect(t, brokers)
	p := newTopic(ctx, t, log, 1)
	config := producerConfig()
	config.Producer.Idempotent, config.Net.MaxOpenRequests = true, 1
	config.Producer.Transaction.ID = services.Name(t)
	producer, err := sarama.NewSyncProducer(strings.Split(brokers, ","), config)
	require.NoError(t, err)
	for i, commit := range []bool{true, false, false, true, false} {
		require.NoError(t, producer.BeginTxn())
		for j := range 3 {
			_, _, err := producer.SendMessage(&sarama.ProducerMessage{
				Topic: p.Topic, Value: sarama.StringEncoder(fmt.Sprintf("%d %d %t", i, j, commit)),
			})
			require.NoError(t, err)
		}
		if commit {
			require.NoError(t, producer.CommitTxn())
		} else {
			require.NoError(t, producer.AbortTxn())
		}
	}
	require.NoError(t, producer.Close())
	reader, err := log.Open(ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	var texts []string
	var offsets []int64
	require.NoError(t, send(ctx, t, log, identityOf(ctx, t, log), batch(p, 0)).Err)
	for _, m := range read(ctx, t, reader, 7) {
		texts, offsets = append(texts, string(m.Value)), append(offsets, m.Offset)
	}
	require.Equal(t, []string{"0 0 true", "0 1 true", "0 2 true", "3 0 true", "3 1 true", "3 2 true", "0"}, texts)
	require.Equal(t, []int64{0, 1, 2, 12, 13, 14}, offsets[:6])
	// The broker writes the marker of the last abort when it gets to it, before or after what is sent next.
	require.Contains(t, []int64{19, 20}, offsets[6])
}
