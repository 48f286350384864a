package runtime

import (
	"context"
	"errors"
	"reflect"
)

// ErrRefused says that a database refuses a batch for what is in one of its rows: a constraint, a type, a length. Trying
// again does not help.
var ErrRefused = errors.New("the database refuses a row")

// ErrUndeclaredTable says that a function made a change of a table that it does not declare.
var ErrUndeclaredTable = errors.New("the table is not among the function's tables")

// RowTable is a table of rows that people read, written by functions that materialise. The driver knows its name and
// columns from the model.
type RowTable struct {
	// Model is the struct type of a row: a bun model.
	Model reflect.Type
}

// Change is one change of a table of rows.
type Change struct {
	Table *RowTable
	Kind  ChangeKind
	// Row is a pointer to a Model; a Delete needs its primary key only. It is not changed afterwards.
	Row any
}

// ChangeKind is what a Change does.
type ChangeKind uint8

const (
	// Upsert inserts the row, or replaces the one with its primary key.
	Upsert ChangeKind = iota
	// Insert inserts the row; one with its primary key must not be there.
	Insert
	// Delete deletes the row with the primary key, if there is one.
	Delete
)

// RowStore is what a Store also implements that can hold tables of rows: its Commit then applies Commit.Changes in order,
// in the same transaction as everything else, and fails with ErrRefused where a row is bad.
type RowStore interface {
	// CreateTables creates the tables that are missing and leaves the others as they are. What is wrong with a model is a
	// final error.
	CreateTables(ctx context.Context, tables []*RowTable) error
}

// refusedError is ErrRefused with the messages that it came of.
type refusedError struct {
	from, next int64
	messages   int
	err        error
}

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// suspects finds the message whose row a database refuses, by smaller and smaller batches. The owner keeps it from one
// claim to the next; a claim's goroutines use it one after the other.
type suspects struct {
	// limit bounds the messages of a batch; 0 does not.
	limit int
	// searching says that a message is looked for: batches do not get larger.
	searching bool
	// until is the offset behind the batch that was refused first: once it is reached the search is over.
	until int64
	// found is the message, and reason why; -1 is none.
	found  int64
	reason error
}

// refused narrows the search.
func (s *suspects) refused(e *refusedError) {
	s.until = max(s.until, e.next)
	if s.searching = e.messages > 1; s.searching {
		s.limit = e.messages / 2
		return
	}
	s.found, s.reason = e.from, Permanent(e.err)
	s.limit = 1
}

// passed is told of each batch that was committed.
func (s *suspects) passed(b *batch) {
	switch {
	case s.limit == 0:
	case b.next >= s.until:
		*s = suspects{found: noSuspect}
	case !s.searching:
		// One is found; there may be more before until, but most messages are good.
		s.limit *= 2
	}
}

// noSuspect is the offset of no message.
const noSuspect = -1
