package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
)

// stateTable is a state table as it is in the database, with the statements on it.
type stateTable struct {
	runtime.StateTable
	load, lock, insert, update, delete string
}

// tables are the state tables that were met, by name.
type tables struct {
	mutex  sync.RWMutex
	byName map[string]*stateTable
}

// table returns a state table, which is looked up in the database's catalogue the first time.
func (s *Store) table(ctx context.Context, conn *pgx.Conn, name string) (*stateTable, error) {
	s.tables.mutex.RLock()
	known := s.tables.byName[name]
	s.tables.mutex.RUnlock()
	if known != nil {
		return known, nil
	}
	found, err := inspect(ctx, conn, name)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, final("postgres: table %q does not exist", name)
	}
	table := newStateTable(*found)
	s.tables.mutex.Lock()
	defer s.tables.mutex.Unlock()
	if s.tables.byName == nil {
		s.tables.byName = map[string]*stateTable{}
	}
	s.tables.byName[name] = table
	return table, nil
}

func newStateTable(table runtime.StateTable) *stateTable {
	words := strings.NewReplacer("{table}", quote(table.Name), "{key}", keyType(table.Key), "{state}", stateType(table.State))
	return &stateTable{
		StateTable: table,
		load:       words.Replace(`select key, state, version from {table} where key = any($1::{key}[])`),
		lock:       words.Replace(`select key, state, version from {table} where key = any($1::{key}[]) order by key for update`),
		insert: words.Replace(`insert into {table} (key, state, version)
			select * from unnest($1::{key}[], $2::{state}[], $3::bigint[])`),
		update: words.Replace(`with changed as (
			update {table} as t set state = u.state, version = u.version, updated_at = now()
			from unnest($1::{key}[], $2::{state}[], $3::bigint[]) as u (key, state, version)
			where t.key = u.key and t.version = u.version - 1 returning 1)
			select 1 / (count(*) = $4::bigint)::int from changed`),
		delete: words.Replace(`with changed as (
			delete from {table} as t using unnest($1::{key}[], $2::bigint[]) as u (key, version)
			where t.key = u.key and t.version = u.version returning 1)
			select 1 / (count(*) = $3::bigint)::int from changed`),
	}
}

func keyType(kind format.Kind) string {
	if kind == format.Text {
		return "text"
	}
	return "bytea"
}

func stateType(kind format.Kind) string {
	if kind == format.Document {
		return "jsonb"
	}
	return "bytea"
}

// keys encodes keys as the table's key column has them.
func (t *stateTable) keys(keys []string) []byte {
	if t.Key == format.Text {
		return bytesArray(textOID, "", keys)
	}
	return bytesArray(byteaOID, "", keys)
}

// jsonbVersion is in front of every jsonb in the binary format.
const jsonbVersion = "\x01"

// states encodes states as the table's state column has them.
func (t *stateTable) states(states [][]byte) []byte {
	if t.State == format.Document {
		return bytesArray(jsonbOID, jsonbVersion, states)
	}
	return bytesArray(byteaOID, "", states)
}

// state returns the state that is in the bytes of the state column.
func (t *stateTable) state(column []byte) []byte {
	if t.State == format.Document && len(column) > 0 {
		return column[len(jsonbVersion):]
	}
	return column
}

// column is a column of a table as the catalogue has it.
type column struct {
	Name, Type string
	// Unique says that the column alone is unique.
	Unique bool
}

const inspectSQL = `select a.attname, format_type(a.atttypid, null), c.relkind in ('r', 'p') and exists (
		select from pg_index i where i.indrelid = a.attrelid and i.indisunique and i.indisvalid and i.indimmediate
		and i.indpred is null and i.indnkeyatts = 1 and i.indkey[0] = a.attnum)
	from pg_attribute a join pg_class c on c.oid = a.attrelid
	where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`

// inspect returns a state table as it is in the database, nil where there is none, and an error where the table can't
// hold states.
func inspect(ctx context.Context, conn *pgx.Conn, name string) (*runtime.StateTable, error) {
	rows, err := conn.Query(ctx, inspectSQL, quote(name))
	if err != nil {
		return nil, err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil || len(columns) == 0 {
		return nil, err
	}
	found, wrong := &runtime.StateTable{Name: name}, []error{}
	kinds := map[string]map[string]format.Kind{
		"key":        {"text": format.Text, "bytea": format.Binary},
		"state":      {"jsonb": format.Document, "bytea": format.Binary},
		"version":    {"bigint": 0},
		"updated_at": {"timestamp with time zone": 0},
	}
	for _, c := range columns {
		kind, ok := kinds[c.Name][c.Type]
		switch {
		case kinds[c.Name] == nil:
			continue
		case !ok:
			wrong = append(wrong, fmt.Errorf("column %s is %s", c.Name, c.Type))
		case c.Name == "key":
			found.Key = kind
			if !c.Unique {
				wrong = append(wrong, errors.New("column key has no unique index"))
			}
		case c.Name == "state":
			found.State = kind
		}
		delete(kinds, c.Name)
	}
	for _, name := range []string{"key", "state", "version", "updated_at"} {
		if kinds[name] != nil {
			wrong = append(wrong, fmt.Errorf("column %s is missing", name))
		}
	}
	if len(wrong) > 0 {
		return nil, final("postgres: table %q is not a table of states: %s", name, strings.ReplaceAll(errors.Join(wrong...).Error(), "\n", ", "))
	}
	return found, nil
}
