package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kappaflows/flows/topic"
)

// watchInterval is how often a function's input topics are looked at while it runs.
const watchInterval = 10 * time.Second

// inputs are the input topics of a function as they were when it started.
type inputs struct {
	engine   *Engine
	function *Function
	known    map[string]TopicInfo
}

// newInputs checks the function's input topics. A topic that declares a number of partitions must have it where states
// belong to keys: another number places the same key elsewhere.
func (e *Engine) newInputs(ctx context.Context, f *Function) (*inputs, error) {
	in := &inputs{engine: e, function: f, known: map[string]TopicInfo{}}
	for _, spec := range f.Inputs {
		info, err := e.config.Log.Describe(ctx, spec.Name)
		if err != nil {
			return nil, describeError(spec, err)
		}
		if f.State != nil && spec.Partitions > 0 && spec.Partitions != info.Partitions {
			return nil, fmt.Errorf("topic %s has %d partitions, but %d are declared: %w for keyed state",
				spec.Name, info.Partitions, spec.Partitions, ErrPartitions)
		}
		in.known[spec.Name] = info
	}
	return in, in.compareCheckpoints(ctx)
}

// compareCheckpoints warns where a topic has more partitions than the function ever read, and fewer were read before.
func (in *inputs) compareCheckpoints(ctx context.Context) error {
	if in.function.State == nil {
		return nil
	}
	checkpoints, err := in.engine.config.Store.Checkpoints(ctx, in.function.Name)
	if err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	read := map[string]int32{}
	for _, cp := range checkpoints {
		read[cp.Topic] = max(read[cp.Topic], cp.Partition+1)
	}
	for name, info := range in.known {
		if read[name] > 0 && read[name] < info.Partitions {
			in.warn(name, read[name], info.Partitions)
		}
	}
	return nil
}

func (in *inputs) warn(name string, before, after int32) {
	in.engine.config.Logger.Warn("the input topic has more partitions than before: its keys are on other partitions now, and the order of a key's messages across the change is not kept",
		"function", in.function.Name, "topic", name, "before", before, "after", after)
}

// watch looks at the topics from time to time until ctx is done. A topic that was created anew is not the one that the
// checkpoints are of, and the function must stop.
func (in *inputs) watch(ctx context.Context) error {
	for Sleep(ctx, in.engine.config.Clock, watchInterval) {
		for _, spec := range in.function.Inputs {
			if err := in.look(ctx, spec); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *inputs) look(ctx context.Context, spec *topic.Spec) error {
	before := in.known[spec.Name]
	info, err := in.engine.config.Log.Describe(ctx, spec.Name)
	switch {
	case errors.Is(err, ErrUnknownTopic):
		in.engine.config.Logger.Error("the input topic does not exist any more", "function", in.function.Name, "topic", spec.Name)
		return nil
	case err != nil:
		return nil //nolint:nilerr // whoever reads the topic finds out, too, and deals with it
	case before.ID != info.ID:
		return fmt.Errorf("topic %s: %w; reset function %s to read it from its start", spec.Name, ErrTopicRecreated, in.function.Name)
	case before.Partitions != info.Partitions && in.function.State != nil:
		in.warn(spec.Name, before.Partitions, info.Partitions)
	}
	in.known[spec.Name] = info
	return nil
}
