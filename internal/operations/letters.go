package operations

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Letter is a dead letter: a message that a function could not be applied to, and why.
type Letter struct {
	// Partition and Offset are where it is in the dead-letter topic.
	Partition int32
	Offset    int64
	// Time is when the message was given up, after so many Attempts.
	Time     time.Time
	Attempts int
	Reason   string
	// Of is the message as it was first read.
	Of runtime.Position
	// Raw is the record, whose key, value, timestamp and own headers are the message's.
	Raw topic.Raw
}

// letterOf reads a record of a dead-letter topic. What its headers do not say stays zero.
func letterOf(partition int32, raw *topic.Raw) Letter {
	text := func(name string) string {
		value, _ := raw.Headers.Last(name)
		return string(value)
	}
	l := Letter{Partition: partition, Offset: raw.Offset, Reason: text(runtime.HeaderReason), Raw: *raw}
	l.Time, _ = time.Parse(time.RFC3339, text(runtime.HeaderTime))
	l.Attempts, _ = strconv.Atoi(text(runtime.HeaderAttempt))
	l.Of.Topic = text(runtime.HeaderTopic)
	number, _ := strconv.ParseInt(text(runtime.HeaderPartition), 10, 32)
	l.Of.Partition = int32(number)
	l.Of.Offset, _ = strconv.ParseInt(text(runtime.HeaderOffset), 10, 64)
	return l
}

// Headers returns the headers that the message had.
func (l *Letter) Headers() (own topic.Headers) {
	for _, h := range l.Raw.Headers {
		if !strings.HasPrefix(h.Key, topic.ReservedHeader) {
			own = append(own, h)
		}
	}
	return own
}

// Place names one dead letter.
type Place struct {
	Partition int32
	Offset    int64
}

func (p Place) String() string { return fmt.Sprintf("%d:%d", p.Partition, p.Offset) }

// ParsePlace reads what Place.String writes.
func ParsePlace(text string) (p Place, err error) {
	partition, offset, found := strings.Cut(text, ":")
	number, err := strconv.ParseInt(partition, 10, 32)
	if err == nil {
		p.Offset, err = strconv.ParseInt(offset, 10, 64)
	}
	if !found || err != nil || number < 0 || p.Offset < 0 {
		return Place{}, fmt.Errorf("%q names no dead letter; one reads PARTITION:OFFSET, such as 0:17", text)
	}
	p.Partition = int32(number)
	return p, nil
}

// Selection says which dead letters are meant: those that every condition holds for. The zero one means all.
type Selection struct {
	// At are their places; none is anywhere.
	At []Place
	// Reason matches their reasons; nil is any.
	Reason *regexp.Regexp
	// Since and Until bound when they were given up, Until exclusively; zero is without a bound.
	Since, Until time.Time
}

// Matches says whether a letter is meant.
func (s *Selection) Matches(l *Letter) bool {
	at := len(s.At) == 0
	for _, place := range s.At {
		at = at || place == Place{l.Partition, l.Offset}
	}
	return at && (s.Reason == nil || s.Reason.MatchString(l.Reason)) &&
		(s.Since.IsZero() || !l.Time.Before(s.Since)) && (s.Until.IsZero() || l.Time.Before(s.Until))
}

// redone is the function that reads a function's dead letters.
func redone(f *runtime.Function, decide func(*topic.Raw, int32) runtime.Decision) *runtime.Function {
	redo := runtime.Redo(f, decide)
	// What fails stays a dead letter, whatever becomes of a message that fails: others are waiting behind it.
	redo.Options.Errors.Permanent, redo.Options.Errors.Spent = runtime.DeadLetter, runtime.DeadLetter
	redo.Parts, redo.Own = nil, nil
	return redo
}

// Letters calls visit with each dead letter of a function that a selection means, in order of partition and offset, and
// returns how many there are in all. A function that never had one has none.
func (o Operator) Letters(ctx context.Context, f *runtime.Function, selection Selection, visit func(*Letter) error) (total int, _ error) {
	positions, err := o.Positions(ctx, redone(f, nil))
	if err != nil {
		return 0, err
	}
	for _, p := range positions {
		from := runtime.Position{TopicPartition: p.TopicPartition, Offset: max(p.Start, p.Next)}
		err := o.read(ctx, from, p.End, func(raw *topic.Raw) error {
			total++
			if letter := letterOf(p.Partition, raw); selection.Matches(&letter) {
				return visit(&letter)
			}
			return nil
		})
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// ErrNoLetter says that there is no such dead letter, or no longer.
var ErrNoLetter = errors.New("no such dead letter; it may have been retried or dropped")

// Letter returns one dead letter.
func (o Operator) Letter(ctx context.Context, f *runtime.Function, at Place) (found *Letter, _ error) {
	done := errors.New("found")
	_, err := o.Letters(ctx, f, Selection{At: []Place{at}}, func(l *Letter) error {
		found = l
		return done
	})
	switch {
	case err != nil && !errors.Is(err, done):
		return nil, err
	case found == nil:
		return nil, fmt.Errorf("%s: %w", at, ErrNoLetter)
	default:
		return found, nil
	}
}

// UnmarshalText reads a place as ParsePlace does.
func (p *Place) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePlace(string(text))
	return err
}
