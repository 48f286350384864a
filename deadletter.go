package flows

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/kappaflows/flows/internal/operations"
	"github.com/kappaflows/flows/runtime"
)

type deadLetterCommand struct {
	List  letterListCommand  `cmd:"" help:"List the dead letters of a function."`
	Show  letterShowCommand  `cmd:"" help:"Print one dead letter: why, from where, headers, key and value."`
	Retry letterRetryCommand `cmd:"" help:"Apply the function to dead letters again, exactly once each."`
	Drop  letterDropCommand  `cmd:"" help:"Forget dead letters."`
}

// letterFilter chooses dead letters.
type letterFilter struct {
	Offset []operations.Place `placeholder:"PARTITION:OFFSET" help:"Only the one at this place of the dead-letter topic. May be given many times."`
	Reason *regexp.Regexp     `placeholder:"REGEXP" help:"Only those whose reason matches."`
	Since  moment             `placeholder:"TIME" help:"Only those that were given up at this time (RFC 3339) or so long ago (90m), or later."`
	Until  moment             `placeholder:"TIME" help:"Only those that were given up before this time."`
}

func (f *letterFilter) selection() operations.Selection {
	return operations.Selection{At: f.Offset, Reason: f.Reason, Since: f.Since.Time, Until: f.Until.Time}
}

func (f *letterFilter) empty() bool {
	return len(f.Offset) == 0 && f.Reason == nil && f.Since.IsZero() && f.Until.IsZero()
}

// letterRow is a dead letter in JSON.
type letterRow struct {
	Partition         int32        `json:"partition"`
	Offset            int64        `json:"offset"`
	Time              *time.Time   `json:"time"`
	Attempts          int          `json:"attempts"`
	Reason            string       `json:"reason"`
	OriginalTopic     string       `json:"original_topic"`
	OriginalPartition int32        `json:"original_partition"`
	OriginalOffset    int64        `json:"original_offset"`
	Timestamp         time.Time    `json:"timestamp"`
	Key               *bytesJSON   `json:"key"`
	Value             *bytesJSON   `json:"value"`
	Headers           []headerJSON `json:"headers"`
}

type headerJSON struct {
	Name  string     `json:"name"`
	Value *bytesJSON `json:"value"`
}

func newLetterRow(l *operations.Letter) letterRow {
	row := letterRow{
		Partition: l.Partition, Offset: l.Offset, Time: optionalTime(l.Time), Attempts: l.Attempts, Reason: l.Reason,
		OriginalTopic: l.Of.Topic, OriginalPartition: l.Of.Partition, OriginalOffset: l.Of.Offset,
		Timestamp: l.Raw.Timestamp.UTC(), Key: newBytesJSON(l.Raw.Key), Value: newBytesJSON(l.Raw.Value), Headers: []headerJSON{},
	}
	for _, h := range l.Headers() {
		row.Headers = append(row.Headers, headerJSON{h.Key, newBytesJSON(h.Value)})
	}
	return row
}

type letterListCommand struct {
	Function string `arg:"" help:"Function whose dead letters to list."`
	letterFilter
	JSON bool `help:"Print one JSON object a line, with everything that is known."`
}

// Run prints a line a dead letter.
func (c *letterListCommand) Run(ctx context.Context, in *Invocation) error {
	return in.operateOn(ctx, c.Function, func(o operations.Operator, f *runtime.Function) error {
		rows := newListing(in.Stdout, c.JSON, "PLACE", "TIME", "ATTEMPTS", "MESSAGE", "KEY", "REASON")
		_, err := o.Letters(ctx, f, c.selection(), func(l *operations.Letter) error {
			return rows.row(newLetterRow(l), place(l), shownTime(l.Time), l.Attempts, original(l), shownBytes(l.Raw.Key), printable(l.Reason))
		})
		if flushing := rows.flush(); err == nil {
			err = flushing
		}
		return err
	})
}

func place(l *operations.Letter) operations.Place {
	return operations.Place{Partition: l.Partition, Offset: l.Offset}
}

func original(l *operations.Letter) string {
	return fmt.Sprintf("%s:%d=%d", l.Of.Topic, l.Of.Partition, l.Of.Offset)
}

