package flows

import (
	"context"
	"errors"
	"fmt"

	"github.com/kappaflows/flows/internal/operations"
	"github.com/kappaflows/flows/runtime"
)

type stateCommand struct {
	Get  stateGetCommand  `cmd:"" help:"Print the state of one key."`
	List stateListCommand `cmd:"" help:"Print the states of keys, in order."`
}

type stateGetCommand struct {
	Function string `arg:"" help:"Function whose state to print."`
	Key      string `arg:"" help:"Key; one that is not text reads 0x and hexadecimal digits."`
}

// Run prints the state.
func (c *stateGetCommand) Run(ctx context.Context, in *Invocation) error {
	return in.operateOn(ctx, c.Function, func(o operations.Operator, f *runtime.Function) error {
		state, err := o.State(ctx, f, c.Key)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(in.Stdout, printable(state.State))
		return err
	})
}

type stateListCommand struct {
	Function string `arg:"" help:"Function whose states to print."`
	Prefix   string `placeholder:"TEXT" help:"Only keys that begin with it."`
	Limit    int    `default:"100" help:"Most states to print; 0 is all."`
	JSON     bool   `help:"Print one JSON object a line."`
}

// Validate refuses a limit that makes no sense.
func (c *stateListCommand) Validate() error {
	if c.Limit < 0 {
		return errors.New("--limit takes 0 or more")
	}
	return nil
}

// stateRow is a row in JSON.
type stateRow struct {
	Key     string `json:"key"`
	State   string `json:"state"`
	Version int64  `json:"version"`
}

// Run prints the states.
func (c *stateListCommand) Run(ctx context.Context, in *Invocation) error {
	return in.operateOn(ctx, c.Function, func(o operations.Operator, f *runtime.Function) error {
		rows := newListing(in.Stdout, c.JSON, "KEY", "STATE")
		err := o.States(ctx, f, c.Prefix, c.Limit, func(s operations.State) error {
			return rows.row(stateRow{s.Key, s.State, s.Version}, printable(s.Key), printable(s.State))
		})
		if flushing := rows.flush(); err == nil {
			err = flushing
		}
		return err
	})
}
