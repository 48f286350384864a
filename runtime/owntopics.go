package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kappaflows/flows/topic"
)

// OwnTopics are the topics that belong to the function alone, those of its parts not included: its Own and the one of its
// dead letters. The engine creates them where they are missing.
func (f *Function) OwnTopics() []OwnTopic {
	if f.DeadLetter == nil {
		return f.Own
	}
	return append(slices.Clip(f.Own), OwnTopic{Spec: f.DeadLetter, Like: f.Inputs, Retention: Forever})
}

// CreateOwnTopics creates those own topics of the functions that are missing, so that who runs the functions needs no
// right to. Each gets as many replicas as are asked for; 0 is the broker's default. The functions' other topics must be
// there.
func CreateOwnTopics(ctx context.Context, log Log, replicas int16, functions ...*Function) error {
	var topics []OwnTopic
	for _, f := range functions {
		for _, own := range f.OwnTopics() {
			own.replicas = replicas
			topics = append(topics, own)
		}
	}
	return createTopics(ctx, log, inOrder(topics))
}

// inOrder returns the topics with each behind those that it is made like.
func inOrder(topics []OwnTopic) (ordered []OwnTopic) {
	placed := map[string]bool{}
	var place func(own OwnTopic)
	place = func(own OwnTopic) {
		if placed[own.Spec.Name] {
			return
		}
		placed[own.Spec.Name] = true
		for _, like := range own.Like {
			for _, other := range topics {
				if other.Spec.Name == like.Name {
					place(other)
				}
			}
		}
		ordered = append(ordered, own)
	}
	for _, own := range topics {
		place(own)
	}
	return ordered
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
	create := NewTopic{Name: own.Spec.Name, Replicas: own.replicas, Compacted: own.Spec.Compacted, Retention: own.Retention}
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
