package runtime

import (
	"context"

	"github.com/kappaflows/flows/topic"
)

// Decision is what is done with one dead letter.
type Decision uint8

const (
	// Keep leaves it a dead letter: it goes to the end of its topic, as it is.
	Keep Decision = iota
	// Retry applies the function to it once more, as to the message that it was.
	Retry
	// Drop forgets it.
	Drop
)

// Redo returns a function that reads the dead letters of f, and does with each what decide says. It has a position of
// its own, and f's states and outputs: a letter that is tried again is applied exactly once, like any message. One that
// fails again is a dead letter again.
func Redo(f *Function, decide func(letter *topic.Raw, partition int32) Decision) *Function {
	redo := *f
	letters := DeadLetterTopic(f.origin())
	redo.Origin, redo.Name = f.origin(), letters.Name
	redo.Inputs, redo.DeadLetter = []*topic.Spec{letters}, letters
	redo.Parts, redo.Own = nil, nil
	redo.Options.Start, redo.Options.SkipDeleted = Oldest, true
	redo.Apply = func(ctx context.Context, in *Input, state any) (topic.Records, error) {
		switch decide(&in.Raw, in.Partition) {
		case Retry:
			again := *in
			revive(&again)
			records, err := f.Apply(ctx, &again, state)
			in.Changes, in.Timestamp = again.Changes, again.Timestamp
			return records, err
		case Drop:
			return nil, nil
		default:
			return topic.Records{topic.Forward(letters, &in.Raw)}, nil
		}
	}
	return &redo
}
