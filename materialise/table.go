package materialise

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/kappaflows/flows/runtime"
)

// Table is a table whose rows are R, a bun model: a struct whose fields are the columns and that has a primary key. It
// is the only thing that makes a change of the table, so the compiler checks the types of all rows. Make one with
// TableOf; it never changes afterwards and is safe for use by many goroutines.
type Table[R any] struct{ table runtime.RowTable }

// TableOf declares the table of a model. A type that is no struct is reported when the app is validated, before anything
// connects.
func TableOf[R any]() *Table[R] {
	return &Table[R]{table: runtime.RowTable{Model: reflect.TypeFor[R]()}}
}

// Upsert makes changes that insert each row, or replace the one with its primary key.
func (t *Table[R]) Upsert(rows ...R) Changes { return t.changes(runtime.Upsert, rows) }

// Insert makes changes that insert each row. Where one with its primary key is there already, the database refuses it.
func (t *Table[R]) Insert(rows ...R) Changes { return t.changes(runtime.Insert, rows) }

// Delete makes changes that delete the row with each one's primary key, if there is one; other columns do not matter.
func (t *Table[R]) Delete(rows ...R) Changes { return t.changes(runtime.Delete, rows) }

func (t *Table[R]) changes(kind runtime.ChangeKind, rows []R) Changes {
	rows = slices.Clone(rows)
	changes := make(Changes, len(rows))
	for i := range rows {
		changes[i] = runtime.Change{Table: &t.table, Kind: kind, Row: &rows[i]}
	}
	return changes
}

// Changes are the changes that a message makes, in order; nil is none. Only a Table makes them; those of several tables
// are put together with append.
type Changes []runtime.Change

// Declared is any table, whatever its rows: what Tables holds. Only *Table implements it.
type Declared interface{ rowTable() *runtime.RowTable }

func (t *Table[R]) rowTable() *runtime.RowTable {
	if t == nil {
		return nil
	}
	return &t.table
}

// Tables declares tables of any rows.
type Tables []Declared

func (t Tables) rows() []*runtime.RowTable {
	tables := make([]*runtime.RowTable, len(t))
	for i, declared := range t {
		if declared != nil {
			tables[i] = declared.rowTable()
		}
	}
	return tables
}

// problems says what is wrong with the declaration, one line a problem.
func (t Tables) problems() (problems []string) {
	if len(t) == 0 {
		return []string{"a function that materialises needs a table"}
	}
	seen := make(map[reflect.Type]bool, len(t))
	for i, table := range t.rows() {
		switch {
		case table == nil:
			problems = append(problems, fmt.Sprintf("table %d of %d is nil", i+1, len(t)))
		case table.Model == nil:
			problems = append(problems, fmt.Sprintf("table %d of %d: make it with TableOf", i+1, len(t)))
		case table.Model.Kind() != reflect.Struct:
			problems = append(problems, fmt.Sprintf("table %d of %d: a row is a struct, and %s is none", i+1, len(t), table.Model))
		case seen[table.Model]:
			problems = append(problems, fmt.Sprintf("the table of %s is listed twice", table.Model))
		default:
			seen[table.Model] = true
		}
	}
	return problems
}
