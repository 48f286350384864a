package runtime

import (
	"math/bits"
	"sync"
)

// spaces are []byte that are not used any more, for whoever needs some next, in whatever partition. What lies there for long
// is garbage. Each size is a quarter of a power of two, so that a space is at most a quarter larger than it needs to be and
// one that was made for some length serves for that length again.
type spaces [sizes]sync.Pool

const (
	smallestSpace = 1 << 10
	// sizes go up to a gigabyte; what is larger is not kept.
	sizes = 4 * 20
)

// roomFor returns the number of the smallest size of at least n bytes, and its bytes.
func roomFor(n int) (number, bytes int) {
	n = max(n, smallestSpace)
	power := bits.Len(uint(n-1)) - 1 // n is above 1<<power, and 2<<power at most
	step := 1 << power / 4
	quarters := (n - 1<<power + step - 1) / step
	return 4*(power-bits.Len(smallestSpace)+2) + quarters - 4, 1<<power + quarters*step
}

// withMargin is the room for what usually takes n bytes.
func withMargin(n int) int { return n + n/8 }

// take returns an empty slice with room for n bytes.
func (s *spaces) take(n int) []byte {
	number, bytes := roomFor(n)
	if number >= sizes {
		return make([]byte, 0, n)
	}
	if space, ok := s[number].Get().(*[]byte); ok {
		return (*space)[:0]
	}
	return make([]byte, 0, bytes)
}

// give takes a space back.
func (s *spaces) give(space []byte) {
	if cap(space) < smallestSpace {
		return
	}
	number, bytes := roomFor(cap(space))
	if bytes > cap(space) {
		number-- // append made it, and it serves for the size below
	}
	if number < sizes {
		s[number].Put(&space)
	}
}
