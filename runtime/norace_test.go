//go:build !race

package runtime_test

// raceSlack is what the race detector may add to the allocations of a message: it makes pools forget at random.
const raceSlack = 0.0
