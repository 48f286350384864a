package oracle

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// letterSuffix ends the name of the topic of a function's dead letters.
	letterSuffix = ".dead-letter"
	// ownPrefix begins the names of the headers that say of a dead letter what it is. No other header begins so.
	ownPrefix = "flows-"
)

// Letters judges dead letters: each message that a function can't be applied to must be one, once and byte for byte, and
// nothing else.
type Letters struct{ copies Copying }

// Input tells of a message that a function can't be applied to.
func (l *Letters) Input(function string, r *kgo.Record) {
	l.copies.Input(letter(function, place(r.Topic, r.Partition, r.Offset), r))
}

// Output tells of a dead letter, which has to say where it comes from.
func (l *Letters) Output(r *kgo.Record) {
	function := strings.TrimSuffix(r.Topic, letterSuffix)
	text := letter(function, place(header(r, ownPrefix+"topic"), header(r, ownPrefix+"partition"), header(r, ownPrefix+"offset")), r)
	if said := header(r, ownPrefix+"function"); said != function {
		text += fmt.Sprintf(" as if of %q", said)
	}
	if header(r, ownPrefix+"reason") == "" {
		text += " without a reason"
	}
	l.copies.Output(text)
}

// Report says what is wrong, once everything is told.
func (l *Letters) Report() Report { return l.copies.Report() }

// letters tells of all dead letters of functions.
func (o Oracle) letters(ctx context.Context, judge *Letters, places *Placing, functions ...string) error {
	for _, function := range functions {
		if err := o.written(ctx, function+letterSuffix, places, judge.Output); err != nil {
			return err
		}
	}
	return nil
}

// place is where a message is or says that it comes from: its partition and offset are numbers or the text of a header.
func place(topic string, partition, offset any) string {
	return fmt.Sprintf("%s/%v/%v", topic, partition, offset)
}

// letter is all that a dead letter must keep of a message.
func letter(function, place string, r *kgo.Record) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s of %s: %s %s at %d", function, place, quoted(r.Key), quoted(r.Value), r.Timestamp.UnixMilli())
	for _, h := range r.Headers {
		if !strings.HasPrefix(h.Key, ownPrefix) {
			fmt.Fprintf(&text, " %q=%s", h.Key, quoted(h.Value))
		}
	}
	return text.String()
}

// quoted shows bytes, of which none is not the same as empty.
func quoted(data []byte) string {
	if data == nil {
		return "null"
	}
	return strconv.Quote(string(data))
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
