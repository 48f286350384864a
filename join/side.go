package join

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/topic"
)

// Side is one topic of a join by keys of K that keeps an S for each key. From makes it.
type Side[K, S any] struct {
	topic *topic.Spec
	// key is the join's key of a message; fold folds one into the state. Both are nil where From was not given them.
	key  func(in *runtime.Input) (K, error)
	fold folder[K, S]
}

// folder folds a message that came through the intermediate topic into the state of its key.
type folder[K, S any] func(ctx context.Context, id K, e envelope, state S) (S, topic.Records, error)

// From makes a side of a topic.
//
// key returns the join's key of a message. It is called for tombstones too, which have no value: a topic with tombstones
// needs a join key that its messages' keys tell.
//
// function is called with each message and the state of its key, and returns the state from now on and what is to be
// written, as the function of a stateful.Config does: absent and zero are one thing, the message is only valid during
// the call, and an error leaves everything as it was. The message is the topic's, with its own topic, partition,
// offset, timestamp and headers, however it came here.
func From[K, S, TK, TV any](
	from *topic.Topic[TK, TV],
	key func(in topic.Message[TK, TV]) K,
	function func(ctx context.Context, id K, in topic.Message[TK, TV], state S) (S, topic.Records, error),
) Side[K, S] {
	side := Side[K, S]{topic: from.Spec()}
	if key != nil {
		side.key = func(in *runtime.Input) (id K, _ error) {
			m, err := from.Decode(&in.Raw, in.Partition)
			if err != nil {
				return id, err
			}
			return key(m), nil
		}
	}
	if function != nil {
		side.fold = func(ctx context.Context, id K, e envelope, state S) (S, topic.Records, error) {
			raw := e.raw()
			m, err := from.Decode(&raw, e.partition)
			if err != nil {
				return state, nil, err
			}
			return function(ctx, id, m, state)
		}
	}
	return side
}

// raw is the message that the envelope carries.
func (e envelope) raw() topic.Raw {
	return topic.Raw{Offset: e.offset, Timestamp: time.UnixMilli(e.timestamp), Key: e.key, Value: e.value, Headers: e.headers}
}

func (s Side[K, S]) topicName() string {
	if s.topic == nil {
		return ""
	}
	return s.topic.Name
}

// sideIDs returns what the sides are called in envelopes and in the names of parts: by their topics, from the second
// side of one topic on with a number. Adding or removing sides of other topics does not change it.
func (c Config[K, S]) sideIDs() []string {
	ids := make([]string, len(c.Sides))
	taken := map[string]bool{}
	for i, side := range c.Sides {
		if name := side.topicName(); !taken[name] {
			ids[i], taken[name] = name, true
		}
	}
	for i, side := range c.Sides {
		for n := 2; ids[i] == "" && side.topic != nil; n++ {
			if id := side.topic.Name + "-" + strconv.Itoa(n); !taken[id] {
				ids[i], taken[id] = id, true
			}
		}
	}
	return ids
}

// part is the stateless function that sends the messages of a side into the intermediate topic.
func (c Config[K, S]) part(
	side Side[K, S], id string, intermediate *topic.Topic[K, envelope], own runtime.OwnTopic,
) (*runtime.Function, error) {
	part := &runtime.Function{
		Name: c.Name + "." + id, Kind: partKind, Inputs: []*topic.Spec{side.topic}, Outputs: []*topic.Spec{intermediate.Spec()},
		Own: []runtime.OwnTopic{own}, Options: c.Options, Apply: wrap(side.key, id, intermediate),
	}
	if err := part.Check(); err != nil {
		return nil, err
	}
	return part, nil
}

// partKind is what people call the function of a side.
const partKind = "stateless"

// wrap returns what puts a message into an envelope under the join's key.
func wrap[K any](
	key func(*runtime.Input) (K, error), side string, intermediate *topic.Topic[K, envelope],
) func(context.Context, *runtime.Input, any) (topic.Records, error) {
	kind := intermediate.Spec().KeyKind
	return func(_ context.Context, in *runtime.Input, _ any) (topic.Records, error) {
		id, err := key(in)
		if err != nil {
			return nil, err
		}
		record := intermediate.Record(id, envelope{
			side: side, topic: in.Topic, partition: in.Partition, offset: in.Offset, timestamp: in.Timestamp.UnixMilli(),
			headers: in.Headers, key: in.Key, value: in.Value,
		})
		if err := checkRecord(&record, kind); err != nil {
			return nil, err
		}
		return topic.Records{record}, nil
	}
}

// checkRecord says why a message cannot have the key that it was given, or nil. It is said here and not where the state
// is kept, so that the dead letter is the message as it was.
func checkRecord(record *topic.Record, kind format.Kind) error {
	switch key := record.Key(); {
	case record.Err() != nil:
		return runtime.Permanent(record.Err())
	case key == nil:
		return stateful.ErrNoKey
	case kind == format.Text && bytes.IndexByte(key, 0) >= 0:
		return stateful.ErrKeyNUL
	default:
		return nil
	}
}
