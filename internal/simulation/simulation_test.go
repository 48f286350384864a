package simulation

import (
	"flag"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

var (
	firstSeed = flag.Uint64("sim.seed", 0, "the first seed to simulate")
	verbose   = flag.Bool("sim.v", false, "log what happens")
	seedCount = flag.Uint64("sim.seeds", 300, "how many seeds to simulate")
)

// simulate runs one seed in virtual time; the bubble ends only when no goroutine is left.
func simulate(t *testing.T, seed uint64, mutate Mutation) (err error) {
	logger := slog.New(slog.DiscardHandler)
	if *verbose {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	synctest.Test(t, func(t *testing.T) { err = Run(t.Context(), seed, mutate, logger) })
	return err
}

func TestSimulation(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+*seedCount; seed++ {
		if err := simulate(t, seed, nil); err != nil {
			require.NoError(t, err, "again with: go test ./internal/simulation -sim.seed=%d -sim.seeds=1", seed)
		}
	}
}
