// Package join makes functions that bring messages of several topics together by a key.
//
// A join keeps a state for each key, as a stateful function does. Each of its sides is a topic, with the way from one of
// its messages to the key, and a function that folds the message into the state. All sides go through one intermediate
// topic, which has the join's key and so brings together what belongs together, whatever the keys and the partitions
// of the sides are. Config is the general form; Inner, Left, Outer and Enrich are the usual joins in one line.
//
// A join is a stateless function for each side and one stateful function over the intermediate topic: each is exactly
// once by itself, so the whole is. Messages of one partition of one side stay in order for each key; those of several
// sides come together in the order in which they arrive, which no join waits to change.
package join

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/topic"
)

// Kind is what people call the functions of this package.
const Kind = "join"

// Options are the knobs that functions of every kind have; they go for the join and for each of its sides. Delivery can
// only be runtime.ExactlyOnce here. Start is where the sides begin.
type Options = runtime.Options

// Config is a join by keys of K, which keeps an S for each key.
type Config[K, S any] struct {
	// Name is unique in the app; it names the consumer group, the checkpoints and the metrics, and with the topic of a
	// side behind a '.' those of the side. It takes the characters of a topic's name.
	Name string
	// Key is the format of the join's keys. Equal keys must have equal bytes.
	Key format.Format[K]
	// State is how the states are kept: as jsonb where it is format.JSON, so that people can query them, else as bytes.
	State format.Format[S]
	// Table is the table of the states, with or without a schema. Unset, it is the join's name in small letters with '_'
	// for '-' and '.'. The app creates it; it belongs to this join alone.
	Table string
	// Outputs are the topics that the sides' functions may write. A record for another topic is an error.
	Outputs topic.List
	// Sides are the topics that are joined; From makes one. A topic may have two sides; then their order among each other
	// must stay as it is from one release of the program to the next, as long as messages are under way.
	Sides []Side[K, S]
	// Intermediate is the name of the topic that all sides go through; unset, "<Name>.intermediate". The app creates it; it
	// belongs to this join alone.
	Intermediate string
	// IntermediatePartitions is how many partitions it has; 0 is as many as the widest side. It cannot change while
	// states are kept.
	IntermediatePartitions int32
	Options
}

// ErrUnknownSide says that a message came through the intermediate topic for a side that the join does not have: another
// release of the program, with other sides, sent it.
var ErrUnknownSide = errors.New("the join has no such side; another release of the program sent the message")

// Compile checks the config and makes the function that the engine runs, with one part for each side. The error is a
// *runtime.ConfigError with everything that is wrong.
func (c Config[K, S]) Compile() (*runtime.Function, error) {
	ids := c.sideIDs()
	intermediate := c.intermediate(ids)
	// Its records have the timestamps of the sides' messages inside, so that old ones are not deleted on arrival.
	own := runtime.OwnTopic{Spec: intermediate.Spec(), Like: c.topics(), Retention: runtime.ByArrival}
	problems := c.problems()
	f, err := c.fold(ids, intermediate)
	problems = append(problems, c.foldProblems(err)...)
	parts := make([]*runtime.Function, len(c.Sides))
	for i, side := range c.Sides {
		parts[i], err = c.part(side, ids[i], intermediate, own)
		problems = append(problems, c.sideProblems(err, ids[i])...)
	}
	if len(problems) > 0 {
		return nil, &runtime.ConfigError{Function: c.Name, Kind: Kind, Problems: problems}
	}
	f.Kind, f.Own, f.Parts, f.Apply = Kind, []runtime.OwnTopic{own}, parts, timed(f.Apply)
	return f, nil
}

// intermediateSuffix ends the name of an intermediate topic that has none of its own.
const intermediateSuffix = ".intermediate"

func (c Config[K, S]) intermediate(ids []string) *topic.Topic[K, envelope] {
	name := c.Intermediate
	if name == "" {
		name = c.Name + intermediateSuffix
	}
	known := make(map[string]string)
	for i, side := range c.Sides {
		known[ids[i]] = ids[i]
		known[side.topicName()] = side.topicName()
	}
	return topic.New(name, c.Key, format.Format[envelope](envelopes{names: known}), topic.Partitions(c.IntermediatePartitions))
}

// topics are those of the sides, each once.
func (c Config[K, S]) topics() (specs []*topic.Spec) {
	seen := map[string]bool{}
	for _, side := range c.Sides {
		if side.topic != nil && !seen[side.topic.Name] {
			seen[side.topic.Name] = true
			specs = append(specs, side.topic)
		}
	}
	return specs
}

// fold is the stateful function over the intermediate topic.
func (c Config[K, S]) fold(ids []string, intermediate *topic.Topic[K, envelope]) (*runtime.Function, error) {
	options := c.Options
	// What the sides have sent is for the join, from the first message on.
	options.Start = runtime.Oldest
	return stateful.Config[K, envelope, S]{
		Name: c.Name, Input: intermediate, Outputs: c.Outputs, State: c.State, Table: c.Table, Options: options,
		Function: c.dispatch(ids),
	}.Compile()
}

// timed gives the outputs of a fold the timestamp of the message that is in the envelope.
func timed(
	fold func(context.Context, *runtime.Input, any) (topic.Records, error),
) func(context.Context, *runtime.Input, any) (topic.Records, error) {
	return func(ctx context.Context, in *runtime.Input, state any) (topic.Records, error) {
		records, err := fold(ctx, in, state)
		if err == nil {
			in.Timestamp = time.UnixMilli(timestampOf(in.Value))
		}
		return records, err
	}
}

// dispatch returns what unwraps a message and hands it to the function of its side.
func (c Config[K, S]) dispatch(ids []string) func(context.Context, topic.Message[K, envelope], S) (S, topic.Records, error) {
	sides := make(map[string]folder[K, S], len(ids))
	for i, side := range c.Sides {
		sides[ids[i]] = side.fold
	}
	return func(ctx context.Context, m topic.Message[K, envelope], state S) (S, topic.Records, error) {
		fold := sides[m.Value.side]
		if fold == nil || m.Tombstone {
			return state, nil, runtime.Permanent(fmt.Errorf("side %q: %w", m.Value.side, ErrUnknownSide))
		}
		return fold(ctx, m.Key, m.Value, state)
	}
}
