package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/internal/rows"
)

// frameworkTables are those of the framework. Pending outputs have a table of their own, so that writing one slot does
// not write the others again.
var frameworkTables = []string{
	`create table if not exists flows_checkpoint (
		function       text not null,
		topic          text not null,
		partition      integer not null,
		epoch          integer not null default 1,
		next_offset    integer not null default -1,
		topic_id       blob not null default x'00000000000000000000000000000000',
		producer_id    integer not null default -1,
		producer_epoch integer not null default 0,
		sequences      blob not null default x'',
		updated_at     text not null,
		primary key (function, topic, partition)
	) without rowid`,
	`create table if not exists flows_pending (
		function  text not null,
		topic     text not null,
		partition integer not null,
		slot      integer not null,
		outputs   blob not null,
		primary key (function, topic, partition, slot)
	)`,
	`create table if not exists flows_idempotency_key (
		function       text not null,
		key            text not null,
		fingerprint    blob not null,
		producer_id    integer not null,
		producer_epoch integer not null,
		topic          text not null,
		partition      integer not null,
		sequence       integer not null,
		from_offset    integer not null,
		record         blob,
		log_offset     integer not null,
		expires_at     integer not null,
		primary key (function, key)
	)`,
}

// querier is what a *sql.DB and a *sql.Conn have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Migrate creates tables. Where all is right it only reads.
func (s *Store) Migrate(ctx context.Context, wanted []runtime.StateTable) error {
	for _, table := range wanted {
		if err := rows.CheckTable(table); err != nil {
			return final("sqlite: %v", err)
		}
	}
	statements, err := missing(ctx, s.reader, wanted)
	if err != nil || len(statements) == 0 {
		return explain(ctx, "migrate", err)
	}
	return s.write(ctx, "migrate", func() error {
		statements, err := missing(ctx, s.writer.conn, wanted)
		if err != nil {
			return err
		}
		for _, statement := range statements {
			if _, err := s.writer.conn.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// missing returns the statements that make what is not there yet.
func missing(ctx context.Context, from querier, wanted []runtime.StateTable) (statements []string, _ error) {
	for i, name := range []string{"flows_checkpoint", "flows_pending", "flows_idempotency_key"} {
		found, err := columnsOf(ctx, from, name)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			statements = append(statements, frameworkTables[i])
		}
	}
	for _, table := range wanted {
		found, err := inspect(ctx, from, table.Name)
		switch {
		case err != nil:
			return nil, err
		case found == nil:
			statements = append(statements, createTable(table))
		case keyType(table.Key) != keyType(found.Key):
			return nil, otherColumn(table.Name, "key", keyType(found.Key), keyType(table.Key))
		case stateType(table.State) != stateType(found.State):
			return nil, otherColumn(table.Name, "state", stateType(found.State), stateType(table.State))
		}
	}
	return statements, nil
}

func otherColumn(table, column, found, want string) error {
	return final("sqlite: table %q: column %s is %s and should be %s; the function's format has changed, or the table is another's",
		table, column, found, want)
}

func createTable(table runtime.StateTable) string {
	return `create table if not exists ` + quote(table.Name) + ` (
		key        ` + keyType(table.Key) + ` not null primary key,
		state      ` + stateType(table.State) + ` not null,
		version    integer not null,
		updated_at text not null
	) without rowid`
}

func keyType(kind format.Kind) string {
	if kind == format.Text {
		return "text"
	}
	return "blob"
}

// stateType is text for JSON, which SQLite's functions take as it is.
func stateType(kind format.Kind) string {
	if kind == format.Document {
		return "text"
	}
	return "blob"
}

// quote quotes a table name; a schema before a dot is a part of it, for SQLite has none.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// columnsOf returns the types of a table's columns, none where there is no table.
func columnsOf(ctx context.Context, from querier, table string) (columns map[string]string, err error) {
	found, err := from.QueryContext(ctx, `select name, lower(type) from pragma_table_info(?)`, table)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	columns = map[string]string{}
	for found.Next() {
		var name, kind string
		if err := found.Scan(&name, &kind); err != nil {
			return nil, err
		}
		columns[name] = kind
	}
	return columns, found.Err()
}

// inspect returns a state table as it is in the file, nil where there is none, and an error where the table can't hold
// states.
func inspect(ctx context.Context, from querier, table string) (*runtime.StateTable, error) {
	columns, err := columnsOf(ctx, from, table)
	if err != nil || len(columns) == 0 {
		return nil, err
	}
	key, keyed := map[string]format.Kind{"text": format.Text, "blob": format.Binary}[columns["key"]]
	state, stated := map[string]format.Kind{"text": format.Document, "blob": format.Binary}[columns["state"]]
	if !keyed || !stated || columns["version"] != "integer" || columns["updated_at"] != "text" {
		return nil, final("sqlite: table %q is not a table of states: its columns should be key (text or blob), state (text or blob), "+
			"version (integer) and updated_at (text)", table)
	}
	return &runtime.StateTable{Name: table, Key: key, State: state}, nil
}

// tables are the state tables that were met, by name.
type tables struct {
	mutex  sync.Mutex
	byName map[string]*stateTable
}

// table returns a state table, which is looked up in the file the first time.
func (s *Store) table(ctx context.Context, name string) (*stateTable, error) {
	s.tables.mutex.Lock()
	defer s.tables.mutex.Unlock()
	if known := s.tables.byName[name]; known != nil {
		return known, nil
	}
	found, err := inspect(ctx, s.reader, name)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, final("sqlite: table %q does not exist", name)
	}
	if s.tables.byName == nil {
		s.tables.byName = map[string]*stateTable{}
	}
	table := newStateTable(*found)
	s.tables.byName[name] = table
	return table, nil
}
