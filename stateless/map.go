package stateless

import (
	"context"
	"iter"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Map writes one record for each message: the key and value that convert returns. Headers and timestamp go along. A
// tombstone stays one: convert is called for its key, with a zero value, and the value it returns is not used. Where the
// new key comes out of the value, which a tombstone does not have, write the function as a Config.
func Map[K, V, L, W any](
	name string, from *topic.Topic[K, V], to *topic.Topic[L, W], convert func(in topic.Message[K, V]) (L, W),
) Function {
	f := between(name, from, to)
	if convert == nil {
		f.problem("Function", "a map needs one")
	}
	f.apply = typed(from, func(_ context.Context, m topic.Message[K, V]) (topic.Records, error) {
		return topic.Records{mapped(to, convert, m)}, nil
	})
	return f
}

// mapped is the record that a conversion makes of a message.
func mapped[K, V, L, W any](
	to *topic.Topic[L, W], convert func(in topic.Message[K, V]) (L, W), m topic.Message[K, V],
) topic.Record {
	key, value := convert(m)
	if m.Tombstone {
		return to.Tombstone(key).WithHeadersOf(m.Headers)
	}
	return to.Record(key, value).WithHeadersOf(m.Headers)
}

// Explode writes any number of records of one topic for each message: the keys and values that convert yields. Headers
// and timestamp go along. It is called for tombstones too, which say so.
func Explode[K, V, L, W any](
	name string, from *topic.Topic[K, V], to *topic.Topic[L, W], convert func(in topic.Message[K, V]) iter.Seq2[L, W],
) Function {
	f := between(name, from, to)
	if convert == nil {
		f.problem("Function", "an explode needs one")
	}
	f.apply = typed(from, func(_ context.Context, m topic.Message[K, V]) (out topic.Records, _ error) {
		for key, value := range convert(m) {
			out = append(out, to.Record(key, value).WithHeadersOf(m.Headers))
		}
		return out, nil
	})
	return f
}

// Filter writes those messages again for which keep says so, unchanged. It is called for tombstones too, which say so.
func Filter[K, V any](
	name string, from, to *topic.Topic[K, V], keep func(in topic.Message[K, V]) bool,
) Function {
	f := between(name, from, to)
	if keep == nil {
		f.problem("Function", "a filter needs one")
	}
	pass := copied(from, to)
	f.apply = func(_ context.Context, in *runtime.Input) (topic.Records, error) {
		m, err := from.Decode(&in.Raw, in.Partition)
		if err != nil || !keep(m) {
			return nil, err
		}
		return topic.Records{pass(&in.Raw, m)}, nil
	}
	return f
}

// between is a function from one topic to another that does nothing yet.
func between(name string, from, to topic.Declared) Function {
	return Function{name: name, inputs: topic.List{from}.Specs(), outputs: topic.List{to}.Specs()}
}

// copied returns what copies a message to another topic: its bytes where the formats are the same, else encoded anew.
func copied[K, V any](from, to *topic.Topic[K, V]) func(*topic.Raw, topic.Message[K, V]) topic.Record {
	if sameFormats(from.Spec(), to.Spec()) {
		return func(raw *topic.Raw, _ topic.Message[K, V]) topic.Record { return to.Passed(raw) }
	}
	return func(_ *topic.Raw, m topic.Message[K, V]) topic.Record {
		return mapped(to, func(m topic.Message[K, V]) (K, V) { return m.Key, m.Value }, m)
	}
}

func sameFormats(a, b *topic.Spec) bool {
	return a != nil && b != nil && a.KeyFormat == b.KeyFormat && a.ValueFormat == b.ValueFormat
}
