// Package stateless makes functions that look at one message at a time: split, map, filter, branch, merge.
//
// Config is the general form. Map, Filter, Explode, Branch, Merge and Mirror are the usual functions in one line. All of
// them are inert values: nothing is checked or connected before Compile, which the app calls. A function that keeps
// something from one message to the next is stateful's; this package keeps nothing.
package stateless

import (
	"context"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Kind is what people call the functions of this package.
const Kind = "stateless"

// Options are the knobs that functions of every kind have.
type Options = runtime.Options

// Config is a stateless function whose input has keys of K and values of V.
type Config[K, V any] struct {
	// Name is unique in the app; it names the consumer group, the checkpoints and the metrics. It takes the characters of
	// a topic's name, 200 at most.
	Name string
	// Input is the topic that it reads.
	Input *topic.Topic[K, V]
	// Outputs are the topics that it may write. A record for another topic is an error.
	Outputs topic.List
	// Function is called with each message, in the order of its partition, and returns what is to be written. The headers are
	// only valid during the call; key and value may be kept, unless their format is format.Borrowed. An error means that the
	// message could not be handled: none of the records is written then.
	Function func(ctx context.Context, in topic.Message[K, V]) (topic.Records, error)
	Options
}

// Compile checks the config and makes the function that the engine runs. The error is a *runtime.ConfigError with
// everything that is wrong.
func (c Config[K, V]) Compile() (*runtime.Function, error) {
	f := Function{name: c.Name, inputs: []*topic.Spec{c.Input.Spec()}, outputs: c.Outputs.Specs(), options: c.Options}
	if c.Function == nil {
		f.problem("Function", "a function needs one")
	}
	f.apply = typed(c.Input, c.Function)
	return f.Compile()
}

// typed is a function of messages as a function of bytes. A *topic.DecodeError is returned as it is: the engine knows
// where the message was.
func typed[K, V any](
	input *topic.Topic[K, V], call func(context.Context, topic.Message[K, V]) (topic.Records, error),
) apply {
	return func(ctx context.Context, in *runtime.Input) (topic.Records, error) {
		m, err := input.Decode(&in.Raw, in.Partition)
		if err != nil {
			return nil, err
		}
		return call(ctx, m)
	}
}

// apply is what a function of this package does with a message.
type apply func(ctx context.Context, in *runtime.Input) (topic.Records, error)

// Function is a stateless function that one of the helpers made. Its zero value is not one.
type Function struct {
	name     string
	inputs   []*topic.Spec
	outputs  []*topic.Spec
	apply    apply
	options  Options
	problems []runtime.Problem
}

// With returns the function with these options.
func (f Function) With(options Options) Function {
	f.options = options
	return f
}

// Compile checks the function and makes what the engine runs. The error is a *runtime.ConfigError with everything that
// is wrong.
func (f Function) Compile() (*runtime.Function, error) {
	if f.apply == nil {
		f.problem("Function", "make one with a helper of this package")
	}
	compiled := &runtime.Function{
		Name: f.name, Kind: Kind, Inputs: f.inputs, Outputs: f.outputs, Options: f.options,
		Apply: func(ctx context.Context, in *runtime.Input, _ any) (topic.Records, error) { return f.apply(ctx, in) },
	}
	if err := compiled.Check(f.problems...); err != nil {
		return nil, err
	}
	return compiled, nil
}

func (f *Function) problem(field, message string) {
	f.problems = append(f.problems, runtime.Problem{Field: field, Message: message})
}
