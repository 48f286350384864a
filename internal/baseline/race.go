//go:build race

package baseline

// growth is how many times the cost of the baseline is allowed: the race detector makes pools forget at random.
const growth = 1.5

// checksBytes says whether bytes are held, too: what pools forgot is made anew.
const checksBytes = false
