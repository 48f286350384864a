package kafka

import (
	"context"
	"errors"
	"fmt"

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
	_, end, err := l.Bounds(ctx, from.TopicPartition)
	if err != nil {
		return err
	}
	for next, size := from.Offset, int32(mostFetch); ; {
		found, err := await(ctx, l, func() (*sarama.FetchResponseBlock, error) { return l.headers(from, next, size) })
		if err != nil {
			return classify(at("batches", from.TopicPartition), err)
		}
		headers, behind := headersOf(found, next)
		for _, header := range headers {
			if header.Offset >= end || !visit(header) {
				return nil
			}
		}
		switch {
		case max(behind, next) >= end:
			return nil
		case behind > next:
			next, size = behind, mostFetch
		case size < largestFetch: // the batch does not fit, or nothing could be read for now
			size *= 2
		default:
			return fmt.Errorf("%s: nothing to read at %d: %w", at("batches", from.TopicPartition), next, runtime.ErrUnavailable)
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
