package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// defaultTimeout is that of locks and of transactions that are open.
const defaultTimeout = 10 * time.Second

// lock names what one transaction at a time may have: a row of states, or a checkpoint where there is no table.
type lock struct {
	checkpoint runtime.CheckpointKey
	table, key string
}

// transaction holds locks from its first to its last step. It is guarded by the mutex of its Store.
type transaction struct {
	// steps are those that are left. One that needs a lock waits for it; whoever lets go of the lock then takes the steps
	// for the one that waits, so that the order of all steps is that of the calls.
	steps []step
	held  []lock
	// open says that the locks are kept behind the last step, since more are to follow.
	open bool
	// over says that all is undone: nothing more can follow.
	over bool
	done chan struct{}
	err  error
}

// step takes a lock, or does something with the locks before it held.
type step struct {
	lock lock
	do   func() error
}

func locking(locks ...lock) []step {
	steps := make([]step, 0, len(locks)+2)
	for _, l := range locks {
		steps = append(steps, step{lock: l})
	}
	return steps
}

// Commit applies a batch, all of it or nothing. Like Postgres it waits for rows that others have locked, with the
// checkpoint's own row locked meanwhile.
func (s *Store) Commit(ctx context.Context, batch *runtime.Commit) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	return s.runSteps(ctx, &transaction{}, s.commitSteps(batch))
}

// commitSteps looks at the fence first: a batch that is fenced waits for no row.
func (s *Store) commitSteps(batch *runtime.Commit) []step {
	steps := append(locking(lock{checkpoint: batch.CheckpointKey}), step{do: func() error { return s.fence(batch) }})
	var keys []string
	for i, key := range batch.Writes.Keys {
		if i < len(batch.Writes.Fresh) && !batch.Writes.Fresh[i] {
			keys = append(keys, key)
		}
	}
	keys = append(keys, batch.Deletes.Keys...)
	slices.Sort(keys)
	steps = append(steps, locking(locksOf(batch.Table, keys)...)...)
	return append(steps, step{do: func() error { return s.commit(batch) }})
}

// CommitLocked locks the rows that there are of the keys, computes and commits. Where computing takes longer than
// IdleTimeout, the transaction is undone and its locks are free, as those of a process that was stopped in the middle are.
func (s *Store) CommitLocked(ctx context.Context, table string, keys []string,
	compute func([]runtime.StateRow) (*runtime.Commit, error),
) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	t := &transaction{open: true}
	defer s.rollback(t)
	locked, err := s.existing(table, keys)
	if err != nil {
		s.mutex.Unlock()
		return err
	}
	var rows []runtime.StateRow
	err = s.run(ctx, t, locking(locksOf(table, locked)...), func() (err error) {
		rows, err = s.load(table, locked)
		return err
	})
	if err != nil {
		return err
	}
	batch, err := s.compute(t, rows, compute)
	if err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	if t.over {
		s.mutex.Unlock()
		return fmt.Errorf("memory store: the transaction was open for too long: %w", runtime.ErrUnavailable)
	}
	t.open = false
	return s.runSteps(ctx, t, s.commitSteps(batch))
}

// compute calls compute while the transaction is open. It may end the goroutine instead of returning.
func (s *Store) compute(t *transaction, rows []runtime.StateRow, compute func([]runtime.StateRow) (*runtime.Commit, error)) (*runtime.Commit, error) {
	defer s.limitIdle(t)()
	return compute(rows)
}

// existing returns those of the keys that have a row, in order.
func (s *Store) existing(table string, keys []string) ([]string, error) {
	rows, err := s.load(table, keys)
	found := make([]string, len(rows))
	for i := range rows {
		found[i] = rows[i].Key
	}
	return found, err
}

func locksOf(table string, keys []string) []lock {
	locks := make([]lock, len(keys))
	for i, key := range keys {
		locks[i] = lock{table: table, key: key}
	}
	return locks
}

// limitIdle undoes a transaction after IdleTimeout, unless the returned function is called before.
func (s *Store) limitIdle(t *transaction) (heard func()) {
	after, stop := s.Clock.After(s.IdleTimeout)
	spoke, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		defer stop()
		select {
		case <-after:
			s.rollback(t)
		case <-spoke:
		}
	}()
	return func() {
		close(spoke)
		<-gone
	}
}

// run takes locks and then does something; see runSteps.
func (s *Store) run(ctx context.Context, t *transaction, locks []step, do func() error) error {
	return s.runSteps(ctx, t, append(locks, step{do: do}))
}

// runSteps takes steps, with waiting, and unlocks the mutex, which the caller has locked.
func (s *Store) runSteps(ctx context.Context, t *transaction, steps []step) error {
	t.steps, t.done = steps, make(chan struct{})
	s.waiting = append(s.waiting, t)
	s.proceed()
	s.mutex.Unlock()
	select {
	case <-t.done:
		return t.err
	default:
	}
	late, stop := s.Clock.After(s.LockTimeout)
	defer stop()
	select {
	case <-t.done:
		return t.err
	case <-late:
		return s.giveUp(t, fmt.Errorf("memory store: waited too long for a lock: %w", runtime.ErrUnavailable))
	case <-ctx.Done():
		return s.giveUp(t, ctx.Err())
	}
}

func (s *Store) giveUp(t *transaction, reason error) error {
	s.rollback(t)
	select {
	case <-t.done: // It was faster.
		return t.err
	default:
		return reason
	}
}

// proceed takes what steps can be taken, those of the calls that came first before others.
func (s *Store) proceed() {
	for again := true; again; {
		again = false
		for _, t := range slices.Clone(s.waiting) {
			again = s.advance(t) || again
		}
	}
}

// advance takes what steps of one transaction can be taken, and says whether those were all.
func (s *Store) advance(t *transaction) bool {
	for len(t.steps) > 0 && t.err == nil {
		next := t.steps[0]
		if next.do != nil {
			t.err = next.do()
		} else if !s.lock(t, next.lock) {
			return false
		}
		t.steps = t.steps[1:]
	}
	s.forget(t)
	if !t.open || t.err != nil {
		s.unlock(t)
	}
	close(t.done)
	return true
}

func (s *Store) lock(t *transaction, l lock) bool {
	switch s.locks[l] {
	case t:
		return true
	case nil:
		s.locks[l] = t
		t.held = append(t.held, l)
		return true
	default:
		return false
	}
}

func (s *Store) unlock(t *transaction) {
	t.over = true
	for _, l := range t.held {
		delete(s.locks, l)
	}
	t.held = nil
}

func (s *Store) forget(t *transaction) {
	s.waiting = slices.DeleteFunc(s.waiting, func(other *transaction) bool { return other == t })
}

// rollback undoes a transaction, unless it has come to its end.
func (s *Store) rollback(t *transaction) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if t.over {
		return
	}
	s.forget(t)
	s.unlock(t)
	s.proceed()
}
