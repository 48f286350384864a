package memory_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
)

// locking is a store with one state, a = 1 at version 1, which two partitions write.
type locking struct {
	t      *testing.T
	store  *memory.Store
	owners [2]runtime.Checkpoint
}

// inLocking runs a test in virtual time.
func inLocking(t *testing.T, test func(l *locking)) {
	synctest.Test(t, func(t *testing.T) {
		l := &locking{t: t, store: memory.NewStore()}
		require.NoError(t, l.store.Migrate(t.Context(), []runtime.StateTable{{Name: "state", Key: format.Text, State: format.Text}}))
		for i := range l.owners {
			l.owners[i] = l.claim(i)
		}
		first := l.write(0, 1)
		first.Writes.Fresh, first.Writes.FreshRows = []bool{true}, 1
		require.NoError(t, l.store.Commit(t.Context(), first))
		l.owners[0].Next = first.Next
		test(l)
	})
}

func (l *locking) claim(partition int) runtime.Checkpoint {
	at, err := l.store.Claim(l.t.Context(), runtime.CheckpointKey{
		Function: "count", TopicPartition: runtime.TopicPartition{Topic: "words", Partition: int32(partition)},
	})
	require.NoError(l.t, err)
	return at
}

// write is a batch of a partition that makes the state what its version is.
func (l *locking) write(partition int, version int64) *runtime.Commit {
	at := l.owners[partition]
	return &runtime.Commit{
		CheckpointKey: at.CheckpointKey, Epoch: at.Epoch, From: at.Next, Next: at.Next + 1, Table: "state", Writes: runtime.StateWrites{
			Keys: []string{"a"}, States: [][]byte{[]byte(strconv.FormatInt(version, 10))}, Versions: []int64{version}, Fresh: []bool{false},
		},
	}
}

// locked commits a write of the first partition with the row locked, which it computes for so long.
func (l *locking) locked(computing time.Duration) error {
	return l.store.CommitLocked(l.t.Context(), "state", []string{"a", "none"}, func(rows []runtime.StateRow) (*runtime.Commit, error) {
		require.Len(l.t, rows, 1)
		time.Sleep(computing)
		return l.write(0, rows[0].Version+1), nil
	})
}

// after starts something and returns what it gives, and how long it took.
func after(do func() error) func() (time.Duration, error) {
	start, done := time.Now(), make(chan error, 1)
	go func() { done <- do() }()
	synctest.Wait()
	return func() (time.Duration, error) {
		err := <-done
		return time.Since(start), err
	}
}

// A commit waits for a row that another transaction has locked, and so does who claims the partition of the one that waits.
func TestLocksAreWaitedFor(t *testing.T) {
	inLocking(t, func(l *locking) {
		first := after(func() error { return l.locked(3 * time.Second) })
		second := after(func() error { return l.store.Commit(l.t.Context(), l.write(1, 2)) })
		third := after(func() error {
			require.Equal(l.t, l.owners[1].Epoch+1, l.claim(1).Epoch)
			return nil
		})
		took, err := first()
		require.NoError(l.t, err)
		require.Equal(l.t, 3*time.Second, took)
		took, err = second()
		require.ErrorIs(l.t, err, runtime.ErrConflict, "the row is at another version by then")
		require.Equal(l.t, 3*time.Second, took)
		took, err = third()
		require.NoError(l.t, err)
		require.Equal(l.t, 3*time.Second, took)
		require.Equal(l.t, "2", string(l.store.Rows("state")["a"]))
	})
}

// A batch that is fenced waits for nothing.
func TestFencedBatchWaitsForNoLock(t *testing.T) {
	inLocking(t, func(l *locking) {
		stale := l.write(1, 2)
		l.claim(1)
		first := after(func() error { return l.locked(3 * time.Second) })
		took, err := after(func() error { return l.store.Commit(l.t.Context(), stale) })()
		require.ErrorIs(l.t, err, runtime.ErrFenced)
		require.Zero(l.t, took)
		_, err = first()
		require.NoError(l.t, err)
	})
}

// Nobody waits for a lock for ever, and nobody keeps one for ever.
func TestLocksHaveTimeouts(t *testing.T) {
	inLocking(t, func(l *locking) {
		l.store.LockTimeout = 4 * time.Second
		first := after(func() error { return l.locked(time.Minute) })
		took, err := after(func() error { return l.store.Commit(l.t.Context(), l.write(1, 2)) })()
		require.ErrorIs(l.t, err, runtime.ErrUnavailable)
		require.Equal(l.t, 4*time.Second, took)
		l.store.LockTimeout = time.Minute
		took, err = after(func() error { return l.store.Commit(l.t.Context(), l.write(1, 2)) })()
		require.NoError(l.t, err, "the transaction was open for ten seconds")
		require.Equal(l.t, 6*time.Second, took)
		took, err = first()
		require.ErrorIs(l.t, err, runtime.ErrUnavailable)
		require.Equal(l.t, time.Minute, took)
		require.Equal(l.t, "2", string(l.store.Rows("state")["a"]))
	})
}
