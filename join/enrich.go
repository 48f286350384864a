package join

import (
	"context"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Stream is a topic whose messages are events, each for itself, with the way from one to the key of a table. By makes
// it.
type Stream[K, SK, SV any] struct {
	topic *topic.Topic[SK, SV]
	key   func(topic.Message[SK, SV]) K
}

// By makes a stream of a topic for Enrich. key returns the key of the table's row that goes with a message; it is called
// for tombstones too, which have no value.
func By[K, SK, SV any](stream *topic.Topic[SK, SV], key func(in topic.Message[SK, SV]) K) Stream[K, SK, SV] {
	return Stream[K, SK, SV]{topic: stream, key: key}
}

// Enrich joins a stream with a table, a topic whose messages say what a key's value is from now on. function is called
// with each message of the stream and the row that the table has for it at that moment, nil where it has none, and
// returns what is to be written, as a stateless function does. A change of the table by itself writes nothing.
//
// Stream and table come together in the order in which they arrive: a message that is read before its row is enriched
// without it. The state of a key is the table's value, in the format that it has in its topic, in the table that the
// join's name gives. function must not change the row.
func Enrich[K, T, SK, SV any](
	name string, stream Stream[K, SK, SV], table *topic.Topic[K, T], outputs topic.List,
	function func(ctx context.Context, in topic.Message[SK, SV], row *T) (topic.Records, error),
) (f Function) {
	f.name = name
	f = f.need(stream.topic == nil || table == nil, "Sides", "the topic is nil")
	f = f.need(function == nil, "Function", "a join needs one that enriches a message")
	if len(f.problems) > 0 {
		return f
	}
	f = f.need(table.KeyFormat() == nil || table.ValueFormat() == nil, "Sides", "the table's topic has no format")
	f.compile = func(name string, options Options) (*runtime.Function, error) {
		return Config[K, row[T]]{
			Name: name, Key: table.KeyFormat(), State: rows[T]{table.ValueFormat()}, Outputs: outputs,
			Sides: []Side[K, row[T]]{
				From(stream.topic, stream.key, func(ctx context.Context, _ K, m topic.Message[SK, SV], r row[T]) (row[T], topic.Records, error) {
					records, err := function(ctx, m, r.value)
					return r, records, err
				}),
				From(table, keyOf[K, T], func(_ context.Context, _ K, m topic.Message[K, T], _ row[T]) (row[T], topic.Records, error) {
					return row[T]{valueOf(&m)}, nil, nil
				}),
			},
			Options: options,
		}.Compile()
	}
	return f
}

// row is the row of a table for one key; nil where there is none. It is not a T, so that a zero T is a row like others.
type row[T any] struct{ value *T }

// rows is the format of rows: that of their values.
type rows[T any] struct{ values format.Format[T] }

func (f rows[T]) Name() string { return f.values.Name() }

func (f rows[T]) Kind() format.Kind { return f.values.Kind() }

func (f rows[T]) Append(dst []byte, r row[T]) ([]byte, error) {
	if r.value == nil {
		return dst, nil
	}
	return f.values.Append(dst, *r.value)
}

func (f rows[T]) Decode(data []byte) (r row[T], err error) {
	r.value, err = decodeOne(data, f.values)
	return r, err
}

func (f rows[T]) Show(r row[T]) string { return showHalf(f.values, r.value) }
