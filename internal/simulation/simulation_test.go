package simulation

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

var (
	firstSeed = flag.Uint64("sim.seed", 0, "the first seed to simulate")
	seedCount = flag.Uint64("sim.seeds", 300, "how many seeds to simulate")
)

// simulate runs one seed in virtual time; the bubble ends only when no goroutine is left.
func simulate(t *testing.T, seed uint64, mutate Mutation) (err error) {
	synctest.Test(t, func(t *testing.T) { err = Run(t.Context(), seed, mutate) })
	return err
}

func TestSimulation(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+*seedCount; seed++ {
		if err := simulate(t, seed, nil); err != nil {
			require.NoError(t, err, fmt.Sprintf("again with: go test ./internal/simulation -sim.seed=%d -sim.seeds=1", seed))
		}
	}
}
