package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

// Producer implements runtime.Log.
func (l *Log) Producer(ctx context.Context, partition runtime.TopicPartition, producerID int64) (runtime.ProducerState, error) {
	state, err := await(ctx, l, func() (runtime.ProducerState, error) {
		return onLeader(l, partition, func(leader *sarama.Broker, _ int32) (runtime.ProducerState, error) {
			return producer(leader, partition, producerID)
		})
	})
	return state, classify(at("producers", partition), err)
}

func producer(leader *sarama.Broker, partition runtime.TopicPartition, producerID int64) (state runtime.ProducerState, err error) {
	response, err := leader.DescribeProducers(&sarama.DescribeProducersRequest{Topics: []sarama.DescribeProducersRequestTopic{
		{Name: partition.Topic, PartitionIndexes: []int32{partition.Partition}},
	}})
	if err != nil {
		return state, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return state, sarama.ErrIncompleteResponse
	}
	found := response.Topics[0].Partitions[0]
	if found.ErrorCode != sarama.ErrNoError {
		return state, found.ErrorCode
	}
	for _, p := range found.ActiveProducers {
		if p.ProducerID == producerID {
			return runtime.ProducerState{Known: true, Epoch: int16(p.ProducerEpoch), LastSequence: p.LastSequence}, nil
		}
	}
	return state, nil
}

// onLeader asks the leader of a partition, and once more where it was not the leader or did not answer.
func onLeader[T any](l *Log, partition runtime.TopicPartition, request func(*sarama.Broker, int32) (T, error)) (answer T, err error) {
	for attempt := range 2 {
		if attempt > 0 {
			if err := l.client.RefreshMetadata(partition.Topic); err != nil {
				return answer, err
			}
		}
		var leader *sarama.Broker
		var epoch int32
		if leader, epoch, err = l.client.LeaderAndEpoch(partition.Topic, partition.Partition); err != nil {
			return answer, err
		}
		if answer, err = request(leader, epoch); err == nil || !errors.Is(meaning(err), runtime.ErrUnavailable) {
			return answer, err
		}
		if _, answered := errors.AsType[sarama.KError](err); !answered {
			_ = leader.Close() // it is broken already
		}
	}
	return answer, err
}

// Batches implements runtime.Log.
func (l *Log) Batches(ctx context.Context, from runtime.Position, visit func(runtime.BatchHeader) bool) error {
	epoch, err := await(ctx, l, func() (epoch int32, err error) {
		_, epoch, err = l.client.LeaderAndEpoch(from.Topic, from.Partition)
		return epoch, err
	})
	if err != nil {
		return classify(at("leader", from.TopicPartition), err)
	}
	whole, err := l.visit(ctx, from, visit)
	if err != nil || !whole {
		return err
	}
	_, err = await(ctx, l, func() (struct{}, error) { return struct{}{}, l.unsurpassed(from.TopicPartition, epoch) })
	return classify(at("leader", from.TopicPartition), err)
}

// unsurpassed fails where any broker knows of a later leader of a partition than that of an epoch. A leader that was cut
// off from the others, or stood still, goes on to answer for the partition until it hears of its successor, and has not
// what was appended since.
func (l *Log) unsurpassed(partition runtime.TopicPartition, epoch int32) error {
	var addresses []string
	for _, broker := range l.client.Brokers() {
		addresses = append(addresses, broker.Addr())
	}
	for asked := 0; asked < len(addresses); asked++ {
		metadata, err := l.metadataOf(addresses[asked], partition.Topic)
		if err != nil {
			return err
		}
		if latest(metadata, partition) > epoch {
			if err := l.client.RefreshMetadata(partition.Topic); err != nil {
				return err
			}
			return sarama.ErrFencedLeaderEpoch
		}
		for _, broker := range metadata.Brokers {
			if !slices.Contains(addresses, broker.Addr()) {
				addresses = append(addresses, broker.Addr())
			}
		}
	}
	return nil
}

// metadataOf asks one broker what it knows of a topic, on a connection for this once.
func (l *Log) metadataOf(address, name string) (*sarama.MetadataResponse, error) {
	broker := sarama.NewBroker(address)
	if err := broker.Open(l.settings); err != nil {
		return nil, err
	}
	defer func() { _ = broker.Close() }() // it has answered
	return broker.GetMetadata(sarama.NewMetadataRequest(l.settings.Version, []string{name}))
}

// latest returns the epoch of a partition's leader in an answer, -1 where it has none.
func latest(metadata *sarama.MetadataResponse, partition runtime.TopicPartition) int32 {
	for _, found := range metadata.Topics {
		for _, p := range found.Partitions {
			if found.Name == partition.Topic && p.ID == partition.Partition {
				return p.LeaderEpoch
			}
		}
	}
	return -1
}

// visit calls visit for the headers of a partition, and says whether it came to the end.
func (l *Log) visit(ctx context.Context, from runtime.Position, visit func(runtime.BatchHeader) bool) (whole bool, err error) {
	_, end, err := l.Bounds(ctx, from.TopicPartition)
	if err != nil {
		return false, err
	}
	for next, size := from.Offset, int32(mostFetch); ; {
		found, err := await(ctx, l, func() (*sarama.FetchResponseBlock, error) { return l.headers(from, next, size) })
		if err != nil {
			return false, classify(at("batches", from.TopicPartition), err)
		}
		headers, behind := headersOf(found, next)
		for _, header := range headers {
			if header.Offset >= end {
				return true, nil
			}
			if !visit(header) {
				return false, nil
			}
		}
		switch {
		case max(behind, next) >= end:
			return true, nil
		case behind > next:
			next, size = behind, mostFetch
		case size < largestFetch: // the batch does not fit, or nothing could be read for now
			size *= 2
		default:
			return false, fmt.Errorf("%s: nothing to read at %d: %w", at("batches", from.TopicPartition), next, runtime.ErrUnavailable)
		}
	}
}

func (l *Log) headers(from runtime.Position, offset int64, size int32) (*sarama.FetchResponseBlock, error) {
	return onLeader(l, from.TopicPartition, func(leader *sarama.Broker, epoch int32) (*sarama.FetchResponseBlock, error) {
		request := &sarama.FetchRequest{Version: 12, SessionEpoch: -1, MaxBytes: size, MaxWaitTime: 1}
		request.AddBlock(from.Topic, from.Partition, offset, size, epoch)
		response, err := leader.Fetch(request)
		if err != nil {
			return nil, err
		}
		found := response.GetBlock(from.Topic, from.Partition)
		switch {
		case found == nil:
			return nil, sarama.ErrIncompleteResponse
		case found.Err != sarama.ErrNoError:
			return nil, found.Err
		}
		return found, nil
	})
}

// headersOf returns the headers of the batches that reach to an offset or beyond, and the offset behind the last. Those
// that compaction has left without records are not among them.
func headersOf(found *sarama.FetchResponseBlock, from int64) (headers []runtime.BatchHeader, behind int64) {
	for _, set := range found.RecordsSet {
		batch := set.RecordBatch
		if batch == nil || batch.PartialTrailingRecord {
			break
		}
		behind = batch.LastOffset() + 1
		if batch.Control || behind <= from {
			continue
		}
		headers = append(headers, runtime.BatchHeader{
			Identity: runtime.Identity{ProducerID: batch.ProducerID, Epoch: batch.ProducerEpoch},
			Sequence: batch.FirstSequence,
			Offset:   batch.FirstOffset,
			Records:  int(batch.LastOffsetDelta) + 1,
		})
	}
	return headers, max(behind, emptied(found))
}
