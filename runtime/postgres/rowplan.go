package postgres

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/kappaflows/flows/runtime"
)

// rowPlan is how the changes of a batch are made: by their net effect, with few statements for many rows.
//
// Nobody can tell that from making one change after the other, but for constraints that one of the changes breaks and
// another one mends, and for rows that a later change replaces, which the database does not see. Where a constraint is broken
// the batch is tried again with one statement for each change, in their order.
type rowPlan struct {
	steps []step
	// sensitive says that a constraint may be broken for the order of the statements alone.
	sensitive bool
}

// effect is the net effect of changes on one table: rows to delete, then rows to insert, then rows to insert or replace; each
// by primary key.
type effect struct {
	deletes, inserts, upserts []any
}

// rowPlan works out how a batch's changes are made.
func (s *Store) rowPlan(ctx context.Context, conn *pgx.Conn, batch *runtime.Commit, inOrder bool) (plan rowPlan, err error) {
	tables := map[*rowTable][]*runtime.Change{}
	for i := range batch.Changes {
		change := &batch.Changes[i]
		t, err := s.rowTable(ctx, conn, change.Table.Model)
		if err != nil {
			return plan, err
		}
		tables[t] = append(tables[t], change)
		inOrder = inOrder || t.inOrder || t.cascades && change.Kind == runtime.Delete
	}
	add := func(t *rowTable, kind runtime.ChangeKind, rows ...any) {
		var steps []step
		if err == nil && len(rows) > 0 {
			steps, err = t.steps(ctx, conn, batch, kind, rows)
			plan.steps = append(plan.steps, steps...)
		}
	}
	if inOrder {
		for i := range batch.Changes {
			change := &batch.Changes[i]
			t, _ := s.rowTable(ctx, conn, change.Table.Model) // known since above
			add(t, change.Kind, change.Row)
		}
		return plan, err
	}
	sorted := slices.SortedFunc(maps.Keys(tables), func(a, b *rowTable) int { return cmp.Compare(a.order, b.order) })
	var first, second []effect
	for _, t := range sorted {
		before, after, sensitive, err := t.collapse(tables[t])
		if err != nil {
			return plan, refusedRow(batch, t.Name, err.Error(), nil)
		}
		first, second = append(first, before), append(second, after)
		plan.sensitive = plan.sensitive || sensitive || len(sorted) > 1
	}
	for _, phase := range [][]effect{first, second} {
		for i, t := range slices.Backward(sorted) {
			add(t, runtime.Delete, phase[i].deletes...)
		}
		for i, t := range sorted {
			add(t, runtime.Insert, phase[i].inserts...)
			add(t, runtime.Upsert, phase[i].upserts...)
		}
	}
	return plan, err
}

// collapse returns the net effect of changes of one table. It takes a second one behind the first only where a row is
// inserted, which finds out that it was not there, and deleted again. sensitive is false where the order of the changes
// does not matter whatever the table's constraints are.
func (t *rowTable) collapse(changes []*runtime.Change) (first, second effect, sensitive bool, err error) {
	sorted, err := t.sortRows(changes)
	if err != nil {
		return first, second, false, err
	}
	for start, end := 0, 0; start < len(sorted); start = end {
		row := netRow{}
		for end = start; end < len(sorted) && slices.Equal(sorted[end].key, sorted[start].key); end++ {
			if err := row.apply(sorted[end].Change); err != nil {
				return first, second, false, err
			}
		}
		sensitive = sensitive || end-start > 1 || sorted[start].Kind != runtime.Insert
		row.add(&first, &second)
	}
	return first, second, sensitive, nil
}

// netRow is what changes of one primary key come to.
type netRow struct {
	// fresh is the row that was inserted first of all, nil where that was not the first change.
	fresh any
	// deleted says that there was a deletion; key is a row of it.
	deleted bool
	key     any
	// row is what is there at the end, as the first of its changes put it there; nil is nothing.
	row     any
	kind    runtime.ChangeKind
	changes int
}

var errThere = errors.New("a row with its primary key is there already")

func (n *netRow) apply(change *runtime.Change) error {
	switch {
	case change.Kind == runtime.Delete:
		if n.fresh != nil && !n.deleted {
			n.fresh = n.row
		}
		n.deleted, n.key, n.row = true, change.Row, nil
	case change.Kind == runtime.Insert && n.row != nil:
		return errThere
	default:
		if n.row == nil {
			n.kind = change.Kind
		}
		n.row = change.Row
		if n.changes == 0 && n.kind == runtime.Insert {
			n.fresh = n.row
		}
	}
	n.changes++
	return nil
}

func (n *netRow) add(first, second *effect) {
	to := first
	if n.deleted {
		if n.fresh != nil {
			first.inserts = append(first.inserts, n.fresh)
			to = second
		}
		to.deletes = append(to.deletes, n.key)
	}
	switch {
	case n.row == nil:
	case n.kind == runtime.Insert:
		to.inserts = append(to.inserts, n.row)
	default:
		to.upserts = append(to.upserts, n.row)
	}
}

// rowsAtOnce is how many rows a statement that bun wrote has at most.
const rowsAtOnce = 500

// steps returns the statements that change rows, all in one way.
func (t *rowTable) steps(ctx context.Context, conn *pgx.Conn, batch *runtime.Commit, kind runtime.ChangeKind, rows []any) (steps []step, err error) {
	if t.columns != nil {
		one, err := t.arrays(ctx, conn, batch, kind, rows)
		return []step{one}, err
	}
	for chunk := range slices.Chunk(rows, rowsAtOnce) {
		var text string
		if kind == runtime.Delete {
			text, err = t.Delete(ctx, chunk)
		} else {
			text, err = t.Insert(ctx, chunk, kind == runtime.Upsert)
		}
		if err != nil {
			return nil, refusedRow(batch, t.Name, oneLine(err.Error()), nil)
		}
		steps = append(steps, step{text: text, rows: t})
	}
	return steps, nil
}

// arrays returns the statement that changes rows given as one array for each column.
func (t *rowTable) arrays(ctx context.Context, conn *pgx.Conn, batch *runtime.Commit, kind runtime.ChangeKind, rows []any) (step, error) {
	var text string
	columns := t.columns
	switch kind {
	case runtime.Upsert:
		text = t.upsert
	case runtime.Insert:
		text = t.insert
	case runtime.Delete:
		text, columns = t.delete, t.primary
	}
	statement, err := conn.Prepare(ctx, text, text)
	if err != nil {
		return step{}, err
	}
	params, err := arrays(columns, rows)
	if err != nil {
		return step{}, refusedRow(batch, t.Name, err.Error(), nil)
	}
	return step{statement: statement, params: params, rows: t}, nil
}
