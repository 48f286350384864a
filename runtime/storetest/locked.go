package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

func lockedComputes(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	o.commit(t, o.writing(textTable, write{"a", "1", 4, true}, write{"b", "1", 1, true}))

	err := store.CommitLocked(t.Context(), textTable.Name, []string{"c", "b", "a"}, func(rows []runtime.StateRow) (*runtime.Commit, error) {
		found := map[string]runtime.StateRow{}
		for _, row := range rows {
			found[row.Key] = row
		}
		require.Equal(t, map[string]runtime.StateRow{
			"a": {Key: "a", State: []byte("1"), Version: 4}, "b": {Key: "b", State: []byte("1"), Version: 1},
		}, found)
		batch := o.writing(textTable, write{"a", "2", 5, false}, write{"c", "1", 1, true})
		batch.Deletes = runtime.StateDeletes{Keys: []string{"b"}, Versions: []int64{1}}
		batch.Put[1] = []byte("pending")
		return batch, nil
	})
	require.NoError(t, err)
	rows := load(t, store, textTable, "a", "b", "c")
	require.Len(t, rows, 2)
	require.Equal(t, "2", string(rows["a"].State))
	require.Equal(t, "1", string(rows["c"].State))
	at := checkpoint(t, store, o.at.CheckpointKey)
	require.Equal(t, int64(2), at.Next)
	require.Equal(t, "pending", string(at.Pending[1]))
}

func lockedError(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	o.commit(t, o.writing(textTable, write{"a", "1", 1, true}))
	mine := errors.New("mine")
	err := store.CommitLocked(t.Context(), textTable.Name, []string{"a"}, func([]runtime.StateRow) (*runtime.Commit, error) {
		return nil, mine
	})
	require.Equal(t, mine, err, "as it is")
	o.commit(t, o.writing(textTable, write{"a", "2", 2, false})) // no lock is left
}

func lockedRefused(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	o.commit(t, o.writing(textTable, write{"a", "1", 1, true}))
	before := checkpoint(t, store, o.at.CheckpointKey)
	for name, spoilt := range map[string]struct {
		batch *runtime.Commit
		want  error
	}{
		"epoch":   {o.writing(textTable, write{"a", "2", 2, false}), runtime.ErrFenced},
		"version": {o.writing(textTable, write{"a", "2", 3, false}), runtime.ErrConflict},
		"absent":  {o.writing(textTable, write{"a", "2", 2, false}, write{"b", "2", 2, false}), runtime.ErrConflict},
		"present": {o.writing(textTable, write{"a", "2", 2, true}), runtime.ErrConflict},
	} {
		if name == "epoch" {
			spoilt.batch.Epoch++
		}
		keys := []string{"a", "b"}
		err := store.CommitLocked(t.Context(), textTable.Name, keys, func([]runtime.StateRow) (*runtime.Commit, error) {
			return spoilt.batch, nil
		})
		require.ErrorIs(t, err, spoilt.want, name)
		requireUntouched(t, store, before, name)
	}
	o.commit(t, o.writing(textTable, write{"a", "2", 2, false}))
}

// lockedWaits has another partition write a row that is locked: it comes second, whenever it began.
func lockedWaits(t *testing.T, connect Connect) {
	store, others := newStore(t, connect), connect(t)
	first, second := claim(t, store, partition("count", "words", 0)), claim(t, others, partition("count", "words", 1))
	first.commit(t, first.writing(textTable, write{"a", "1", 1, true}))
	done := make(chan error, 1)
	err := store.CommitLocked(t.Context(), textTable.Name, []string{"a"}, func([]runtime.StateRow) (*runtime.Commit, error) {
		batch := second.writing(textTable, write{"a", "mine", 2, false})
		go func() { done <- others.Commit(t.Context(), batch) }()
		select {
		case err := <-done:
			t.Errorf("a row that is locked was written, with %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		return first.writing(textTable, write{"a", "2", 2, false}), nil
	})
	require.NoError(t, err)
	require.ErrorIs(t, <-done, runtime.ErrConflict)
	require.Equal(t, "2", string(load(t, store, textTable, "a")["a"].State))
}

// concurrentCounters has partitions that count the same keys, each from what it last saw of them, and falling back on
// locks when another was faster, with keys in any order. Every increment must be there in the end, and nobody may be
// told that the store is unavailable, which is what a deadlock looks like.
func concurrentCounters(t *testing.T, connect Connect) {
	const partitions, batches, keys = 4, 40, 12
	newStore(t, connect)
	var group sync.WaitGroup
	total := make([]int, partitions)
	for number := range partitions {
		store := connect(t)
		group.Go(func() {
			c := counter{
				owner:  claim(t, store, partition("count", "words", int32(number))),
				cache:  map[string]runtime.StateRow{},
				random: rand.New(rand.NewPCG(1, uint64(number))),
			}
			for range batches {
				n, err := c.increment(t, keys)
				if err != nil {
					t.Errorf("partition %d: %v", number, err)
					return
				}
				total[number] += n
			}
		})
	}
	group.Wait()
	all, sum, want := make([]string, keys), 0, 0
	for i := range keys {
		all[i] = fmt.Sprint("key", i)
	}
	for _, row := range load(t, connect(t), textTable, all...) {
		n, err := strconv.Atoi(string(row.State))
		require.NoError(t, err)
		require.Equal(t, int64(n), row.Version, "one version a write")
		sum += n
	}
	for _, n := range total {
		want += n
	}
	require.Equal(t, want, sum, "increments")
}

type counter struct {
	*owner
	cache  map[string]runtime.StateRow
	random *rand.Rand
}

// increment adds one to each of some keys, and returns to how many.
func (c *counter) increment(t *testing.T, keys int) (int, error) {
	var chosen []string
	for _, i := range c.random.Perm(keys)[:1+c.random.IntN(keys)] {
		chosen = append(chosen, fmt.Sprint("key", i))
	}
	var cached []runtime.StateRow
	for _, key := range chosen {
		if row, ok := c.cache[key]; ok {
			cached = append(cached, row)
		}
	}
	compute := func(rows []runtime.StateRow) (*runtime.Commit, error) { return c.next(chosen, rows), nil }
	batch, _ := compute(cached)
	err := c.store.Commit(t.Context(), batch)
	for errors.Is(err, runtime.ErrConflict) {
		err = c.store.CommitLocked(t.Context(), textTable.Name, chosen, func(rows []runtime.StateRow) (*runtime.Commit, error) {
			batch = c.next(chosen, rows)
			return batch, nil
		})
	}
	if err != nil {
		return 0, err
	}
	c.at.Next = batch.Next
	for i, key := range batch.Writes.Keys {
		c.cache[key] = runtime.StateRow{Key: key, State: batch.Writes.States[i], Version: batch.Writes.Versions[i]}
	}
	return len(chosen), nil
}

func (c *counter) next(chosen []string, rows []runtime.StateRow) *runtime.Commit {
	var changes []write
	for _, key := range chosen {
		change := write{key, "1", 1, true}
		if i := slices.IndexFunc(rows, func(row runtime.StateRow) bool { return row.Key == key }); i >= 0 {
			n, _ := strconv.Atoi(string(rows[i].State))
			change = write{key, strconv.Itoa(n + 1), rows[i].Version + 1, false}
		}
		changes = append(changes, change)
	}
	return c.writing(textTable, changes...)
}
