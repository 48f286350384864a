package runtime

import (
	"errors"
	"time"

	"github.com/kappaflows/flows/topic"
)

// ErrorPolicy says what becomes of a message that a function cannot be applied to. While a message is tried again its
// partition waits and is not ready; the others go on. The zero policy is a good default.
type ErrorPolicy struct {
	// Permanent is for messages that fail again however often they are tried: they cannot be decoded, what the function
	// made of them cannot be encoded or is too large, or the error says that it is Permanent. The default is DeadLetter.
	Permanent Action
	// Spent is for messages whose every attempt failed. The default is Stop.
	Spent Action
	// Attempts is how often a message is tried where the error is not permanent; 0 is 10. A panic is such an error.
	Attempts int
	// FirstWait is the wait before the second attempt; it doubles with each further one, up to LongestWait, give or take
	// half. 0 is 100 ms and 10 s. Where FirstWait is longer than LongestWait, every wait is LongestWait.
	FirstWait, LongestWait time.Duration
}

// Action is what is done with a message that a function cannot be applied to.
type Action uint8

const (
	// DefaultAction is the one that the field's comment names.
	DefaultAction Action = iota
	// DeadLetter sends the message, byte for byte and with the reason in headers, to the function's dead-letter topic, in
	// the same transaction as everything else, and goes on.
	DeadLetter
	// Stop ends the function with an error that names the message. Nothing is committed from it on.
	Stop
	// Skip goes on without the message. It is counted and logged.
	Skip
)

func (a Action) String() string {
	return [...]string{"default", "dead letter", "stop", "skip"}[a&3]
}

// Defaults of ErrorPolicy.
const (
	DefaultAttempts    = 10
	DefaultFirstWait   = 100 * time.Millisecond
	DefaultLongestWait = 10 * time.Second
)

// withDefaults returns the policy with every zero knob set to its default.
func (p ErrorPolicy) withDefaults() ErrorPolicy {
	if p.Permanent == DefaultAction {
		p.Permanent = DeadLetter
	}
	if p.Spent == DefaultAction {
		p.Spent = Stop
	}
	setDefault(&p.Attempts, DefaultAttempts)
	setDefault(&p.FirstWait, DefaultFirstWait)
	setDefault(&p.LongestWait, DefaultLongestWait)
	return p
}

func (p ErrorPolicy) validate() (problems []string) {
	if p.Permanent > Skip || p.Spent > Skip {
		problems = append(problems, "Errors: unknown action")
	}
	if p.Attempts < 0 {
		problems = append(problems, "Errors.Attempts is negative")
	}
	if p.FirstWait < 0 || p.LongestWait < 0 {
		problems = append(problems, "Errors: a wait is negative")
	}
	return problems
}

// DeadLetters says whether the policy sends any message to a dead-letter topic.
func (p ErrorPolicy) DeadLetters() bool {
	p = p.withDefaults()
	return p.Permanent == DeadLetter || p.Spent == DeadLetter
}

// Permanent marks an error as one that trying again does not help: the message is bad, not the moment. Nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

type permanentError struct{ error }

func (e permanentError) Unwrap() error   { return e.error }
func (e permanentError) Permanent() bool { return true }

// IsPermanent says whether an error, or one that it wraps, says of itself that it is permanent, with a method
// Permanent() bool, or is a *topic.DecodeError.
func IsPermanent(err error) bool {
	var says interface{ Permanent() bool }
	if errors.As(err, &says) {
		return says.Permanent()
	}
	var undecodable *topic.DecodeError
	return errors.As(err, &undecodable)
}

// broken says that an error is the program's: every message would fail alike, so that none is to blame.
func broken(err error) bool {
	return errors.Is(err, ErrUndeclared) || errors.Is(err, ErrUndeclaredTable) || errors.Is(err, ErrReserved)
}
