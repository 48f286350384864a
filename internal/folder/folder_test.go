package folder_test

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/folder"
)

func TestOpenRefusesAFolderInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	first, err := folder.Open(path)
	require.NoError(t, err)
	_, err = folder.Open(path)
	require.ErrorIs(t, err, folder.ErrInUse)
	require.ErrorContains(t, err, path)

	require.NoError(t, first.Close())
	again, err := folder.Open(path)
	require.NoError(t, err)
	require.NoError(t, again.Close())
	require.DirExists(t, path)
}

func TestTemporaryIsDeletedAndAbandonedOnesAreSwept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	// What a killed process leaves: a folder and a lock that nobody holds.
	abandoned := filepath.Join(os.TempDir(), "sweep-1")
	require.NoError(t, os.Mkdir(abandoned, 0o755))
	require.NoError(t, os.WriteFile(abandoned+".lock", nil, 0o644))

	used, err := folder.Temporary("sweep-")
	require.NoError(t, err)
	require.NoDirExists(t, abandoned)
	require.NoFileExists(t, abandoned+".lock")

	other, err := folder.Temporary("sweep-")
	require.NoError(t, err)
	require.DirExists(t, used.Path, "a folder in use is not swept")
	require.NoError(t, other.Close())
	require.NoError(t, used.Close())

	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestTemporaryByManyAtOnce(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 20 {
				one, err := folder.Temporary("many-")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stat(one.Path); err != nil {
					t.Error(err)
				}
				if err := one.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestExclusively(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var group sync.WaitGroup
	var inside, calls atomic.Int32
	for range 8 {
		group.Go(func() {
			err := folder.Exclusively(path, func() error {
				calls.Add(1)
				if inside.Add(1) != 1 {
					t.Error("two at a time")
				}
				inside.Add(-1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 8, calls.Load())
}
