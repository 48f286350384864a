package runtime

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSpacesHaveTheRoomThatIsAskedFor(t *testing.T) {
	s := new(spaces)
	rapid.Check(t, func(t *rapid.T) {
		s.give(make([]byte, 1, rapid.IntRange(1, 1<<20).Draw(t, "given")))
		n := rapid.IntRange(0, 1<<20).Draw(t, "wanted")
		space := s.take(n)
		require.Empty(t, space)
		require.GreaterOrEqual(t, cap(space), n)
		// A quarter for the size, and one for a space that append made.
		require.LessOrEqual(t, cap(space), max(2*smallestSpace, n*25/16+smallestSpace))
		s.give(space)
	})
}

func TestSizesGoUpInQuarters(t *testing.T) {
	last := 0
	for number := range sizes {
		got, bytes := roomFor(last + 1)
		require.Equal(t, number, got)
		require.Greater(t, bytes, last)
		again, same := roomFor(bytes)
		require.Equal(t, number, again)
		require.Equal(t, bytes, same)
		last = bytes
	}
	require.Equal(t, 1<<30-1<<27, last)
}
