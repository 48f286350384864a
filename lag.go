package flows

import (
	"context"
	"time"

	"github.com/kappaflows/flows/internal/operations"
	"github.com/kappaflows/flows/runtime"
)

type lagCommand struct {
	Functions []string `arg:"" optional:"" name:"function" help:"Functions to show; without one, all."`
	JSON      bool     `help:"Print one JSON object a line."`
}

// Help is shown by lag --help.
func (*lagCommand) Help() string {
	return `Prints, for each partition that a function reads, its position (the first offset that is not applied yet), the end of the partition, and the difference. A position of "-" means that nothing was ever read.`
}

// lagRow is a row in JSON.
type lagRow struct {
	Function  string     `json:"function"`
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Position  *int64     `json:"position"`
	End       int64      `json:"end"`
	Lag       int64      `json:"lag"`
	Updated   *time.Time `json:"updated"`
	Recreated bool       `json:"recreated,omitempty"`
}

// Run prints a line a partition.
func (c *lagCommand) Run(ctx context.Context, in *Invocation) error {
	functions, err := in.App.lagging(c.Functions)
	if err != nil {
		return err
	}
	return in.operate(ctx, functions, func(o operations.Operator) error {
		if o.Store != nil {
			if err := o.Store.Migrate(ctx, nil); err != nil {
				return err
			}
		}
		rows := newListing(in.Stdout, c.JSON, "FUNCTION", "TOPIC", "PARTITION", "POSITION", "END", "LAG", "UPDATED")
		for _, f := range functions {
			positions, err := o.Positions(ctx, f)
			if err != nil {
				return err
			}
			for _, p := range positions {
				if err := showLag(rows, p); err != nil {
					return err
				}
			}
		}
		return rows.flush()
	})
}

// lagging returns the functions of these names, with those that belong to them; all where there are no names.
func (a *App) lagging(names []string) (functions []*runtime.Function, _ error) {
	if len(names) == 0 {
		all, err := a.compile()
		return withParts(all), err
	}
	for _, name := range names {
		f, err := a.function(name)
		if err != nil {
			return nil, err
		}
		functions = append(append(functions, f), f.Parts...)
	}
	return functions, nil
}

func showLag(rows *listing, p operations.Position) error {
	row := lagRow{
		Function: p.Function, Topic: p.Topic, Partition: p.Partition, End: p.End, Lag: p.Lag, Updated: optionalTime(p.Updated), Recreated: p.Recreated,
	}
	var position any = "-"
	if p.Next != runtime.Never {
		position, row.Position = p.Next, &p.Next
	}
	if p.Recreated {
		position = "of a topic that was deleted"
	}
	return rows.row(row, p.Function, p.Topic, p.Partition, position, p.End, p.Lag, shownTime(p.Updated))
}
