package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/cenkalti/backoff/v5"

	"github.com/kappaflows/flows/topic"
)

// createOwnTopics creates the topics that the function needs for itself and nobody declares, where they are missing. It
// waits for a log that is away.
func (e *Engine) createOwnTopics(ctx context.Context, f *Function) error {
	if f.DeadLetter == nil {
		return nil
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = firstWait, longWait
	for {
		err := createDeadLetter(ctx, e.config.Log, f)
		if !errors.Is(err, ErrUnavailable) {
			return err
		}
		wait := waits.NextBackOff()
		e.config.Logger.Warn("trying again", "function", f.Name, "err", err, "wait", wait)
		if !sleep(ctx, e.config.Clock, wait) {
			return nil
		}
	}
}

// createDeadLetter creates the function's dead-letter topic with as many partitions as its widest input, and with room
// for the largest of its messages.
func createDeadLetter(ctx context.Context, log Log, f *Function) error {
	_, err := log.Describe(ctx, f.DeadLetter.Name)
	if !errors.Is(err, ErrUnknownTopic) {
		return describeError(f.DeadLetter, err)
	}
	letters := NewTopic{Name: f.DeadLetter.Name}
	for _, input := range f.Inputs {
		info, err := log.Describe(ctx, input.Name)
		if err != nil {
			return describeError(input, err)
		}
		letters.Partitions = max(letters.Partitions, info.Partitions)
		letters.MaxMessageBytes = max(letters.MaxMessageBytes, info.MaxMessageBytes+DeadLetterRoom)
	}
	if err := log.Create(ctx, []NewTopic{letters}); err != nil {
		return fmt.Errorf("create topic %s: %w", letters.Name, err)
	}
	return nil
}

func describeError(spec *topic.Spec, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("topic %s: %w", spec.Name, err)
}
