package sqlite

import (
	"context"
	"errors"
	"strings"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/internal/rows"
)

// stateTable is a state table as it is in the file, with the statements on it.
type stateTable struct {
	runtime.StateTable
	loadFew, loadMany, insert, update, delete string
}

// How many keys one query asks for: few or many, so that there are two statements and not one for each number.
const (
	few  = 4
	many = 250
)

func newStateTable(table runtime.StateTable) *stateTable {
	load := func(keys int) string {
		return `select key, state, version from ` + quote(table.Name) + ` where key in (?` + strings.Repeat(`, ?`, keys-1) + `)`
	}
	return &stateTable{
		StateTable: table,
		loadFew:    load(few),
		loadMany:   load(many),
		insert: `insert into ` + quote(table.Name) + ` (key, state, version, updated_at) values (?, ?, ?, ?)
			on conflict (key) do nothing`,
		update: `update ` + quote(table.Name) + ` set state = ?, version = ?, updated_at = ? where key = ? and version = ?`,
		delete: `delete from ` + quote(table.Name) + ` where key = ? and version = ?`,
	}
}

// key is a key as the key column takes it.
func (t *stateTable) key(key string) any {
	if t.Key == format.Text {
		return key
	}
	return []byte(key)
}

// state is a state as the state column takes it.
func (t *stateTable) state(state []byte) any {
	if t.State == format.Document {
		return string(state)
	}
	return append([]byte{}, state...) // nil would be a null
}

// Load returns the rows of the keys.
func (s *Store) Load(ctx context.Context, table string, keys []string) ([]runtime.StateRow, error) {
	t, err := s.table(ctx, table)
	if err != nil {
		return nil, explain(ctx, "load from "+table, err)
	}
	found, err := load(ctx, s.reader, t, keys)
	return found, explain(ctx, "load from "+table, err)
}

func load(ctx context.Context, from querier, t *stateTable, keys []string) (found []runtime.StateRow, err error) {
	for len(keys) > 0 {
		query, size := t.loadMany, many
		if len(keys) <= few {
			query, size = t.loadFew, few
		}
		n := min(size, len(keys))
		args := make([]any, size)
		for i := range args {
			args[i] = t.key(keys[min(i, n-1)]) // the last one again and again
		}
		if found, err = loadSome(ctx, from, query, args, found); err != nil {
			return nil, err
		}
		keys = keys[n:]
	}
	return found, nil
}

func loadSome(ctx context.Context, from querier, query string, keys []any, found []runtime.StateRow) (_ []runtime.StateRow, err error) {
	result, err := from.QueryContext(ctx, query, keys...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	for result.Next() {
		var row runtime.StateRow
		if err := result.Scan(&row.Key, &row.State, &row.Version); err != nil {
			return nil, err
		}
		found = append(found, row)
	}
	return found, result.Err()
}

// Commit applies a batch.
func (s *Store) Commit(ctx context.Context, batch *runtime.Commit) error {
	t, err := s.check(ctx, batch)
	if err != nil {
		return explain(ctx, "commit "+name(batch.CheckpointKey), err)
	}
	return s.write(ctx, "commit "+name(batch.CheckpointKey), func() error { return s.apply(ctx, t, batch) })
}

// CommitLocked loads, computes and commits in one transaction, beside which nothing is written.
func (s *Store) CommitLocked(ctx context.Context, table string, keys []string,
	compute func([]runtime.StateRow) (*runtime.Commit, error),
) error {
	t, err := s.table(ctx, table)
	if err != nil {
		return explain(ctx, "commit to "+table, err)
	}
	var computing error
	err = s.write(ctx, "commit to "+table, func() error {
		found, err := load(ctx, s.writer.conn, t, keys)
		if err != nil {
			return err
		}
		batch, err := compute(found)
		if err != nil {
			computing = err
			return err
		}
		t, err := s.check(ctx, batch)
		if err != nil {
			return err
		}
		return s.apply(ctx, t, batch)
	})
	if computing != nil {
		return computing
	}
	return err
}

// check returns the table that a batch writes, an empty one where it writes none, and refuses what the columns can't hold:
// SQLite itself would take anything.
func (s *Store) check(ctx context.Context, batch *runtime.Commit) (*stateTable, error) {
	if len(batch.Writes.Keys)+len(batch.Deletes.Keys) == 0 {
		return &stateTable{}, nil // nothing is written to it
	}
	t, err := s.table(ctx, batch.Table)
	if err != nil {
		return nil, err
	}
	if err := rows.CheckBatch(batch); err != nil {
		return nil, final("sqlite: commit %s: %v", name(batch.CheckpointKey), err)
	}
	if err := rows.CheckStates(t.StateTable, batch.Writes); err != nil {
		return nil, final("sqlite: commit %s: %v", name(batch.CheckpointKey), err)
	}
	return t, nil
}

// apply writes a batch in the transaction that is open.
func (w *writer) apply(ctx context.Context, t *stateTable, batch *runtime.Commit) error {
	if err := w.moveCheckpoint(ctx, batch); err != nil {
		return err
	}
	written, writes := now(), batch.Writes
	one := func(text string, args ...any) error {
		changed, err := w.changed(ctx, text, args...)
		if err == nil && changed != 1 {
			return refused(batch, runtime.ErrConflict)
		}
		return err
	}
	for i, key := range writes.Keys {
		var err error
		if version := writes.Versions[i]; writes.Fresh[i] {
			err = one(t.insert, t.key(key), t.state(writes.States[i]), version, written)
		} else {
			err = one(t.update, t.state(writes.States[i]), version, written, t.key(key), version-1)
		}
		if err != nil {
			return err
		}
	}
	for i, key := range batch.Deletes.Keys {
		if err := one(t.delete, t.key(key), batch.Deletes.Versions[i]); err != nil {
			return err
		}
	}
	return nil
}
