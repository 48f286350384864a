//go:build race

package runtime_test

// allocationLimit is how many times the allocations of the baseline are allowed.
const allocationLimit = 1.5
