//go:build !race

package baseline

// growth is how many times the cost of the baseline is allowed.
const growth = 1.1

// checksBytes says whether bytes are held, too.
const checksBytes = true
