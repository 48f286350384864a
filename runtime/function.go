package runtime

import (
	"context"
	"slices"
	"time"

	"github.com/kappaflows/flows/topic"
)

// Function is a function of any kind without its types: what the packages stateless, stateful and so on make of their
// configs, and what the engine runs. It is inert data.
type Function struct {
	// Name is unique in an app; it names the consumer group, the checkpoints and the metrics.
	Name string
	// Kind is what people call it, such as "stateless" or "stateful".
	Kind string
	// Inputs are the topics that it reads.
	Inputs []*topic.Spec
	// Outputs are the topics that it may write.
	Outputs []*topic.Spec
	// State describes its state; nil where it has none.
	State *State
	// Tables are the tables of rows that it changes.
	Tables []*RowTable
	// Own are topics that belong to the function and that the engine creates where they are missing.
	Own []OwnTopic
	// Parts are functions that belong to it and run with it: the steps that bring the topics of a join together.
	Parts []*Function
	// Route is how requests come in, where that is in place of Inputs; the engine then does not run the function.
	Route *Route
	// Apply runs the user's function on one message. state is what State.New or State.Decode returned for the
	// message's key, changed in place; nil without State. It may panic: the engine makes an error of it. It may change
	// the input's timestamp: records that have none of their own get it.
	Apply func(ctx context.Context, in *Input, state any) (topic.Records, error)
	// DeadLetter is the topic for messages that it cannot be applied to; nil where its policy has no use for one. Check
	// sets it.
	DeadLetter *topic.Spec
	// Origin is the name of the function that this one does the work of, where its own is another.
	Origin string
	// Options are the knobs every kind has.
	Options Options
}

// origin is the function's name as dead letters have it.
func (f *Function) origin() string {
	if f.Origin != "" {
		return f.Origin
	}
	return f.Name
}

// allOutputs are the topics that the engine may write for the function.
func (f *Function) allOutputs() []*topic.Spec {
	if f.DeadLetter == nil {
		return f.Outputs
	}
	return append(slices.Clip(f.Outputs), f.DeadLetter)
}

// Input is a message on its way into a function.
type Input struct {
	topic.Raw
	Topic     string
	Partition int32
	// Changes are the changes of rows that the function made: it appends them.
	Changes []Change
}

// OwnTopic is a topic that the framework creates by itself.
type OwnTopic struct {
	// Spec describes it. Where it has no number of partitions, it gets as many as the widest of Like.
	Spec *topic.Spec
	// Like are topics whose messages end up in it: it takes larger ones than the one that takes the largest.
	Like []*topic.Spec
	// Retention is what its records are deleted by.
	Retention Retention

	replicas int16
}

// State is how a function's states are kept.
type State struct {
	Table StateTable
	// New returns a pointer to the zero state.
	New func() any
	// Decode returns a pointer to the state that data holds.
	Decode func(data []byte) (any, error)
	// Append appends the encoding of the state that the pointer leads to; zero says that it is the zero state, whose
	// row is deleted.
	Append func(dst []byte, state any) (data []byte, zero bool, err error)
}

// Options are the knobs that functions of every kind have. The zero value of each is a good default.
type Options struct {
	// Delivery is ExactlyOnce unless set. AtLeastOnce is for stateless functions only; they then need no database.
	Delivery Delivery
	// Start is where a partition that was never read begins: at its oldest record unless set.
	Start Start
	// SkipDeleted lets the function go on where the log deleted messages before it read them; else it stops and says
	// how many.
	SkipDeleted bool
	// Errors says what becomes of messages that the function cannot be applied to.
	Errors ErrorPolicy
	// BatchMessages bounds the messages of one batch; 0 is 50,000. A batch is what has arrived, so that it is only large
	// where the function is behind.
	BatchMessages int
	// BatchBytes bounds the input bytes of one batch and, apart from it, the output bytes; 0 is the partition's share of
	// Config.BufferBytes, from 256 KiB to 16 MiB, for inputs, and half of it for outputs.
	BatchBytes int
	// QueueBytes bounds what is read ahead for each partition; 0 is its share, as for BatchBytes.
	QueueBytes int
	// CacheBytes bounds the states that each partition keeps in memory; 0 is its share of Config.CacheBytes, at least 1 MiB.
	CacheBytes int
	// DrainTimeout is how long a partition may take to finish what it has begun when it must let go; 0 is 5 s. A process of
	// flows.Main ends within nine seconds of being told to, whatever this says.
	DrainTimeout time.Duration
}

// Delivery is what a function promises.
type Delivery uint8

const (
	// ExactlyOnce applies every message once and sends every output once, through the store.
	ExactlyOnce Delivery = iota
	// AtLeastOnce may apply a message and send its outputs again after a crash, and needs no store.
	AtLeastOnce
)

func (d Delivery) String() string {
	if d == AtLeastOnce {
		return "at least once"
	}
	return "exactly once"
}

// Start is where a partition that was never read begins.
type Start uint8

const (
	// Oldest begins at the oldest record there is.
	Oldest Start = iota
	// Newest begins behind the newest record there is when the partition is first claimed.
	Newest
)

// Defaults of Options.
const (
	DefaultBatchMessages = 50_000
	DefaultDrainTimeout  = 5 * time.Second
)

// withDefaults returns the options with every zero knob set to its default.
func (o Options) withDefaults() Options {
	setDefault(&o.BatchMessages, DefaultBatchMessages)
	setDefault(&o.DrainTimeout, DefaultDrainTimeout)
	o.Errors = o.Errors.withDefaults()
	return o
}

func setDefault[T ~int | ~int64](knob *T, value T) {
	if *knob == 0 {
		*knob = value
	}
}

// validate reports what is wrong with the options, one line a problem.
func (o Options) validate() (problems []string) {
	for _, knob := range []struct {
		name  string
		value int64
	}{
		{"BatchMessages", int64(o.BatchMessages)},
		{"BatchBytes", int64(o.BatchBytes)},
		{"QueueBytes", int64(o.QueueBytes)},
		{"CacheBytes", int64(o.CacheBytes)},
		{"DrainTimeout", int64(o.DrainTimeout)},
	} {
		if knob.value < 0 {
			problems = append(problems, knob.name+" is negative")
		}
	}
	return append(problems, o.Errors.validate()...)
}
