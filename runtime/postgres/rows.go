package postgres

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun/schema"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/internal/model"
)

var _ runtime.RowStore = (*Store)(nil)

// rowTable is a table of rows as it is in the database, with the statements on it.
type rowTable struct {
	*model.Table
	// order is the place of the table: rows are written in the order of their tables, and deleted the other way round.
	order int
	// primary are the columns of the primary key, and columns all of them; columns is nil where one of them is
	// written by bun.
	primary, columns []*rowColumn
	// inOrder says that the changes of a batch are made one after the other, for what they do is not known beforehand.
	inOrder bool
	// cascades says that the deletion of a row changes rows of other tables.
	cascades               bool
	insert, upsert, delete string
}

// rowTables are the tables of the models that were met.
type rowTables struct {
	mutex   sync.RWMutex
	byModel map[reflect.Type]*rowTable
}

// CreateTables makes the tables that are missing. Where all are there it only reads the catalogue, so that functions can
// run with a role that may not create tables. In a batch, rows are written table by table in the order in which CreateTables
// first saw the tables, and deleted in the reverse order.
func (s *Store) CreateTables(ctx context.Context, tables []*runtime.RowTable) error {
	for _, table := range tables {
		t, err := model.Of(s.db, table.Model)
		if err != nil {
			return final("postgres: %v", err)
		}
		err = s.with(ctx, "create the table "+t.Name, func(ctx context.Context, conn *pgx.Conn) error {
			if there, err := exists(ctx, conn, t); err != nil || there {
				return err
			}
			return locked(ctx, conn, func() error { return createRows(ctx, conn, t) })
		})
		if err != nil {
			return err
		}
		err = s.with(ctx, "look at the table "+t.Name, func(ctx context.Context, conn *pgx.Conn) error {
			_, err := s.rowTable(ctx, conn, table.Model)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// createRows makes a table that is still missing under the lock. Rows are rewritten, so that pages have room for the next
// version of a row beside it.
func createRows(ctx context.Context, conn *pgx.Conn, t *model.Table) error {
	if there, err := exists(ctx, conn, t); err != nil || there {
		return err
	}
	if err := t.Create(ctx); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, `alter table `+string(t.SQLName)+` set (fillfactor = 50)`)
	return err
}

func exists(ctx context.Context, conn *pgx.Conn, t *model.Table) (there bool, err error) {
	err = conn.QueryRow(ctx, `select to_regclass($1) is not null`, string(t.SQLName)).Scan(&there)
	return there, err
}

// rowTable returns the table of a model, which is looked up in the database's catalogue the first time.
func (s *Store) rowTable(ctx context.Context, conn *pgx.Conn, of reflect.Type) (*rowTable, error) {
	s.rowTables.mutex.RLock()
	known := s.rowTables.byModel[of]
	s.rowTables.mutex.RUnlock()
	if known != nil {
		return known, nil
	}
	m, err := model.Of(s.db, of)
	if err != nil {
		return nil, final("postgres: %v", err)
	}
	t, err := inspectRows(ctx, conn, m)
	if err != nil {
		return nil, err
	}
	s.rowTables.mutex.Lock()
	defer s.rowTables.mutex.Unlock()
	if known := s.rowTables.byModel[of]; known != nil {
		return known, nil
	}
	if s.rowTables.byModel == nil {
		s.rowTables.byModel = map[reflect.Type]*rowTable{}
	}
	t.order = len(s.rowTables.byModel)
	s.rowTables.byModel[of] = t
	return t, nil
}

// catalogueColumn is a column of a table of rows as the catalogue has it.
type catalogueColumn struct {
	Name string
	// Builtin is the name of a type of Postgres itself, and Type that of any, quoted.
	Builtin, Type string
	// Defaulted says that the column has a value where none is given.
	Defaulted bool
	// Exact says that texts are equal only where their bytes are.
	Exact bool
}

const (
	rowColumnsSQL = `select a.attname::text, case when n.nspname = 'pg_catalog' then t.typname::text else '' end,
			format('%I.%I', n.nspname, t.typname), a.atthasdef or a.attidentity <> '' or t.typdefault is not null,
			coalesce(c.collisdeterministic, true)
		from pg_attribute a join pg_type t on t.oid = a.atttypid join pg_namespace n on n.oid = t.typnamespace
		left join pg_collation c on c.oid = a.attcollation
		where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`
	uniqueSQL = `select array(select a.attname::text from pg_attribute a
			where a.attrelid = i.indrelid and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1]))
		from pg_index i where i.indrelid = to_regclass($1) and i.indisunique and i.indisvalid and i.indimmediate
		and i.indpred is null and i.indexprs is null`
	effectsSQL = `select exists (select from pg_trigger where tgrelid = to_regclass($1) and not tgisinternal),
		exists (select from pg_constraint where confrelid = to_regclass($1) and contype = 'f' and confdeltype in ('c', 'n', 'd'))`
)

// inspectRows finds how the rows of a model are written to its table as it is.
func inspectRows(ctx context.Context, conn *pgx.Conn, m *model.Table) (*rowTable, error) {
	name := string(m.SQLName)
	found, err := conn.Query(ctx, rowColumnsSQL, name)
	if err != nil {
		return nil, err
	}
	columns, err := pgx.CollectRows(found, pgx.RowToStructByPos[catalogueColumn])
	if err != nil {
		return nil, err
	}
	byName := map[string]catalogueColumn{}
	for _, c := range columns {
		byName[c.Name] = c
	}
	if len(columns) == 0 {
		return nil, final("postgres: the table %q of the model %v does not exist", m.Name, m.Type)
	}
	if missing := m.Missing(func(column string) bool { return byName[column].Name != "" }); missing != "" {
		return nil, final("postgres: the model %v does not fit the table %q, which has no column %s", m.Type, m.Name, missing)
	}
	if err := checkUnique(ctx, conn, m); err != nil {
		return nil, err
	}
	t := &rowTable{Table: m}
	var triggered bool
	if err := conn.QueryRow(ctx, effectsSQL, name).Scan(&triggered, &t.cascades); err != nil {
		return nil, err
	}
	t.prepare(byName)
	t.inOrder = t.inOrder || triggered
	return t, nil
}

// checkUnique checks that the database knows the model's primary key as one.
func checkUnique(ctx context.Context, conn *pgx.Conn, m *model.Table) error {
	found, err := conn.Query(ctx, uniqueSQL, string(m.SQLName))
	if err != nil {
		return err
	}
	unique, err := pgx.CollectRows(found, pgx.RowTo[[]string])
	if err != nil {
		return err
	}
	var primary []string
	for _, field := range m.PKs {
		primary = append(primary, field.Name)
	}
	slices.Sort(primary)
	for _, columns := range unique {
		slices.Sort(columns)
		if slices.Equal(columns, primary) {
			return nil
		}
	}
	return final("postgres: the model %v does not fit the table %q, where %s is not unique", m.Type, m.Name, strings.Join(primary, ", "))
}

// prepare decides how rows are written, and makes the statements.
func (t *rowTable) prepare(catalogue map[string]catalogueColumn) {
	t.inOrder = t.InOrder()
	encoded := true
	column := func(field *schema.Field) *rowColumn {
		c := newRowColumn(t.Type, field, catalogue[field.Name])
		encoded = encoded && c != nil
		return c
	}
	for _, field := range t.PKs {
		c := column(field)
		t.primary = append(t.primary, c)
		t.inOrder = t.inOrder || c == nil || !c.exact
	}
	for _, field := range t.Fields {
		t.columns = append(t.columns, column(field))
	}
	if !encoded || t.InOrder() {
		t.columns = nil
		return
	}
	names := join(t.columns, func(c *rowColumn) string { return c.name }, ", ")
	// Arrays that are set out in the list of columns are read one row after the other; in a from clause all rows would be
	// put into a store first, which is a fifth more work.
	t.insert = `insert into ` + string(t.SQLName) + ` (` + names + `) select ` +
		joinNumbered(t.columns, func(c *rowColumn, array string) string { return `unnest(` + array + `)` + c.cast })
	t.upsert = t.insert + ` on conflict (` + join(t.primary, func(c *rowColumn) string { return c.name }, ", ") + `) do ` + t.replace()
	t.delete = `delete from ` + string(t.SQLName) + ` as t using unnest(` +
		joinNumbered(t.primary, func(_ *rowColumn, array string) string { return array }) +
		`) as u (` + join(t.primary, func(c *rowColumn) string { return c.name }, ", ") + `) where ` +
		join(t.primary, func(c *rowColumn) string { return `t.` + c.name + ` = u.` + c.name + c.cast }, ` and `)
}

// replace is what an upsert does to a row that is there.
func (t *rowTable) replace() string {
	if len(t.DataFields) == 0 {
		return `nothing`
	}
	set := make([]string, len(t.DataFields))
	for i, field := range t.DataFields {
		set[i] = string(field.SQLName) + ` = excluded.` + string(field.SQLName)
	}
	return `update set ` + strings.Join(set, ", ")
}

// joinNumbered joins what text makes of each column and of the parameter that is its array.
func joinNumbered(columns []*rowColumn, text func(c *rowColumn, array string) string) string {
	number := int32(0)
	return join(columns, func(c *rowColumn) string {
		number++
		return text(c, `$`+itoa(number)+`::`+c.element+`[]`)
	}, ", ")
}

func join(columns []*rowColumn, text func(*rowColumn) string, separator string) string {
	texts := make([]string, len(columns))
	for i, c := range columns {
		texts[i] = text(c)
	}
	return strings.Join(texts, separator)
}
