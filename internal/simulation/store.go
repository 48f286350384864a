package simulation

import (
	"context"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"strings"

	"github.com/kappaflows/flows/runtime"
)

// faultyStore is the store as a process reaches it.
type faultyStore struct {
	runtime.Store
	port port
}

func (s faultyStore) Claim(ctx context.Context, key runtime.CheckpointKey) (runtime.Checkpoint, error) {
	var cp runtime.Checkpoint
	err := s.port.call(ctx, request{
		kind: claiming, risk: changing, detach: func() {},
		do: func(ctx context.Context) (err error) {
			if cp, err = s.Store.Claim(ctx, key); err == nil {
				s.port.process.world.advance(key, cp.Epoch, cp.Next)
			}
			return err
		},
		text: func() string {
			if cp.Epoch == 0 {
				return "claims it"
			}
			return "claims it: " + textOfCheckpoint(&cp)
		},
	})
	if err != nil {
		// What a late call is answered is nobody's.
		return runtime.Checkpoint{}, err
	}
	s.port.process.claims(key, cp.Identity)
	return cp, nil
}

func textOfCheckpoint(cp *runtime.Checkpoint) string {
	return fmt.Sprintf("epoch %d, next offset %d, producer %d.%d, %d pending, trace %x", cp.Epoch, cp.Next,
		cp.Identity.ProducerID, cp.Identity.Epoch, pendingOf(cp.Pending), digest(cp.Fresh, cp.TopicID, cp.Sequences, cp.Pending, cp.Updated.UnixNano()))
}

func pendingOf(slots [runtime.Slots][]byte) (n int) {
	for _, slot := range slots {
		if len(slot) > 0 {
			n++
		}
	}
	return n
}

// digest is a number of a value that is too long to tell.
func digest(of ...any) uint32 {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%+v", of)
	return h.Sum32()
}

func (s faultyStore) Load(ctx context.Context, table string, keys []string) (rows []runtime.StateRow, err error) {
	err = s.port.call(ctx, request{
		kind: loading, risk: asking,
		do: func(ctx context.Context) (err error) {
			rows, err = s.Store.Load(ctx, table, keys)
			return err
		},
		text: func() string { return fmt.Sprintf("loads %d states of %q: trace %x", len(rows), keys, digest(rows)) },
	})
	return rows, err
}

func (s faultyStore) Checkpoints(ctx context.Context, function string) (rows []runtime.Checkpoint, err error) {
	err = s.port.call(ctx, request{
		kind: listing, risk: asking,
		do: func(ctx context.Context) (err error) {
			rows, err = s.Store.Checkpoints(ctx, function)
			return err
		},
		text: func() string {
			texts := []string{fmt.Sprintf("looks at %d checkpoints", len(rows))}
			for i := range rows {
				texts = append(texts, textOfCheckpoint(&rows[i]))
			}
			return strings.Join(texts, "; ")
		},
	})
	return rows, err
}

func (s faultyStore) Commit(ctx context.Context, commit *runtime.Commit) error {
	p, l := s.port.process, s.port.lane(ctx, committing)
	p.checkUnlocked(l, commit)
	err := s.port.call(ctx, request{
		kind: committing, risk: changing, detach: func() { commit = cloneCommit(commit) },
		do: func(ctx context.Context) error {
			err := s.Store.Commit(ctx, commit)
			if err == nil {
				p.world.advance(commit.CheckpointKey, commit.Epoch, commit.Next)
			}
			return err
		},
		text: func() string { return textOf(commit) },
	})
	p.heard(l, err, false)
	return err
}

func (s faultyStore) CommitLocked(ctx context.Context, table string, keys []string,
	compute func([]runtime.StateRow) (*runtime.Commit, error),
) error {
	p, l := s.port.process, s.port.lane(ctx, committing)
	var commit *runtime.Commit
	absent := false
	inside := func(context.Context) error { return nil }
	err := s.port.call(ctx, request{
		kind: committing, risk: halving, inside: &inside,
		do: func(ctx context.Context) error {
			err := s.Store.CommitLocked(ctx, table, keys, func(rows []runtime.StateRow) (_ *runtime.Commit, err error) {
				absent = len(rows) < len(keys)
				if err := p.turn(ctx, l, 0); err != nil {
					return nil, err
				}
				if commit, err = compute(rows); err != nil {
					return nil, err
				}
				if err := inside(ctx); err != nil {
					return nil, err
				}
				return commit, p.turn(ctx, l, 0)
			})
			if err == nil {
				p.world.advance(commit.CheckpointKey, commit.Epoch, commit.Next)
			}
			return err
		},
		text: func() string {
			if commit == nil {
				return fmt.Sprintf("locks %q", keys)
			}
			return textOf(commit) + fmt.Sprintf(" with %q locked", keys)
		},
	})
	p.heard(l, err, !absent)
	return err
}

func textOf(c *runtime.Commit) string {
	what := fmt.Sprintf("commits offsets %d to %d", c.From, c.Next-1)
	if c.From == c.Next {
		what = fmt.Sprintf("commits at offset %d", c.From)
	}
	puts, clears := 0, 0
	for _, put := range c.Put {
		switch {
		case len(put) > 0:
			puts++
		case put != nil:
			clears++
		}
	}
	return fmt.Sprintf("%s as epoch %d: %d states, %d pending, %d cleared, trace %x",
		what, c.Epoch, len(c.Writes.Keys)+len(c.Deletes.Keys), puts, clears,
		digest(c.TopicID, c.Identity, c.Sequences, c.Put, c.Writes, c.Deletes, textOfChanges(c.Changes)))
}

func textOfChanges(changes []runtime.Change) (texts []string) {
	for _, change := range changes {
		texts = append(texts, fmt.Sprint(change.Kind, reflect.Indirect(reflect.ValueOf(change.Row))))
	}
	return texts
}

func cloneCommit(c *runtime.Commit) *runtime.Commit {
	clone := *c
	for i, put := range clone.Put {
		if put != nil {
			clone.Put[i] = append([]byte{}, put...)
		}
	}
	clone.Writes.Keys, clone.Deletes.Keys = slices.Clone(c.Writes.Keys), slices.Clone(c.Deletes.Keys)
	clone.Writes.Versions, clone.Deletes.Versions = slices.Clone(c.Writes.Versions), slices.Clone(c.Deletes.Versions)
	clone.Writes.Fresh, clone.Writes.States = slices.Clone(c.Writes.Fresh), slices.Clone(c.Writes.States)
	for i, state := range clone.Writes.States {
		clone.Writes.States[i] = slices.Clone(state)
	}
	clone.Changes = slices.Clone(c.Changes)
	return &clone
}
