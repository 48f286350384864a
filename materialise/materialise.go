// Package materialise makes functions that keep tables of rows, for people and programs to query.
//
// A function maps each message to changes of typed tables; what a topic is to a record, a Table is to a change. Rows
// and the function's position are written in one transaction, so the tables are exactly what the messages so far have
// made of them. The function itself remembers nothing and reads no rows: what depends on earlier messages is a stateful
// function's or a join's, before it. Which columns a row has and how it gets into the database is the driver's matter.
package materialise

import (
	"context"
	"fmt"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Kind is what people call the functions of this package.
const Kind = "materialise"

// Options are the knobs that functions of every kind have. Delivery can only be runtime.ExactlyOnce here.
type Options = runtime.Options

// Config is a function that keeps tables, whose input has keys of K and values of V.
type Config[K, V any] struct {
	// Name is unique in the app; it names the consumer group, the checkpoints and the metrics. It takes the characters of
	// a topic's name, 200 at most.
	Name string
	// Input is the topic that it reads.
	Input *topic.Topic[K, V]
	// Tables are the tables that it may change; the app creates those that are missing. A change of another table is an
	// error that stops the function.
	Tables Tables
	// Function is called with each message, tombstones too, in the order of its partition, and returns what is to be
	// changed, in order. The headers are only valid during the call; key and value may be kept, unless their format is
	// format.Borrowed. The rows must not be changed after it. An error means that the message could not be handled: none of
	// its changes is made then. A row that the database refuses is such an error, one that trying again does not help.
	//
	// Two partitions may change one row, in either order, where the row's primary key is not the message's key.
	Function func(ctx context.Context, in topic.Message[K, V]) (Changes, error)
	Options
}

// Compile checks the config and makes the function that the engine runs. The error is a *runtime.ConfigError with
// everything that is wrong.
func (c Config[K, V]) Compile() (*runtime.Function, error) {
	f := &runtime.Function{Name: c.Name, Kind: Kind, Options: c.Options, Inputs: []*topic.Spec{c.Input.Spec()}}
	if err := f.Check(c.problems()...); err != nil {
		return nil, err
	}
	f.Tables = c.Tables.rows()
	f.Apply = c.applier(f.Tables)
	return f, nil
}

func (c Config[K, V]) problems() (problems []runtime.Problem) {
	add := func(field, message string) {
		problems = append(problems, runtime.Problem{Field: field, Message: message})
	}
	for _, message := range c.Tables.problems() {
		add("Tables", message)
	}
	if c.Function == nil {
		add("Function", "a function needs one")
	}
	if c.Delivery != runtime.ExactlyOnce {
		add("Delivery", "only exactly once: rows and position are one transaction; at least once is for stateless functions")
	}
	return problems
}

// applier returns what the engine calls with each message.
func (c Config[K, V]) applier(declared []*runtime.RowTable) func(context.Context, *runtime.Input, any) (topic.Records, error) {
	input, call := c.Input, c.Function
	return func(ctx context.Context, in *runtime.Input, _ any) (topic.Records, error) {
		m, err := input.Decode(&in.Raw, in.Partition)
		if err != nil {
			return nil, err
		}
		changes, err := call(ctx, m)
		if err != nil {
			return nil, err
		}
		for _, change := range changes {
			if change.Table, err = declaration(change, declared); err != nil {
				return nil, err
			}
			in.Changes = append(in.Changes, change)
		}
		return nil, nil
	}
}

// declaration returns the declared table that a change is of.
func declaration(change runtime.Change, declared []*runtime.RowTable) (*runtime.RowTable, error) {
	if change.Table == nil || change.Row == nil {
		return nil, fmt.Errorf("the zero Change, which no table made: %w", runtime.ErrUndeclaredTable)
	}
	for _, table := range declared {
		if table == change.Table || table.Model == change.Table.Model {
			return table, nil
		}
	}
	return nil, fmt.Errorf("change of the table of %v: %w", change.Table.Model, runtime.ErrUndeclaredTable)
}
