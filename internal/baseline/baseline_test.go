package baseline

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var sink []byte

func TestMeasure(t *testing.T) {
	cost := measure(func() {
		for range 10 {
			sink = make([]byte, 64)
		}
	})
	require.InDelta(t, 10, cost.Allocations, 1)
	require.InDelta(t, 640, cost.Bytes, 64)
}

func TestATenthMoreIsTooMuch(t *testing.T) {
	before := map[string]Cost{"stage": {Allocations: 3, Bytes: 100}}
	require.Empty(t, compare(before, "stage", Cost{3, 100}))
	require.Empty(t, compare(before, "stage", Cost{1, 1}))
	require.Contains(t, compare(before, "stage", Cost{3 * (growth + 0.01), 100}), "allocations")
	require.Contains(t, compare(before, "other", Cost{}), "make baseline")
	if checksBytes {
		require.Contains(t, compare(before, "stage", Cost{3, 113}), "bytes")
	}
}

func TestBaselineIsReadAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "allocations.txt")
	costs, err := read(path)
	require.NoError(t, err)
	require.Empty(t, costs)
	want := map[string]Cost{"one": {3.0005, 200.5}, "another": {}}
	require.NoError(t, os.WriteFile(path, format(want), 0o600))
	got, err := read(path)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, os.WriteFile(path, []byte("one two three\n"), 0o600))
	_, err = read(path)
	require.Error(t, err)
}
