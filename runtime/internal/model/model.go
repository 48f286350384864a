// Package model is what the drivers with a bun.DB share about tables of rows: which structs are models of a row, and the
// statements that bun makes of rows. It sends nothing; a driver does, in its own transaction.
package model

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Table is the table of a model as bun sees it.
type Table struct {
	*schema.Table
	db *bun.DB
	// hooked says that the model has a hook that may change a row before it is written.
	hooked bool
	// upsert is what bun appends to an insert that may find its primary key.
	upsert string
}

// Of returns the table of a model. The error names the model and what is wrong with it.
func Of(db *bun.DB, model reflect.Type) (t *Table, err error) {
	defer func() {
		if p := recover(); p != nil { // bun panics where it can't understand a struct
			t, err = nil, fmt.Errorf("%v is no model of a row: %v", model, p)
		}
	}()
	if model == nil || model.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is no model of a row: it is no struct", model)
	}
	t = &Table{Table: db.Table(model), db: db}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("%v is no model of a row: %w", model, err)
	}
	row := reflect.New(model).Interface()
	_, appends := row.(bun.BeforeAppendModelHook)
	_, inserts := row.(bun.BeforeInsertHook)
	_, deletes := row.(bun.BeforeDeleteHook)
	t.hooked = appends || inserts || deletes
	t.upsert = t.onConflict()
	return t, nil
}

func (t *Table) check() error {
	if len(t.PKs) == 0 {
		return errors.New("it has no primary key")
	}
	for _, field := range t.Fields {
		if field.Append == nil {
			return fmt.Errorf("column %s: bun can't write a %v", field.Name, field.StructField.Type)
		}
	}
	switch reflect.New(t.Type).Interface().(type) {
	case bun.AfterInsertHook:
		return errors.New("its hook AfterInsert would not be called")
	case bun.AfterDeleteHook:
		return errors.New("its hook AfterDelete would not be called")
	}
	return nil
}

func (t *Table) onConflict() string {
	primary := make([]string, len(t.PKs))
	for i, field := range t.PKs {
		primary[i] = string(field.SQLName)
	}
	action := ") DO UPDATE"
	if len(t.DataFields) == 0 {
		action = ") DO NOTHING"
	}
	return "CONFLICT (" + strings.Join(primary, ", ") + action
}

// InOrder says that the rows of the model must be written one after the other, in the order of their changes: what a
// hook makes of a row, or a deletion that only marks, is not known before.
func (t *Table) InOrder() bool { return t.hooked || t.SoftDeleteField != nil }

// Uniform says that each row is written to the same columns, whatever is in it, also where a database has no word for a
// column's default.
func (t *Table) Uniform() bool {
	return !slices.ContainsFunc(t.Fields, func(f *schema.Field) bool {
		return f.NotNull && (f.NullZero || f.IsPtr || f.SQLDefault != "")
	})
}

// Missing returns the first column of the model that is not among columns, "" where all are.
func (t *Table) Missing(has func(column string) bool) string {
	for _, field := range t.Fields {
		if !has(field.Name) {
			return field.Name
		}
	}
	return ""
}

// Create creates the table if there is none of its name, with the model's hooks for that.
func (t *Table) Create(ctx context.Context) error {
	_, err := t.db.NewCreateTable().Model(t.ZeroIface).IfNotExists().Exec(ctx)
	return err
}
