package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

// Describe implements runtime.Log.
func (l *Log) Describe(ctx context.Context, name string) (runtime.TopicInfo, error) {
	info, err := await(ctx, l, func() (runtime.TopicInfo, error) { return l.describe(name) })
	if err != nil {
		return info, classify("kafka: topic "+name, err)
	}
	return info, nil
}

func (l *Log) describe(name string) (runtime.TopicInfo, error) {
	metadata, err := l.metadata(name)
	if err != nil {
		return runtime.TopicInfo{}, err
	}
	if len(metadata.Topics) != 1 {
		return runtime.TopicInfo{}, sarama.ErrIncompleteResponse
	}
	found := metadata.Topics[0]
	if found.Err != sarama.ErrNoError {
		return runtime.TopicInfo{}, found.Err
	}
	limit, err := l.maxMessageBytes(name)
	return runtime.TopicInfo{
		Name: name, ID: runtime.TopicID(found.Uuid), Partitions: int32(len(found.Partitions)), MaxMessageBytes: limit,
	}, err
}

func (l *Log) metadata(name string) (*sarama.MetadataResponse, error) {
	return ask(l, func(b *sarama.Broker) (*sarama.MetadataResponse, error) {
		return b.GetMetadata(sarama.NewMetadataRequest(l.settings.Version, []string{name}))
	})
}

const (
	maxMessageBytes = "max.message.bytes"
	// defaultMaxMessageBytes is Kafka's own; it is used where the right to read a topic's configuration is missing.
	defaultMaxMessageBytes = 1048588
)

func (l *Log) maxMessageBytes(name string) (int, error) {
	response, err := ask(l, func(b *sarama.Broker) (*sarama.DescribeConfigsResponse, error) {
		return b.DescribeConfigs(&sarama.DescribeConfigsRequest{Version: 2, Resources: []*sarama.ConfigResource{
			{Type: sarama.TopicResource, Name: name, ConfigNames: []string{maxMessageBytes}},
		}})
	})
	if err != nil {
		return 0, err
	}
	for _, resource := range response.Resources {
		switch code := sarama.KError(resource.ErrorCode); {
		case code == sarama.ErrTopicAuthorizationFailed || code == sarama.ErrClusterAuthorizationFailed:
			return defaultMaxMessageBytes, nil
		case code != sarama.ErrNoError:
			return 0, code
		}
		for _, entry := range resource.Configs {
			if entry.Name == maxMessageBytes {
				return strconv.Atoi(entry.Value)
			}
		}
	}
	return defaultMaxMessageBytes, nil
}

// Create implements runtime.Log. It waits until the brokers know of the topics.
func (l *Log) Create(ctx context.Context, topics []runtime.NewTopic) error {
	if len(topics) == 0 {
		return ctx.Err()
	}
	answers, err := await(ctx, l, func() (map[string]*sarama.TopicError, error) { return l.create(topics) })
	if err != nil {
		return classify("kafka: create topics", err)
	}
	for _, t := range topics {
		if err := created(answers[t.Name]); err != nil {
			return classify("kafka: create topic "+t.Name, err)
		}
		if err := l.settle(ctx, t.Name); err != nil {
			return err
		}
	}
	return nil
}

// create asks the controller, on a connection for this once.
func (l *Log) create(topics []runtime.NewTopic) (map[string]*sarama.TopicError, error) {
	details := map[string]*sarama.TopicDetail{}
	for _, t := range topics {
		details[t.Name] = detail(t)
	}
	controller, err := l.controller(topics[0].Name)
	if err != nil {
		return nil, err
	}
	if err := controller.Open(l.settings); err != nil {
		return nil, err
	}
	defer func() { _ = controller.Close() }() // it has answered
	response, err := controller.CreateTopics(sarama.NewCreateTopicsRequest(l.settings.Version, details, requestTimeout, false))
	if err != nil {
		return nil, err
	}
	return response.TopicErrors, nil
}

// controller returns the broker that makes topics, not yet connected.
func (l *Log) controller(name string) (*sarama.Broker, error) {
	metadata, err := l.metadata(name)
	if err != nil {
		return nil, err
	}
	for _, b := range metadata.Brokers {
		if b.ID() == metadata.ControllerID {
			return b, nil
		}
	}
	return nil, sarama.ErrControllerNotAvailable
}

