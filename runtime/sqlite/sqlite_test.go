package sqlite_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/sqlite"
	"github.com/kappaflows/flows/runtime/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Connect {
		path := filepath.Join(t.TempDir(), "flows 100%#?.db")
		return func(t testing.TB) runtime.Store { return open(t, path) }
	})
}

func open(t testing.TB, path string) *sqlite.Store {
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func TestTemporaryFileGoesWithClose(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	store := open(t, "")
	require.NoError(t, store.Migrate(t.Context(), nil))
	require.NoError(t, store.Close())
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	require.NoError(t, err)
	require.Empty(t, left)
	require.ErrorIs(t, store.Ping(t.Context()), runtime.ErrUnavailable)
	_, err = store.Claim(t.Context(), runtime.CheckpointKey{})
	require.ErrorIs(t, err, runtime.ErrUnavailable)
	require.NoError(t, store.Close(), "again")
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text")
	require.NoError(t, os.WriteFile(text, bytes.Repeat([]byte("no database "), 1000), 0o600))
	for _, path := range []string{folder, filepath.Join(folder, "no", "folder", "flows.db"), text} {
		store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		if err == nil {
			err = store.Migrate(t.Context(), nil)
			require.NoError(t, store.Close())
		}
		require.ErrorContains(t, err, "sqlite: ")
		require.NotErrorIs(t, err, runtime.ErrUnavailable, path)
		require.NotContains(t, err.Error(), "\n")
		t.Log(err)
	}
}

func TestDataOutlivesTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows.db")
	key := runtime.CheckpointKey{Function: "count", TopicPartition: runtime.TopicPartition{Topic: "words"}}
	for epoch := int64(1); epoch <= 3; epoch++ {
		store := open(t, path)
		require.NoError(t, store.Migrate(t.Context(), nil))
		at, err := store.Claim(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, epoch, at.Epoch)
		require.NoError(t, store.Close())
	}
}

func TestAnotherWriterIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows.db")
	store := open(t, path)
	require.NoError(t, store.Migrate(t.Context(), nil))
	other, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Timeout: time.Nanosecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })

	tx, err := store.DB().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	key := runtime.CheckpointKey{Function: "count"}
	_, err = other.Claim(t.Context(), key)
	require.ErrorIs(t, err, runtime.ErrUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	claimed := make(chan error)
	go func() {
		_, err := store.Claim(ctx, key)
		claimed <- err
	}()
	cancel()
	require.ErrorIs(t, <-claimed, context.Canceled, "a wait ends with its context")
	require.NoError(t, tx.Rollback())
	_, err = other.Claim(t.Context(), key)
	require.NoError(t, err)
}

func BenchmarkCommit(b *testing.B) {
	storetest.Benchmark(b, open(b, filepath.Join(b.TempDir(), "flows.db")))
}
