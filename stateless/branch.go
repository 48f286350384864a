package stateless

import (
	"context"
	"fmt"
	"slices"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Branch writes each message to the topic of the first case that takes it. A message that no case takes is not written
// anywhere; end with Otherwise where that is not wanted.
func Branch[K, V any](name string, from *topic.Topic[K, V], cases ...Case[K, V]) Function {
	f := Function{name: name, inputs: topic.List{from}.Specs()}
	branches := make([]branch[K, V], len(cases))
	for i, c := range cases {
		if c.open == nil {
			f.problem("Cases", fmt.Sprintf("case %d is empty", i+1))
			continue
		}
		branches[i] = c.open(from)
		if spec := branches[i].to; spec == nil || !slices.Contains(f.outputs, spec) {
			f.outputs = append(f.outputs, spec)
		}
		if branches[i].broken {
			f.problem("Cases", fmt.Sprintf("case %d has no function", i+1))
		} else if branches[i].takes == nil && i != len(cases)-1 {
			f.problem("Cases", fmt.Sprintf("case %d takes every message and is not the last", i+1))
		}
	}
	if len(cases) == 0 {
		f.problem("Cases", "a branch needs one or more")
	}
	f.apply = branched(from, branches)
	return f
}

func branched[K, V any](from *topic.Topic[K, V], branches []branch[K, V]) apply {
	return func(_ context.Context, in *runtime.Input) (topic.Records, error) {
		m, err := from.Decode(&in.Raw, in.Partition)
		if err != nil {
			return nil, err
		}
		for i := range branches {
			if b := &branches[i]; b.takes == nil || b.takes(m) {
				return topic.Records{b.write(&in.Raw, m)}, nil
			}
		}
		return nil, nil
	}
}

// Case is one way out of a Branch. Make one with When, WhenMap, Otherwise or OtherwiseMap.
type Case[K, V any] struct {
	open func(from *topic.Topic[K, V]) branch[K, V]
}

// branch is a case whose branching function reads a known topic.
type branch[K, V any] struct {
	// takes is nil where every message is taken.
	takes func(topic.Message[K, V]) bool
	write func(*topic.Raw, topic.Message[K, V]) topic.Record
	to    *topic.Spec
	// broken says that a function of the case is missing.
	broken bool
}

// When takes the messages for which is says so, and writes them unchanged.
func When[K, V any](is func(in topic.Message[K, V]) bool, to *topic.Topic[K, V]) Case[K, V] {
	return Case[K, V]{open: func(from *topic.Topic[K, V]) branch[K, V] {
		return branch[K, V]{takes: is, write: copied(from, to), to: to.Spec(), broken: is == nil}
	}}
}

// WhenMap takes the messages for which is says so, and writes what convert makes of them, as Map does.
func WhenMap[K, V, L, W any](
	is func(in topic.Message[K, V]) bool, to *topic.Topic[L, W], convert func(in topic.Message[K, V]) (L, W),
) Case[K, V] {
	return Case[K, V]{open: func(*topic.Topic[K, V]) branch[K, V] {
		return branch[K, V]{takes: is, write: converted(to, convert), to: to.Spec(), broken: is == nil || convert == nil}
	}}
}

// Otherwise takes every message that no case before it took, and writes it unchanged.
func Otherwise[K, V any](to *topic.Topic[K, V]) Case[K, V] {
	return Case[K, V]{open: func(from *topic.Topic[K, V]) branch[K, V] {
		return branch[K, V]{write: copied(from, to), to: to.Spec()}
	}}
}

// OtherwiseMap takes every message that no case before it took, and writes what convert makes of it, as Map does.
func OtherwiseMap[K, V, L, W any](to *topic.Topic[L, W], convert func(in topic.Message[K, V]) (L, W)) Case[K, V] {
	return Case[K, V]{open: func(*topic.Topic[K, V]) branch[K, V] {
		return branch[K, V]{write: converted(to, convert), to: to.Spec(), broken: convert == nil}
	}}
}

func converted[K, V, L, W any](
	to *topic.Topic[L, W], convert func(in topic.Message[K, V]) (L, W),
) func(*topic.Raw, topic.Message[K, V]) topic.Record {
	return func(_ *topic.Raw, m topic.Message[K, V]) topic.Record { return mapped(to, convert, m) }
}