func detail(t runtime.NewTopic) *sarama.TopicDetail {
	d := &sarama.TopicDetail{NumPartitions: t.Partitions, ReplicationFactor: t.Replicas}
	if d.NumPartitions == 0 {
		d.NumPartitions = -1 // the broker's default
	}
	if d.ReplicationFactor == 0 {
		d.ReplicationFactor = -1
	}
	d.ConfigEntries = map[string]*string{}
	set := func(name, value string) { d.ConfigEntries[name] = &value }
	if t.Compacted {
		set("cleanup.policy", "compact")
	}
	if t.MaxMessageBytes > 0 {
		set("max.message.bytes", strconv.Itoa(t.MaxMessageBytes))
	}
	switch t.Retention {
	case runtime.ByArrival:
		set("message.timestamp.type", "LogAppendTime")
	case runtime.Forever:
		set("retention.ms", "-1")
	case runtime.ByTimestamp:
	}
	return d
}

// created returns what kept a topic from being made, other than that it is there already.
func created(answer *sarama.TopicError) error {
	switch {
	case answer == nil:
		return sarama.ErrIncompleteResponse
	case answer.Err == sarama.ErrNoError || answer.Err == sarama.ErrTopicAlreadyExists:
		return nil
	case answer.ErrMsg != nil:
		return fmt.Errorf("%w (%s)", answer.Err, *answer.ErrMsg)
	}
	return answer.Err
}

// settle waits until a new topic can be used: brokers hear of it, and that they lead its partitions, a little after the
// controller has made it.
func (l *Log) settle(ctx context.Context, name string) error {
	const attempts, pause = 50, 100 * time.Millisecond
	var err error
	for range attempts {
		err = l.usable(ctx, name)
		if !errors.Is(err, runtime.ErrUnknownTopic) && !errors.Is(err, runtime.ErrUnavailable) {
			return err
		}
		if !runtime.Sleep(ctx, runtime.WallClock, pause) {
			return ctx.Err()
		}
	}
	return err
}

func (l *Log) usable(ctx context.Context, name string) error {
	info, err := l.Describe(ctx, name)
	for i := range info.Partitions {
		if err == nil {
			_, _, err = l.Bounds(ctx, runtime.TopicPartition{Topic: name, Partition: i})
		}
	}
	return err
}

// Bounds implements runtime.Log.
func (l *Log) Bounds(ctx context.Context, partition runtime.TopicPartition) (start, end int64, err error) {
	bounds, err := await(ctx, l, func() (bounds [2]int64, err error) {
		for i, which := range []int64{sarama.OffsetOldest, sarama.OffsetNewest} {
			if bounds[i], err = l.client.GetOffset(partition.Topic, partition.Partition, which); err != nil {
				return bounds, err
			}
		}
		return bounds, nil
	})
	return bounds[0], bounds[1], classify(at("bounds", partition), err)
}

// Committed implements runtime.Log.
func (l *Log) Committed(ctx context.Context, group string, partition runtime.TopicPartition) (int64, error) {
	offset, err := await(ctx, l, func() (int64, error) {
		return onCoordinator(l, group, func(coordinator *sarama.Broker) (int64, error) {
			return l.committed(coordinator, group, partition)
		})
	})
	if err != nil {
		return -1, classify(at("offset of group "+group, partition), err)
	}
	return offset, nil
}

func (l *Log) committed(coordinator *sarama.Broker, group string, partition runtime.TopicPartition) (int64, error) {
	response, err := coordinator.FetchOffset(sarama.NewOffsetFetchRequest(l.settings.Version, group,
		map[string][]int32{partition.Topic: {partition.Partition}}))
	if err != nil {
		return -1, err
	}
	switch err := response.GroupError(); err {
	case sarama.ErrNoError:
	case sarama.ErrGroupIDNotFound:
		return -1, nil // a group that nobody has been in
	default:
		return -1, err
	}
	block := response.GetBlock(partition.Topic, partition.Partition)
	switch {
	case block == nil:
		return -1, sarama.ErrIncompleteResponse
	case block.Err != sarama.ErrNoError:
		return -1, block.Err
	}
	return block.Offset, nil
}

func at(what string, p runtime.TopicPartition) string {
	return fmt.Sprintf("kafka: %s of %s/%d", what, p.Topic, p.Partition)
}
