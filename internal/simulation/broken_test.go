//go:build mutation

package simulation

import (
	"testing"

	"github.com/kappaflows/flows/runtime"
)

// TestRules runs in the build that TestBrokenRulesAreCaught makes. With no bug switched on, that build is the engine.
func TestRules(t *testing.T) {
	t.Run("none", func(t *testing.T) { findNothing(t, nil) })
	seen := map[string]bool{}
	for _, r := range rules {
		if seen[r.bug] {
			continue
		}
		seen[r.bug] = true
		t.Run(r.bug, func(t *testing.T) {
			runtime.Mutation = r.bug
			defer func() { runtime.Mutation = "" }()
			catch(t, r.bug, nil)
		})
	}
}
