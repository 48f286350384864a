package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/kappaflows/flows/runtime/internal/rows"
)

// Insert returns the statement that inserts rows, pointers to models; with upsert, it replaces those whose primary key is
// there. An error is what is wrong with one of the rows.
func (t *Table) Insert(ctx context.Context, rows []any, upsert bool) (string, error) {
	own := t.own(rows)
	query := t.db.NewInsert().Model(t.models(own)).Returning("")
	if upsert {
		query = query.On(t.upsert)
	}
	if hook, ok := t.ZeroIface.(bun.BeforeInsertHook); ok {
		if err := hook.BeforeInsert(ctx, query); err != nil {
			return "", err
		}
	}
	return t.render(ctx, query, own, t.Fields)
}

// Delete returns the statement that deletes the rows with the primary keys of rows, as bun does: where the model has a
// column for it, rows are only marked.
func (t *Table) Delete(ctx context.Context, rows []any) (string, error) {
	own := t.own(rows)
	query := t.db.NewDelete().Model(t.models(own)).WherePK().Returning("")
	if hook, ok := t.ZeroIface.(bun.BeforeDeleteHook); ok {
		if err := hook.BeforeDelete(ctx, query); err != nil {
			return "", err
		}
	}
	return t.render(ctx, query, own, t.PKs)
}

// own returns pointers to the rows, to copies where bun may change them.
func (t *Table) own(rows []any) []reflect.Value {
	own := make([]reflect.Value, len(rows))
	for i, row := range rows {
		own[i] = reflect.ValueOf(row)
		if t.InOrder() {
			own[i] = reflect.New(t.Type)
			own[i].Elem().Set(reflect.ValueOf(row).Elem())
		}
	}
	return own
}

// models is what bun takes as the model of a query: one row, or a pointer to a slice.
func (t *Table) models(rows []reflect.Value) any {
	if len(rows) == 1 {
		return rows[0].Interface() // bun compares its key column by column, which every database understands
	}
	models := reflect.New(reflect.SliceOf(reflect.PointerTo(t.Type)))
	models.Elem().Set(reflect.Append(models.Elem(), rows...))
	return models.Interface()
}

func (t *Table) render(ctx context.Context, query bun.Query, rows []reflect.Value, fields []*schema.Field) (string, error) {
	for _, row := range rows {
		if hook, ok := reflect.TypeAssert[bun.BeforeAppendModelHook](row); ok {
			if err := hook.BeforeAppendModel(ctx, query); err != nil {
				return "", err
			}
		}
		if err := t.checkRow(row.Elem(), fields); err != nil {
			return "", err
		}
	}
	checked := &checkedDialect{Dialect: t.db.Dialect()}
	text, err := query.AppendQuery(schema.NewQueryGen(checked), nil)
	switch {
	case err != nil:
		return "", err
	case checked.err != nil:
		return "", checked.err
	case bytes.IndexByte(text, 0) >= 0 || !utf8.Valid(text):
		return "", errors.New("text in a database is UTF-8 without NUL characters")
	}
	return string(text), nil
}

// failed is what bun writes in place of a value that it can't write.
const failed = "?!("

// checkRow finds a value that bun can't write, which bun itself would send as a statement that can't be understood.
func (t *Table) checkRow(row reflect.Value, fields []*schema.Field) error {
	gen := schema.NewQueryGen(t.db.Dialect())
	for _, field := range fields {
		if scalar(field.StructField.Type) {
			continue
		}
		text := field.AppendValue(gen, nil, row)
		if bytes.HasPrefix(text, []byte(failed)) {
			reason := strings.TrimSuffix(string(text[len(failed):]), ")")
			return fmt.Errorf("column %s: %s", field.Name, strings.Join(strings.Fields(reason), " "))
		}
	}
	return nil
}

// scalar says whether values of a type are always written, or refused by checkedDialect.
func scalar(of reflect.Type) bool {
	if of.PkgPath() != "" {
		return false
	}
	switch of.Kind() { //nolint:exhaustive // the others are not scalar
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return false
}

// checkedDialect remembers what can't be in a database's text, where bun would write something else instead.
type checkedDialect struct {
	schema.Dialect
	err error
}

func (d *checkedDialect) AppendString(b []byte, text string) []byte {
	if err := rows.CheckText(text); err != nil {
		d.err = err
	}
	return d.Dialect.AppendString(b, text)
}

// AppendJSON leaves a document as it is. bun's own looks for escaped NUL characters and takes some backslashes for a part
// of one.
func (d *checkedDialect) AppendJSON(b, document []byte) []byte {
	if rows.EscapesNUL(document) {
		d.err = rows.ErrNULInJSON
	}
	b = append(b, '\'')
	b = append(b, bytes.ReplaceAll(document, []byte(`'`), []byte(`''`))...)
	return append(b, '\'')
}
