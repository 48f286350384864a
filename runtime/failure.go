package runtime

import (
	"errors"
	"fmt"
	"strconv"
)

// Decisions that a function that stopped leaves to people.
var (
	// ErrTopicRecreated says that the input topic is not the one that the checkpoint is of.
	ErrTopicRecreated = errors.New("the topic was deleted and created anew since it was last read")
	// ErrStoreBehind says that the store knows less than the log has from this function: it went back in time, as after
	// a restored backup or a failover to a replica that lagged.
	ErrStoreBehind = errors.New("the store is behind the log")
	// ErrDeleted says that the log deleted messages before they were read.
	ErrDeleted = errors.New("messages were deleted before they were read")
	// ErrRecordTooLarge says that an output is larger than its topic takes.
	ErrRecordTooLarge = errors.New("record too large for its topic")
	// ErrUndeclared says that a function returned a record for a topic that it does not declare as an output.
	ErrUndeclared = errors.New("topic is not among the function's outputs")
	// ErrPartitions says that a topic has another number of partitions than its function needs.
	ErrPartitions = errors.New("wrong number of partitions")
	// ErrReserved says that a function set a header that is the framework's own.
	ErrReserved = errors.New(`headers that start with "flows-" are reserved`)
)

// MessageError says which message a function could not be applied to, and why. Nothing was committed from it on.
type MessageError struct {
	Function string
	Position
	// Key is the message's key as read; nil for null.
	Key []byte
	Err error
}

// shownKey is how much of a key an error shows.
const shownKey = 64

func (e *MessageError) Error() string {
	return fmt.Sprintf("topic %s partition %d offset %d key %s: %v", e.Topic, e.Partition, e.Offset, showKey(e.Key), e.Err)
}

func (e *MessageError) Unwrap() error { return e.Err }

func showKey(key []byte) string {
	switch {
	case key == nil:
		return "null"
	case len(key) > shownKey:
		return strconv.Quote(string(key[:shownKey])) + "..."
	default:
		return strconv.Quote(string(key))
	}
}

// PanicError is a panic of a user's function, as an error.
type PanicError struct {
	Value any
	// Stack is the goroutine's stack when it panicked.
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// FunctionError says which function failed.
type FunctionError struct {
	Function string
	Err      error
}

func (e *FunctionError) Error() string { return fmt.Sprintf("function %s: %v", e.Function, e.Err) }

func (e *FunctionError) Unwrap() error { return e.Err }

// DeletedError is ErrDeleted with its numbers.
type DeletedError struct {
	// Position is where the function would go on; Start is the first offset that the log still has.
	Position
	Start int64
}

func (e *DeletedError) Error() string {
	return fmt.Sprintf("topic %s partition %d: %v: %d offsets, from %d to %d; reset the function, or set Options.SkipDeleted to go on without them",
		e.Topic, e.Partition, ErrDeleted, e.Start-e.Offset, e.Offset, e.Start-1)
}

func (e *DeletedError) Unwrap() error { return ErrDeleted }
