package embedded_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// client speaks to a broker as the engine does: with producer identities and sequences of its own choosing.
type client struct {
	t testing.TB
	*kgo.Client
}

func connect(t testing.TB, brokers []string) client {
	t.Helper()
	connection, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	return client{t, connection}
}

func (c client) createTopic(name string, partitions int32) {
	c.t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(c.t.Context(), c.Client)
	require.NoError(c.t, err)
	require.NoError(c.t, kerr.ErrorForCode(answer.Topics[0].ErrorCode))
}

func (c client) newProducer() int64 {
	c.t.Helper()
	answer, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(c.t.Context(), c.Client)
	require.NoError(c.t, err)
	require.NoError(c.t, kerr.ErrorForCode(answer.ErrorCode))
	return answer.ProducerID
}

// send appends a batch of records with the values n, n+1, ... and returns the offset that the broker answers.
func (c client) send(topic string, partition int32, id int64, epoch int16, sequence int32, records int) (int64, error) {
	c.t.Helper()
	request := kmsg.NewPtrProduceRequest()
	request.Acks, request.TimeoutMillis = -1, 10_000
	in := kmsg.NewProduceRequestTopicPartition()
	in.Partition, in.Records = partition, encodeBatch(id, epoch, sequence, records)
	of := kmsg.NewProduceRequestTopic()
	of.Topic, of.TopicID, of.Partitions = topic, c.topicID(topic), append(of.Partitions, in)
	request.Topics = append(request.Topics, of)
	response, err := c.Broker(0).Request(context.Background(), request)
	require.NoError(c.t, err)
	answer := response.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return answer.BaseOffset, kerr.ErrorForCode(answer.ErrorCode)
}

// topicID returns the id of a topic, a zero one where it does not exist.
func (c client) topicID(topic string) [16]byte {
	c.t.Helper()
	request := kmsg.NewPtrMetadataRequest()
	of := kmsg.NewMetadataRequestTopic()
	of.Topic = &topic
	request.Topics = append(request.Topics, of)
	request.AllowAutoTopicCreation = true
	answer, err := request.RequestWith(c.t.Context(), c.Client)
	require.NoError(c.t, err)
	return answer.Topics[0].TopicID
}

func encodeBatch(id int64, epoch int16, sequence int32, records int) []byte {
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(records) - 1, FirstTimestamp: 1, MaxTimestamp: 1,
		ProducerID: id, ProducerEpoch: epoch, FirstSequence: sequence, NumRecords: int32(records),
	}
	for i := range records {
		record := kmsg.Record{OffsetDelta: int32(i), Value: fmt.Appendf(nil, "%d", int(sequence)+i)}
		record.Length = int32(len(record.AppendTo(nil)) - 1) // The length's own byte does not count.
		batch.Records = record.AppendTo(batch.Records)
	}
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// values returns all values of a partition.
func (c client) values(topic string, partition int32) (values []string) {
	c.t.Helper()
	end := c.end(topic, partition)
	reader, err := kgo.NewClient(
		kgo.SeedBrokers(c.seeds()...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}),
	)
	require.NoError(c.t, err)
	defer reader.Close()
	for int64(len(values)) < end {
		fetches := reader.PollFetches(c.t.Context())
		require.NoError(c.t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func (c client) seeds() []string { return c.OptValue(kgo.SeedBrokers).([]string) }

func (c client) end(topic string, partition int32) int64 {
	c.t.Helper()
	request := kmsg.NewPtrListOffsetsRequest()
	in := kmsg.NewListOffsetsRequestTopicPartition()
	in.Partition, in.Timestamp = partition, -1
	of := kmsg.NewListOffsetsRequestTopic()
	of.Topic, of.Partitions = topic, append(of.Partitions, in)
	request.Topics = append(request.Topics, of)
	answer, err := request.RequestWith(c.t.Context(), c.Client)
	require.NoError(c.t, err)
	require.NoError(c.t, kerr.ErrorForCode(answer.Topics[0].Partitions[0].ErrorCode))
	return answer.Topics[0].Partitions[0].Offset
}
