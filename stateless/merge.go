package stateless

import (
	"context"
	"fmt"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Mirror writes every message of one topic to another, byte for byte: key, value, headers and timestamp. Nothing is
// decoded, so the formats of the two topics must be the same. Partitions are chosen anew, by the key.
func Mirror[K, V any](name string, from, to *topic.Topic[K, V]) Function {
	return Merge(name, to, from)
}

// Merge writes every message of several topics to one, byte for byte: key, value, headers and timestamp. Nothing is
// decoded, so the formats of all topics must be the same. The order within a partition of an input is kept; between
// inputs there is none.
func Merge[K, V any](name string, into *topic.Topic[K, V], from ...*topic.Topic[K, V]) Function {
	f := Function{name: name, outputs: topic.List{into}.Specs()}
	for _, input := range from {
		f.inputs = append(f.inputs, input.Spec())
		if input != nil && into != nil && !sameFormats(input.Spec(), into.Spec()) {
			f.problem("Input", differs(input.Spec(), into.Spec()))
		}
	}
	f.apply = func(_ context.Context, in *runtime.Input) (topic.Records, error) {
		return topic.Records{into.Passed(&in.Raw)}, nil
	}
	return f
}

func differs(from, to *topic.Spec) string {
	return fmt.Sprintf("topic %q has keys of %s and values of %s; topic %q has %s and %s",
		from.Name, from.KeyFormat, from.ValueFormat, to.Name, to.KeyFormat, to.ValueFormat)
}
