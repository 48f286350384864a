package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

var _ runtime.Administrator = (*Log)(nil)

// Members implements runtime.Administrator.
func (l *Log) Members(ctx context.Context, group string) (int, error) {
	members, err := await(ctx, l, func() (int, error) {
		return onCoordinator(l, group, func(coordinator *sarama.Broker) (int, error) { return members(coordinator, group) })
	})
	return members, classify("kafka: members of group "+group, err)
}

func members(coordinator *sarama.Broker, group string) (int, error) {
	response, err := coordinator.DescribeGroups(&sarama.DescribeGroupsRequest{Version: 5, Groups: []string{group}})
	if err != nil {
		return 0, err
	}
	if len(response.Groups) != 1 {
		return 0, sarama.ErrIncompleteResponse
	}
	switch found := response.Groups[0]; {
	case errors.Is(found.Err, sarama.ErrGroupIDNotFound):
		return 0, nil
	case !errors.Is(found.Err, sarama.ErrNoError):
		return 0, found.Err
	default:
		return len(found.Members), nil
	}
}

// onCoordinator asks the coordinator of a group, and once more where it was not the coordinator or did not answer.
func onCoordinator[T any](l *Log, group string, request func(*sarama.Broker) (T, error)) (answer T, err error) {
	for attempt := range 2 {
		if attempt > 0 {
			if err := l.client.RefreshCoordinator(group); err != nil {
				return answer, err
			}
		}
		var coordinator *sarama.Broker
		if coordinator, err = l.client.Coordinator(group); err != nil {
			return answer, err
		}
		if answer, err = request(coordinator); err == nil || !errors.Is(meaning(err), runtime.ErrUnavailable) {
			return answer, err
		}
		if _, answered := errors.AsType[sarama.KError](err); !answered {
			_ = coordinator.Close() // it is broken already
		}
	}
	return answer, err
}

// ResetOffsets implements runtime.Administrator. The broker refuses both requests where the group has members.
func (l *Log) ResetOffsets(ctx context.Context, group string, offsets map[runtime.TopicPartition]int64) error {
	// A request that nobody is a member for is refused as one of a member that the group does not know, which is an
	// answer that the engine would try again on.
	found, err := l.Members(ctx, group)
	switch {
	case err != nil:
		return err
	case found > 0:
		return fmt.Errorf("kafka: group %s: %w", group, runtime.ErrMembers)
	}
	_, err = await(ctx, l, func() (struct{}, error) {
		return onCoordinator(l, group, func(coordinator *sarama.Broker) (struct{}, error) {
			if err := l.commitOffsets(coordinator, group, offsets); err != nil {
				return struct{}{}, err
			}
			return struct{}{}, forgetOffsets(coordinator, group, offsets)
		})
	})
	return classify("kafka: reset offsets of group "+group, inUse(err))
}

// inUse translates what brokers answer where the group has members.
func inUse(err error) error {
	for _, answer := range []error{
		sarama.ErrUnknownMemberId, sarama.ErrIllegalGeneration, sarama.ErrNonEmptyGroup, sarama.ErrGroupSubscribedToTopic, sarama.ErrRebalanceInProgress,
	} {
		if errors.Is(err, answer) {
			return runtime.ErrMembers
		}
	}
	return err
}

func (l *Log) commitOffsets(coordinator *sarama.Broker, group string, offsets map[runtime.TopicPartition]int64) error {
	request, some := sarama.NewOffsetCommitRequest(l.settings, group), false
	for partition, offset := range offsets {
		if offset >= 0 {
			request.AddBlock(partition.Topic, partition.Partition, offset, 0, "")
			some = true
		}
	}
	if !some {
		return nil
	}
	response, err := coordinator.CommitOffset(request)
	if err != nil {
		return err
	}
	return firstError(response.Errors)
}

func forgetOffsets(coordinator *sarama.Broker, group string, offsets map[runtime.TopicPartition]int64) error {
	request, some := &sarama.DeleteOffsetsRequest{Group: group}, false
	for partition, offset := range offsets {
		if offset < 0 {
			request.AddPartition(partition.Topic, partition.Partition)
			some = true
		}
	}
	if !some {
		return nil
	}
	response, err := coordinator.DeleteOffsets(request)
	switch {
	case err != nil:
		return err
	case errors.Is(response.ErrorCode, sarama.ErrGroupIDNotFound):
		return nil // nobody has ever committed anything
	case !errors.Is(response.ErrorCode, sarama.ErrNoError):
		return response.ErrorCode
	default:
		return firstError(response.Errors)
	}
}

func firstError(errs map[string]map[int32]sarama.KError) error {
	for _, partitions := range errs {
		for _, err := range partitions {
			// A topic that is gone has no offset either.
			if !errors.Is(err, sarama.ErrNoError) && !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
				return err
			}
		}
	}
	return nil
}

// OffsetAt implements runtime.Administrator.
func (l *Log) OffsetAt(ctx context.Context, partition runtime.TopicPartition, when time.Time) (int64, error) {
	offset, err := await(ctx, l, func() (int64, error) {
		found, err := l.client.GetOffset(partition.Topic, partition.Partition, when.UnixMilli())
		if err == nil && found < 0 {
			return l.client.GetOffset(partition.Topic, partition.Partition, sarama.OffsetNewest)
		}
		return found, err
	})
	return offset, classify(at("offset at a time", partition), err)
}
