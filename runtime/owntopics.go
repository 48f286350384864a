package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kappaflows/flows/topic"
)

// ownTopics are the topics that belong to the function, in the order of creating them.
func (f *Function) ownTopics() []OwnTopic {
	if f.DeadLetter == nil {
		return f.Own
	}
	return append(slices.Clip(f.Own), OwnTopic{Spec: f.DeadLetter, Like: f.Inputs})
}

// createTopics creates the topics that are missing.
func createTopics(ctx context.Context, log Log, topics []OwnTopic) error {
	for _, own := range topics {
		if err := createOwn(ctx, log, own); err != nil {
			return err
		}
	}
	return nil
}

// createOwn creates one topic, or checks that the one that is there has the partitions that were asked for.
func createOwn(ctx context.Context, log Log, own OwnTopic) error {
	info, err := log.Describe(ctx, own.Spec.Name)
	if err == nil && own.Spec.Partitions > 0 && info.Partitions != own.Spec.Partitions {
		return fmt.Errorf("topic %s has %d partitions, but %d are asked for: %w", own.Spec.Name, info.Partitions, own.Spec.Partitions, ErrPartitions)
	}
	if !errors.Is(err, ErrUnknownTopic) {
		return describeError(own.Spec, err)
	}
	create := NewTopic{Name: own.Spec.Name, Compacted: own.Spec.Compacted}
	for _, like := range own.Like {
		info, err := log.Describe(ctx, like.Name)
		if err != nil {
			return describeError(like, err)
		}
		create.Partitions = max(create.Partitions, info.Partitions)
		create.MaxMessageBytes = max(create.MaxMessageBytes, info.MaxMessageBytes+OwnTopicRoom)
	}
	if own.Spec.Partitions > 0 {
		create.Partitions = own.Spec.Partitions
	}
	if err := log.Create(ctx, []NewTopic{create}); err != nil {
		return fmt.Errorf("create topic %s: %w", create.Name, err)
	}
	return nil
}

// OwnTopicRoom is how much larger the messages of a topic of the framework's own may be than those that end up in it:
// room for a dead letter's reason, and for a join's envelope.
const OwnTopicRoom = 16 << 10

func describeError(spec *topic.Spec, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("topic %s: %w", spec.Name, err)
}
