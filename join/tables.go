package join

import (
	"context"
	"slices"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Function is a join that one of the helpers made. Its zero value is not one.
type Function struct {
	name     string
	options  Options
	compile  func(name string, options Options) (*runtime.Function, error)
	problems []runtime.Problem
}

// With returns the join with these options.
func (f Function) With(options Options) Function {
	f.options = options
	return f
}

// Compile checks the join and makes what the engine runs. The error is a *runtime.ConfigError with everything that is
// wrong.
func (f Function) Compile() (*runtime.Function, error) {
	problems := f.problems
	if f.compile == nil && len(problems) == 0 {
		problems = append(problems, runtime.Problem{Field: "Function", Message: "make one with a helper of this package"})
	}
	if len(problems) > 0 {
		return nil, &runtime.ConfigError{Function: f.name, Kind: Kind, Problems: problems}
	}
	return f.compile(f.name, f.options)
}

// need returns the join with a problem where something that the join cannot be made without is missing.
func (f Function) need(missing bool, field, message string) Function {
	if missing {
		f.problems = append(slices.Clip(f.problems), runtime.Problem{Field: field, Message: message})
	}
	return f
}

// Inner joins two tables, topics whose messages say what a key's value is from now on. Whenever a value changes and both
// tables have one, the value that merge makes of them is written under the key; a tombstone, when one of the two is
// deleted and the other was there.
//
// The state of a key is a Pair, in the table that the join's name gives. merge must not change what it is given. A
// record has the headers and the timestamp of the message that it is written for.
func Inner[K, L, R, W any](
	name string, left *topic.Topic[K, L], right *topic.Topic[K, R], to *topic.Topic[K, W], merge func(key K, left L, right R) W,
) Function {
	f := tables(name, left, right, to, func(pair *Pair[L, R]) bool { return pair.Left != nil && pair.Right != nil },
		func(key K, pair *Pair[L, R]) W { return merge(key, *pair.Left, *pair.Right) })
	return f.need(merge == nil, "Function", "a join needs one that merges two values")
}

// Left is Inner, but for every value of the left table, whether there is one of the right or not; right is nil then.
func Left[K, L, R, W any](
	name string, left *topic.Topic[K, L], right *topic.Topic[K, R], to *topic.Topic[K, W], merge func(key K, left L, right *R) W,
) Function {
	f := tables(name, left, right, to, func(pair *Pair[L, R]) bool { return pair.Left != nil },
		func(key K, pair *Pair[L, R]) W { return merge(key, *pair.Left, pair.Right) })
	return f.need(merge == nil, "Function", "a join needs one that merges two values")
}

// Outer is Inner, but for every value of either table; the one that is not there is nil.
func Outer[K, L, R, W any](
	name string, left *topic.Topic[K, L], right *topic.Topic[K, R], to *topic.Topic[K, W], merge func(key K, left *L, right *R) W,
) Function {
	f := tables(name, left, right, to, func(pair *Pair[L, R]) bool { return pair.Left != nil || pair.Right != nil },
		func(key K, pair *Pair[L, R]) W { return merge(key, pair.Left, pair.Right) })
	return f.need(merge == nil, "Function", "a join needs one that merges two values")
}

// tables joins two tables: there is a result where matches says so, and merge makes it.
func tables[K, L, R, W any](
	name string, left *topic.Topic[K, L], right *topic.Topic[K, R], to *topic.Topic[K, W],
	matches func(*Pair[L, R]) bool, merge func(K, *Pair[L, R]) W,
) (f Function) {
	f.name = name
	f = f.need(left == nil || right == nil, "Sides", "the topic is nil")
	f = f.need(to == nil, "Outputs", "the topic is nil")
	if len(f.problems) > 0 {
		return f
	}
	f = f.need(left.ValueFormat() == nil || right.ValueFormat() == nil || left.KeyFormat() == nil, "Sides", "a topic has no format")
	fold := change[K, L, R, W]{to: to, matches: matches, merge: merge}
	f.compile = func(name string, options Options) (*runtime.Function, error) {
		return Config[K, Pair[L, R]]{
			Name: name, Key: left.KeyFormat(), State: Pairs(left.ValueFormat(), right.ValueFormat()), Outputs: topic.List{to},
			Sides:   []Side[K, Pair[L, R]]{From(left, keyOf[K, L], fold.left), From(right, keyOf[K, R], fold.right)},
			Options: options,
		}.Compile()
	}
	return f
}

// change folds changes of two tables into their pair.
type change[K, L, R, W any] struct {
	to      *topic.Topic[K, W]
	matches func(*Pair[L, R]) bool
	merge   func(K, *Pair[L, R]) W
}

func (c *change[K, L, R, W]) left(
	_ context.Context, key K, m topic.Message[K, L], pair Pair[L, R],
) (Pair[L, R], topic.Records, error) { //nolint:unparam // as the function of a side
	after := Pair[L, R]{Left: valueOf(&m), Right: pair.Right}
	return after, c.records(key, m.Headers, &pair, &after), nil
}

func (c *change[K, L, R, W]) right(
	_ context.Context, key K, m topic.Message[K, R], pair Pair[L, R],
) (Pair[L, R], topic.Records, error) { //nolint:unparam // as the function of a side
	after := Pair[L, R]{Left: pair.Left, Right: valueOf(&m)}
	return after, c.records(key, m.Headers, &pair, &after), nil
}

// records are what a change from one pair to another writes.
func (c *change[K, L, R, W]) records(key K, headers topic.Headers, before, after *Pair[L, R]) topic.Records {
	switch {
	case c.matches(after):
		return topic.Records{c.to.Record(key, c.merge(key, after)).WithHeadersOf(headers)}
	case c.matches(before):
		return topic.Records{c.to.Tombstone(key).WithHeadersOf(headers)}
	default:
		return nil
	}
}

// keyOf is a message's own key, as the join's.
func keyOf[K, V any](m topic.Message[K, V]) K { return m.Key }

// valueOf is the value of a message, nil for a tombstone.
func valueOf[K, V any](m *topic.Message[K, V]) *V {
	if m.Tombstone {
		return nil
	}
	value := m.Value
	return &value
}
