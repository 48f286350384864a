package flows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/kappaflows/flows/internal/operations"
	"github.com/kappaflows/flows/runtime"
)

type resetCommand struct {
	Function      string     `arg:"" help:"Function to take back. All processes that run it must be stopped."`
	ToOffset      []position `placeholder:"TOPIC:PARTITION=OFFSET" help:"Go on at this offset; the other partitions stay where they are. May be given many times."`
	ToTime        moment     `placeholder:"TIME" help:"Go on at the first messages of this time (RFC 3339) or of so long ago (90m)."`
	KeepState     bool       `help:"Leave the states as they are; without it all states of the function are deleted."`
	ForgetOutputs bool       `help:"With --keep-state: give up outputs that may not have been sent, in place of sending them at the next start."`
	Yes           bool       `help:"Do it without asking."`
}

// Help is shown by reset --help.
func (*resetCommand) Help() string {
	return `Makes the function begin again as if it had never run: its states are deleted, and it reads its topics from where a new function does. Or, with --to-offset or --to-time, moves its position. What it has sent stays in its output topics, and what it has written to tables of rows stays there: it will send and write again.`
}

// Validate refuses two targets at once.
func (c *resetCommand) Validate() error {
	switch {
	case len(c.ToOffset) > 0 && !c.ToTime.IsZero():
		return errors.New("--to-offset and --to-time can't be used together")
	case c.ForgetOutputs && !c.KeepState:
		return errors.New("--forget-outputs goes with --keep-state; without it outputs are forgotten anyhow")
	}
	return nil
}

// position is a position on the command line.
type position struct{ runtime.Position }

// UnmarshalText reads TOPIC:PARTITION=OFFSET.
func (p *position) UnmarshalText(text []byte) error {
	topic, rest, _ := strings.Cut(string(text), ":")
	partition, offset, _ := strings.Cut(rest, "=")
	number, err := strconv.ParseInt(partition, 10, 32)
	if err == nil {
		p.Offset, err = strconv.ParseInt(offset, 10, 64)
	}
	if err != nil || topic == "" || number < 0 || p.Offset < 0 {
		return fmt.Errorf("%q is no position; one reads TOPIC:PARTITION=OFFSET, such as words:0=17", text)
	}
	p.Topic, p.Partition = topic, int32(number)
	return nil
}

// Run says what it is about to do, asks, and does it.
func (c *resetCommand) Run(ctx context.Context, in *Invocation) error {
	return in.operateOn(ctx, c.Function, func(o operations.Operator, f *runtime.Function) error {
		if err := o.CheckStopped(ctx, f); err != nil {
			return err
		}
		plan, err := o.PlanReset(ctx, f, c.target())
		if err != nil {
			return err
		}
		if err := showMoves(in.Stderr, plan); err != nil {
			return err
		}
		if err := in.confirm(ctx, describeReset(plan), c.Yes); err != nil {
			return err
		}
		if err := o.Reset(ctx, plan); err != nil {
			return err
		}
		_, err = fmt.Fprintf(in.Stdout, "function %s is reset\n", f.Name)
		return err
	})
}

func (c *resetCommand) target() operations.Target {
	target := operations.Target{Time: c.ToTime.Time, KeepState: c.KeepState, ForgetOutputs: c.ForgetOutputs}
	for _, p := range c.ToOffset {
		if target.Offsets == nil {
			target.Offsets = map[runtime.TopicPartition]int64{}
		}
		target.Offsets[p.TopicPartition] = p.Offset
	}
	return target
}

func showMoves(out io.Writer, plan *operations.Resetting) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "TOPIC\tPARTITION\tFROM\tTO")
	for _, move := range plan.Moves {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", move.Topic, move.Partition, shownPosition(move.From), shownPosition(move.To))
	}
	return table.Flush()
}

func shownPosition(offset int64) string {
	if offset == runtime.Never {
		return "never read"
	}
	return strconv.FormatInt(offset, 10)
}

// describeReset says in one sentence what is about to happen.
func describeReset(plan *operations.Resetting) string {
	text := fmt.Sprintf("move %s of function %s", operations.Count(len(plan.Moves), "position"), plan.Function.Name)
	if plan.Table != "" {
		text += " and delete all states in table " + plan.Table
	}
	switch {
	case plan.Unsent > 0 && plan.KeepOutputs:
		text += "; outputs that may not have been sent are sent at the next start"
	case plan.Unsent > 0:
		text += "; outputs that may not have been sent are given up"
	}
	return text
}
