// Package stateful makes functions that remember something for each key.
//
// A function gets the state of its message's key and returns the new one. States are kept in a database table of the
// function's own, in the same transaction as its position, so they are exactly what the messages so far have made of
// them. Only messages that have a key can have a state. The package makes functions for the engine; where states live
// and how they are cached is the engine's matter and the drivers'.
package stateful

import (
	"context"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Kind is what people call the functions of this package.
const Kind = "stateful"

// Options are the knobs that functions of every kind have. Delivery can only be runtime.ExactlyOnce here.
type Options = runtime.Options

// Config is a stateful function whose input has keys of K and values of V, and which keeps an S for each key.
type Config[K, V, S any] struct {
	// Name is unique in the app; it names the consumer group, the checkpoints and the metrics. It takes the characters of
	// a topic's name, 200 at most.
	Name string
	// Input is the topic that it reads.
	Input *topic.Topic[K, V]
	// Outputs are the topics that it may write. A record for another topic is an error.
	Outputs topic.List
	// State is how the states are kept: as jsonb where it is format.JSON, so that people can query them, else as bytes.
	State format.Format[S]
	// Table is the table of the states, with or without a schema. Unset, it is the function's name in small letters with
	// '_' for '-' and '.'. The app creates it; it belongs to this function alone.
	Table string
	// Function is called with each message, in the order of its partition, and its key's state. It returns the state from
	// now on and what is to be written.
	//
	// A key never seen has the zero state, and returning the zero state deletes the key's row: absent and zero are one
	// thing. Zero is S's zero value, or what an IsZero method of S says. The headers are only valid during the
	// call; key and value may be kept. An error means that the message could not be handled: the state stays as it was and no
	// record is written. For that, a function that can fail must not change in place what a state points to: maps, slices,
	// pointers.
	//
	// Where several partitions have messages of one key, it may be called while the rows of its keys are locked, and must then
	// return within ten seconds: a database ends a transaction that is quiet for longer, and the batch is tried again.
	Function func(ctx context.Context, in topic.Message[K, V], state S) (S, topic.Records, error)
	Options
}

// Compile checks the config and makes the function that the engine runs. The error is a *runtime.ConfigError with
// everything that is wrong.
func (c Config[K, V, S]) Compile() (*runtime.Function, error) {
	f := &runtime.Function{
		Name: c.Name, Kind: Kind, Options: c.Options,
		Inputs: []*topic.Spec{c.Input.Spec()}, Outputs: c.Outputs.Specs(),
	}
	if err := f.Check(c.problems()...); err != nil {
		return nil, err
	}
	table := c.Table
	if table == "" {
		table = tableOf(c.Name)
	}
	keys := c.Input.Spec().KeyKind
	f.State = stateOf(runtime.StateTable{Name: table, Key: keys, State: c.State.Kind()}, c.State)
	f.Apply = c.applier(keys)
	return f, nil
}

func (c Config[K, V, S]) problems() (problems []runtime.Problem) {
	add := func(field, message string) {
		problems = append(problems, runtime.Problem{Field: field, Message: message})
	}
	if c.Input != nil && any(c.Input.KeyFormat()) == any(format.None()) {
		add("Input", "topic \""+c.Input.Spec().Name+"\" has no keys, and a state belongs to a key")
	}
	if spec := c.Input.Spec(); spec != nil && spec.Borrowed {
		add("Input", "topic \""+spec.Name+"\" has a borrowed format, and a state would keep what is borrowed: read it as bytes")
	}
	switch {
	case c.State == nil:
		add("State", "a stateful function needs a format for its states")
	case format.BorrowOf(c.State) != nil:
		add("State", "a state can't be borrowed: keep it as bytes")
	}
	if c.Table != "" {
		if message := checkTable(c.Table); message != "" {
			add("Table", message)
		}
	} else if message := checkTable(tableOf(c.Name)); message != "" && topic.ValidateName(c.Name) == nil {
		add("Table", "must be set, as the name gives none: "+message)
	}
	if c.Function == nil {
		add("Function", "a function needs one")
	}
	if c.Delivery != runtime.ExactlyOnce {
		add("Delivery", "only exactly once: states and position are one transaction; at least once is for stateless functions")
	}
	return problems
}

// applier returns what the engine calls with each message and the *S of its key.
func (c Config[K, V, S]) applier(keys format.Kind) func(context.Context, *runtime.Input, any) (topic.Records, error) {
	input, call := c.Input, c.Function
	return func(ctx context.Context, in *runtime.Input, state any) (topic.Records, error) {
		if err := checkKey(in.Key, keys); err != nil {
			return nil, err
		}
		m, err := input.Decode(&in.Raw, in.Partition)
		if err != nil {
			return nil, err
		}
		current := state.(*S)
		next, records, err := call(ctx, m, *current)
		if err != nil {
			return nil, err
		}
		*current = next
		return records, nil
	}
}
