package sqlite

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/internal/model"
)

var _ runtime.RowStore = (*Store)(nil)

// rowsAtOnce is how many rows one statement writes at most.
const rowsAtOnce = 100

// CreateTables makes the tables that are missing. Where all are there it only reads.
func (s *Store) CreateTables(ctx context.Context, tables []*runtime.RowTable) error {
	for _, table := range tables {
		t, err := s.rowTable(table.Model)
		if err != nil {
			return err
		}
		if err := s.createTable(ctx, t); err != nil {
			return explain(ctx, "create the table "+t.Name, err)
		}
	}
	return nil
}

func (s *Store) createTable(ctx context.Context, t *model.Table) error {
	columns, err := columnsOf(ctx, s.reader, t.Name)
	if err == nil && len(columns) == 0 {
		err = s.wait(ctx, "create the table "+t.Name, func() error { return t.Create(ctx) })
		if err == nil {
			columns, err = columnsOf(ctx, s.reader, t.Name)
		}
	}
	if err != nil {
		return err
	}
	has := func(name string) bool { _, ok := columns[name]; return ok }
	if column := t.Missing(has); column != "" {
		return final("sqlite: the model %v does not fit the table %q, which has no column %s", t.Type, t.Name, column)
	}
	return nil
}

// rowTable returns the table of a model.
func (s *Store) rowTable(of reflect.Type) (*model.Table, error) {
	if known, ok := s.rowTables.Load(of); ok {
		return known.(*model.Table), nil
	}
	t, err := model.Of(s.db, of)
	if err != nil {
		return nil, final("sqlite: %v", err)
	}
	s.rowTables.Store(of, t)
	return t, nil
}

// apply writes a batch in the transaction that is open.
func (s *Store) apply(ctx context.Context, t *stateTable, batch *runtime.Commit) error {
	if err := s.writer.apply(ctx, t, batch); err != nil {
		return err
	}
	for changes := batch.Changes; len(changes) > 0; {
		t, err := s.rowTable(changes[0].Table.Model)
		if err != nil {
			return err
		}
		n := run(t, changes)
		if err := s.change(ctx, batch, t, changes[:n]); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

// run returns how many of the changes one statement makes: those of one kind and table. SQLite writes the rows of a
// statement one after the other, so that their order stays.
func run(t *model.Table, changes []runtime.Change) int {
	first := changes[0]
	if t.InOrder() || !t.Uniform() || first.Kind == runtime.Delete && len(t.PKs) > 1 {
		return 1
	}
	n := 1
	for n < min(len(changes), rowsAtOnce) && changes[n].Kind == first.Kind && changes[n].Table.Model == first.Table.Model {
		n++
	}
	return n
}

// change makes changes of one kind of one table.
func (s *Store) change(ctx context.Context, batch *runtime.Commit, t *model.Table, changes []runtime.Change) (err error) {
	changed := make([]any, len(changes))
	for i, change := range changes {
		changed[i] = change.Row
	}
	var text string
	if kind := changes[0].Kind; kind == runtime.Delete {
		text, err = t.Delete(ctx, changed)
	} else {
		text, err = t.Insert(ctx, changed, kind == runtime.Upsert)
	}
	if err != nil {
		return refusedRow(batch, t, err)
	}
	if _, err = s.writer.conn.ExecContext(context.WithoutCancel(ctx), text); bad(err) {
		return refusedRow(batch, t, err)
	}
	return err
}

// bad says whether it is for what is in a row that SQLite fails.
func bad(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return true
	}
	return false
}

func refusedRow(batch *runtime.Commit, t *model.Table, err error) error {
	return &failure{
		line: "sqlite: commit " + name(batch.CheckpointKey) + ": " + runtime.ErrRefused.Error() + " of " + t.Name + ": " +
			strings.Join(strings.Fields(err.Error()), " "),
		decision: runtime.ErrRefused,
	}
}
