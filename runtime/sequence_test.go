package runtime

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSequencesGoRound(t *testing.T) {
	require.Equal(t, int32(0), advance(maxSequence, 1))
	require.Equal(t, int32(4), advance(maxSequence-5, 10))
	require.Equal(t, int32(maxSequence), advance(maxSequence, 0))
	require.Equal(t, int32(maxSequence), advance(0, -1))
	require.Equal(t, int32(10), behind(maxSequence-5, 4))
	require.Equal(t, int32(-10), behind(4, maxSequence-5))
}

func TestBehindIsWhatAdvanceDid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.Int32Range(0, maxSequence).Draw(t, "sequence")
		n := rapid.IntRange(-maxSequence/2, maxSequence/2).Draw(t, "records")
		moved := advance(s, n)
		require.GreaterOrEqual(t, moved, int32(0))
		require.Equal(t, int32(n), behind(s, moved))
		require.Equal(t, s, advance(moved, -n))
	})
}

func TestAdvanceInStepsOrAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.Int32Range(0, maxSequence).Draw(t, "sequence")
		a, b := rapid.IntRange(0, 1<<20).Draw(t, "a"), rapid.IntRange(0, 1<<20).Draw(t, "b")
		require.Equal(t, advance(s, a+b), advance(advance(s, a), b))
	})
}
