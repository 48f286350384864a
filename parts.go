package flows

import (
	"slices"
	"strings"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// withParts returns the functions, each with those that are parts of it behind it.
func withParts(functions []*runtime.Function) (all []*runtime.Function) {
	for _, f := range functions {
		all = append(all, f)
		all = append(all, f.Parts...)
	}
	return all
}

// choose returns the functions of these names with their parts, in the app's order; all where there are no names. A part
// can be named alone.
func choose(functions []*runtime.Function, names []string) ([]*runtime.Function, error) {
	if len(names) == 0 {
		return withParts(functions), nil
	}
	var known []string
	for _, f := range withParts(functions) {
		known = append(known, f.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, usagef("no function is called %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	var chosen []*runtime.Function
	for _, f := range functions {
		whole := slices.Contains(names, f.Name)
		for _, each := range withParts([]*runtime.Function{f}) {
			if whole || slices.Contains(names, each.Name) {
				chosen = append(chosen, each)
			}
		}
	}
	return chosen, nil
}

// ownSpecs returns the topics that belong to the functions, each once.
func ownSpecs(functions []*runtime.Function) (specs []*topic.Spec) {
	for _, f := range functions {
		for _, own := range f.OwnTopics() {
			if !slices.ContainsFunc(specs, func(s *topic.Spec) bool { return s.Name == own.Spec.Name }) {
				specs = append(specs, own.Spec)
			}
		}
	}
	return specs
}

// declaredSpecs returns the topics that the functions declare and that belong to none of them: those that are there for
// others, too.
func declaredSpecs(functions []*runtime.Function) []*topic.Spec {
	own := ownSpecs(functions)
	return slices.DeleteFunc(specsOf(functions), func(declared *topic.Spec) bool {
		return slices.ContainsFunc(own, func(s *topic.Spec) bool { return s.Name == declared.Name })
	})
}

// allSpecs returns the declared topics, and behind them those that belong to the functions.
func allSpecs(functions []*runtime.Function) []*topic.Spec {
	return append(declaredSpecs(functions), ownSpecs(functions)...)
}
