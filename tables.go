package flows

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"

	"github.com/kappaflows/flows/runtime"
)

// migrate makes the functions' tables, and the store's own. It changes nothing that is already right.
func (d *drivers) migrate(ctx context.Context, functions []*runtime.Function) error {
	if d.store == nil {
		return nil
	}
	if err := d.store.Migrate(ctx, tablesOf(functions)); err != nil {
		return err
	}
	rows := rowTables(functions)
	if len(rows) == 0 {
		return nil
	}
	store, can := d.store.(runtime.RowStore)
	if !can {
		return fmt.Errorf("%s cannot hold the rows of table %s", d.storeName, rowTableName(rows[0]))
	}
	return store.CreateTables(ctx, rows)
}

// tablesOf returns the tables of states of the functions.
func tablesOf(functions []*runtime.Function) (tables []runtime.StateTable) {
	for _, f := range functions {
		if f.State != nil {
			tables = append(tables, f.State.Table)
		}
	}
	return tables
}

// rowTables returns the tables of rows of the functions, each once.
func rowTables(functions []*runtime.Function) (tables []*runtime.RowTable) {
	for _, f := range functions {
		for _, table := range f.Tables {
			if !slices.ContainsFunc(tables, func(t *runtime.RowTable) bool { return t.Model == table.Model }) {
				tables = append(tables, table)
			}
		}
	}
	return tables
}

// rowTableName returns the name that bun has for the table of a model. A model that bun does not take has the name of
// its type; the store says what is wrong with it.
func rowTableName(table *runtime.RowTable) (name string) {
	defer func() {
		if recover() != nil {
			name = table.Model.String()
		}
	}()
	return schema.NewTables(sqlitedialect.New()).Get(table.Model).Name
}
