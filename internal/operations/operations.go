// Package operations is what people do to functions from outside: look at their positions, states and dead letters, try
// dead letters again, take a function back. It works on the ports of package runtime and on nothing else.
//
// It asks nobody and prints nothing: what is to be confirmed comes first, as data, and is then done. The command line
// does the asking and the printing.
package operations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Operator does the operations. Store may be nil where the functions in question need none.
type Operator struct {
	Log    runtime.Log
	Store  runtime.Store
	Logger *slog.Logger
}

// Errors of operations.
var (
	// ErrNoStore says that an operation needs a store that there is not.
	ErrNoStore = errors.New("the function keeps nothing in a store")
	// ErrNotSupported says that the log or the store can't do what an operation needs.
	ErrNotSupported = errors.New("the log or the store can't do this")
	// ErrRunning says that a function must be stopped first.
	ErrRunning = errors.New("the function is running; stop all of its processes first")
)

// Position is where a function is in a partition.
type Position struct {
	Function string
	runtime.TopicPartition
	// Next is the first offset that is not applied, runtime.Never where nothing ever was.
	Next int64
	// Start and End are what the partition has.
	Start, End int64
	// Lag is how many offsets are waiting.
	Lag int64
	// Updated is when the position last changed; zero where that is not known.
	Updated time.Time
	// Recreated says that the topic is not the one that the position is of.
	Recreated bool
}

// Positions returns where a function is in each partition of its inputs, in the order of the inputs. A topic that does
// not exist has none.
func (o Operator) Positions(ctx context.Context, f *runtime.Function) (all []Position, _ error) {
	checkpoints, err := o.checkpoints(ctx, f)
	if err != nil {
		return nil, err
	}
	for _, input := range f.Inputs {
		info, err := o.Log.Describe(ctx, input.Name)
		if errors.Is(err, runtime.ErrUnknownTopic) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", input.Name, err)
		}
		for number := range info.Partitions {
			at := runtime.TopicPartition{Topic: input.Name, Partition: number}
			p, err := o.position(ctx, f, at, checkpoints[at])
			if err != nil {
				return nil, err
			}
			if cp := checkpoints[at]; cp != nil {
				p.Recreated = cp.TopicID != info.ID && cp.TopicID != (runtime.TopicID{}) && info.ID != (runtime.TopicID{})
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// position returns where a function is in one partition; cp is its checkpoint, nil where it has none.
func (o Operator) position(ctx context.Context, f *runtime.Function, at runtime.TopicPartition, cp *runtime.Checkpoint) (p Position, err error) {
	p = Position{Function: f.Name, TopicPartition: at, Next: runtime.Never}
	if p.Start, p.End, err = o.Log.Bounds(ctx, at); err != nil {
		return p, fmt.Errorf("%s/%d: %w", at.Topic, at.Partition, err)
	}
	switch {
	case !durable(f):
		if p.Next, err = o.Log.Committed(ctx, f.Name, at); err != nil {
			return p, fmt.Errorf("%s/%d: %w", at.Topic, at.Partition, err)
		}
	case cp != nil:
		p.Next, p.Updated = cp.Next, cp.Updated
	}
	from := max(p.Next, p.Start)
	if p.Next < 0 && f.Options.Start == runtime.Newest {
		from = p.End
	}
	p.Lag = max(0, p.End-from)
	return p, nil
}

// durable says whether a function's position is in the store, not with its group.
func durable(f *runtime.Function) bool { return f.Options.Delivery == runtime.ExactlyOnce }

func (o Operator) checkpoints(ctx context.Context, f *runtime.Function) (map[runtime.TopicPartition]*runtime.Checkpoint, error) {
	found := map[runtime.TopicPartition]*runtime.Checkpoint{}
	if !durable(f) {
		return found, nil
	}
	if o.Store == nil {
		return nil, fmt.Errorf("function %s: %w", f.Name, ErrNoStore)
	}
	rows, err := o.Store.Checkpoints(ctx, f.Name)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		found[rows[i].TopicPartition] = &rows[i]
	}
	return found, nil
}

// readBatch is how many messages are read at once.
const readBatch = 1000

// read calls visit with each message of a partition from an offset up to, and without, end; until visit returns an
// error.
func (o Operator) read(ctx context.Context, from runtime.Position, end int64, visit func(*topic.Raw) error) error {
	if from.Offset >= end {
		return nil
	}
	reader, err := o.Log.Open(ctx, from, runtime.ReadLimits{})
	if err != nil {
		return fmt.Errorf("%s/%d: %w", from.Topic, from.Partition, err)
	}
	defer func() { _ = reader.Close() }() // nothing is written
	var messages []topic.Raw
	for next := from.Offset; next < end; {
		messages, err = o.patiently(ctx, reader, messages[:0])
		if err != nil {
			return fmt.Errorf("%s/%d: %w", from.Topic, from.Partition, err)
		}
		for i := range messages {
			if next = messages[i].Offset + 1; next > end {
				return nil
			}
			if err := visit(&messages[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// How often a log that is away is asked again, and how soon.
const (
	attempts = 10
	pause    = 500 * time.Millisecond
)

func (o Operator) patiently(ctx context.Context, reader runtime.Reader, dst []topic.Raw) (_ []topic.Raw, err error) {
	for range attempts {
		if dst, err = reader.Read(ctx, dst, readBatch); !errors.Is(err, runtime.ErrUnavailable) || !runtime.Sleep(ctx, runtime.WallClock, pause) {
			break
		}
	}
	return dst, err
}
