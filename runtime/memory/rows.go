package memory

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/kappaflows/flows/runtime"
)

var _ runtime.RowStore = (*Store)(nil)

// rowTable holds the rows of one model by their primary keys as text.
type rowTable struct {
	primary []reflect.StructField
	rows    map[string]reflect.Value
}

// CreateTables makes the tables that are missing. A model is a struct with a primary key, which bun's tag says.
func (s *Store) CreateTables(ctx context.Context, tables []*runtime.RowTable) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mutex.Unlock()
	for _, table := range tables {
		primary, err := primaryKey(table.Model)
		if err != nil {
			return err
		}
		if s.rowTables[table.Model] == nil {
			s.rowTables[table.Model] = &rowTable{primary: primary, rows: map[string]reflect.Value{}}
		}
	}
	return nil
}

func primaryKey(model reflect.Type) (primary []reflect.StructField, _ error) {
	if model == nil || model.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is no model of a row: it is no struct", model)
	}
	for _, field := range reflect.VisibleFields(model) {
		_, options, _ := strings.Cut(field.Tag.Get("bun"), ",")
		if field.IsExported() && slices.Contains(strings.Split(options, ","), "pk") {
			primary = append(primary, field)
		}
	}
	if len(primary) == 0 {
		return nil, fmt.Errorf("%v is no model of a row: it has no primary key", model)
	}
	return primary, nil
}

// key returns the primary key of a row as text.
func (t *rowTable) key(row reflect.Value) string {
	var text strings.Builder
	for _, field := range t.primary {
		fmt.Fprintf(&text, "%q", fmt.Sprint(row.FieldByIndex(field.Index).Interface()))
	}
	return text.String()
}

// RowsOf returns copies of the rows of a model, in the order of their primary keys as text, for assertions.
func RowsOf[R any](s *Store) (rows []R) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	t := s.rowTables[reflect.TypeFor[R]()]
	if t == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(t.rows)) {
		rows = append(rows, t.rows[key].Interface().(R))
	}
	return rows
}

// Select sets a slice, to which rows points, to copies of the rows of its model, in no order. It is RowsOf for who does not
// know the model.
func (s *Store) Select(rows any) error {
	slice := reflect.ValueOf(rows).Elem()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	t := s.rowTables[slice.Type().Elem()]
	if t == nil {
		return fmt.Errorf("the table of %v does not exist", slice.Type().Elem())
	}
	slice.SetZero()
	for _, row := range t.rows {
		slice.Set(reflect.Append(slice, row))
	}
	return nil
}

// changedRows are rows to be written, or deleted where the value is the zero one.
type changedRows map[*rowTable]map[string]reflect.Value

func (c changedRows) apply() {
	for table, rows := range c {
		for key, row := range rows {
			if row.IsValid() {
				table.rows[key] = row
			} else {
				delete(table.rows, key)
			}
		}
	}
}

// change works out what changes do, in order, and changes nothing.
func (s *Store) change(changes []runtime.Change) (changedRows, error) {
	changed := changedRows{}
	for _, change := range changes {
		if err := s.changeOne(change, changed); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

func (s *Store) changeOne(change runtime.Change, changed changedRows) error {
	table := s.rowTables[change.Table.Model]
	if table == nil {
		return fmt.Errorf("the table of %v does not exist", change.Table.Model)
	}
	if refuse := s.hooks.Refuse; refuse != nil {
		if err := refuse(change); err != nil {
			return fmt.Errorf("%w: %w", runtime.ErrRefused, err)
		}
	}
	return changed.add(table, change)
}

// add works out what one change does after the others.
func (c changedRows) add(table *rowTable, change runtime.Change) error {
	rows := c[table]
	if rows == nil {
		rows = map[string]reflect.Value{}
		c[table] = rows
	}
	row := reflect.Indirect(reflect.ValueOf(change.Row))
	key := table.key(row)
	before, changed := rows[key]
	if !changed {
		before = table.rows[key]
	}
	switch {
	case change.Kind == runtime.Delete:
		rows[key] = reflect.Value{}
	case change.Kind == runtime.Insert && before.IsValid():
		return fmt.Errorf("%w: there is one with the primary key %s", runtime.ErrRefused, key)
	default:
		rows[key] = row
	}
	return nil
}