type letterShowCommand struct {
	Function string           `arg:"" help:"Function whose dead letter to print."`
	Place    operations.Place `arg:"" help:"Where it is in the dead-letter topic, as PARTITION:OFFSET; dead-letter list prints it."`
	JSON     bool             `help:"Print a JSON object."`
}

// Run prints the dead letter.
func (c *letterShowCommand) Run(ctx context.Context, in *Invocation) error {
	return in.operateOn(ctx, c.Function, func(o operations.Operator, f *runtime.Function) error {
		letter, err := o.Letter(ctx, f, c.Place)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return newListing(in.Stdout, true).row(newLetterRow(letter))
		default:
			return showLetter(in.Stdout, letter)
		}
	})
}

func showLetter(out io.Writer, l *operations.Letter) error {
	_, _ = fmt.Fprintf(out, "reason: %s\ngiven up: %s, after %d attempts\nmessage: %s, of %s\n",
		printable(l.Reason), shownTime(l.Time), l.Attempts, original(l), shownTime(l.Raw.Timestamp))
	for _, h := range l.Headers() {
		_, _ = fmt.Fprintf(out, "header %s: %s\n", printable(h.Key), shownBytes(h.Value))
	}
	_, err := fmt.Fprintf(out, "key: %s\nvalue: %s\n", shownBytes(l.Raw.Key), shownBytes(l.Raw.Value))
	return err
}

// letterChoice is a filter that must be meant: all of them only where that is said.
type letterChoice struct {
	letterFilter
	All bool `help:"All dead letters."`
	Yes bool `help:"Do it without asking."`
}

// Validate refuses to guess.
func (c *letterChoice) check() error {
	if c.All != c.empty() {
		return usagef("say which dead letters: --all, or some of --offset, --reason, --since and --until")
	}
	return nil
}

type letterRetryCommand struct {
	Function string `arg:"" help:"Function to apply again."`
	letterChoice
}

// Help is shown by dead-letter retry --help.
func (*letterRetryCommand) Help() string {
	return `Each chosen message is applied once more, with the same guarantee as any message: its outputs and its state are there once, or it is a dead letter again. The function may run meanwhile. Dead letters in front of a chosen one that are not chosen themselves go to the end of their topic, unchanged. It may be interrupted at any point and run again.`
}

// Run tries again what was chosen.
func (c *letterRetryCommand) Run(ctx context.Context, in *Invocation) error {
	return in.redo(ctx, c.Function, &c.letterChoice, runtime.Retry, func(plan *operations.Redoing, done operations.Redone) string {
		return fmt.Sprintf("%s tried again: %d done, %d dead again", operations.Count(plan.Chosen, "dead letter"), plan.Chosen-done.DeadAgain, done.DeadAgain)
	})
}

type letterDropCommand struct {
	Function string `arg:"" help:"Function whose dead letters to forget."`
	letterChoice
}

// Run drops what was chosen.
func (c *letterDropCommand) Run(ctx context.Context, in *Invocation) error {
	return in.redo(ctx, c.Function, &c.letterChoice, runtime.Drop, func(plan *operations.Redoing, _ operations.Redone) string {
		return operations.Count(plan.Chosen, "dead letter") + " dropped"
	})
}

// redo asks, and does with the chosen dead letters of a function what is decided.
func (in *Invocation) redo(ctx context.Context, function string, choice *letterChoice, decision runtime.Decision,
	report func(*operations.Redoing, operations.Redone) string,
) error {
	if err := choice.check(); err != nil {
		return err
	}
	return in.operateOn(ctx, function, func(o operations.Operator, f *runtime.Function) error {
		plan, err := o.PlanRedo(ctx, f, choice.selection(), decision)
		if err != nil {
			return err
		}
		if plan.Chosen == 0 {
			_, err := fmt.Fprintf(in.Stdout, "none of %s is chosen\n", operations.Count(plan.Total, "dead letter"))
			return err
		}
		if err := in.confirm(ctx, plan.String(), choice.Yes); err != nil {
			return err
		}
		done, err := o.Redo(ctx, plan)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(in.Stdout, report(plan, done))
		return err
	})
}
