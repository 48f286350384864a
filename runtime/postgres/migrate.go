package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/internal/rows"
)

// migrations are the steps of the framework's own tables; the table flows_migration has the number of the last one done.
// They are few and in one transaction with the state tables, which come and go with the functions of an app, so that
// no migration library is needed; nor could one look without writing, for a role that may not create tables.
var migrations = []string{
	// A checkpoint is written with every batch: the row moves within its page, and what is dead is cleared soon. Each
	// pending slot is a column of its own, outside of the row and not compressed, so that a batch writes its own slot only.
	`create table flows_checkpoint (
		function       text collate "C" not null,
		topic          text collate "C" not null,
		partition      integer not null,
		epoch          bigint not null default 1,
		next_offset    bigint not null default -1,
		topic_id       bytea not null default '\x00000000000000000000000000000000',
		producer_id    bigint not null default -1,
		producer_epoch smallint not null default 0,
		sequences      bytea not null default '',
		pending_a      bytea,
		pending_b      bytea,
		pending_c      bytea,
		pending_d      bytea,
		updated_at     timestamptz not null default now(),
		primary key (function, topic, partition)
	) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0,
		toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 1000, toast.autovacuum_vacuum_cost_delay = 0);
	alter table flows_checkpoint
		alter pending_a set storage external, alter pending_b set storage external,
		alter pending_c set storage external, alter pending_d set storage external;
	comment on table flows_checkpoint is 'where each function is in each partition that it reads, and outputs not yet acknowledged';`,
	`create table flows_idempotency_key (
		function       text collate "C" not null,
		key            text collate "C" not null,
		fingerprint    bytea not null,
		producer_id    bigint not null,
		producer_epoch smallint not null,
		topic          text collate "C" not null,
		partition      integer not null,
		sequence       integer not null,
		from_offset    bigint not null,
		record         bytea,
		log_offset     bigint not null,
		expires_at     timestamptz not null,
		primary key (function, key)
	);
	create index flows_idempotency_key_expires_at on flows_idempotency_key (expires_at);
	comment on table flows_idempotency_key is 'requests of clients that may be made again, by the key that the client gave';`,
}

// migrationLock is the advisory lock under which tables are made: "flows" in ASCII.
const migrationLock = 0x666c6f7773

// Migrate creates and migrates tables. Where all is right it only reads the catalogue, so that functions can run with a role
// that may not create tables.
func (s *Store) Migrate(ctx context.Context, tables []runtime.StateTable) error {
	for _, table := range tables {
		if err := rows.CheckTable(table); err != nil {
			return final("postgres: %v", err)
		}
	}
	return s.with(ctx, "migrate", func(ctx context.Context, conn *pgx.Conn) error {
		wanted, err := missing(ctx, conn, tables)
		if err != nil || len(wanted) == 0 {
			return err
		}
		return locked(ctx, conn, func() error {
			// Another process may have done it while this one waited.
			wanted, err := missing(ctx, conn, tables)
			if err != nil {
				return err
			}
			// Statements in one message without a transaction around them are one of their own.
			_, err = conn.PgConn().Exec(ctx, strings.Join(wanted, ";\n")).ReadAll()
			return err
		})
	})
}

// locked calls do under the migration lock. The lock is the session's: a transaction's own would leave it with what it
// knew of the catalogue before it waited.
func locked(ctx context.Context, conn *pgx.Conn, do func() error) error {
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	err := do()
	if _, unlock := conn.Exec(ctx, `select pg_advisory_unlock($1)`, int64(migrationLock)); unlock != nil {
		_ = conn.Close(ctx) // the end of the session lets go of the lock
	}
	return err
}

// missing returns the statements that make what is not there yet.
func missing(ctx context.Context, conn *pgx.Conn, wanted []runtime.StateTable) (statements []string, _ error) {
	done, err := migrated(ctx, conn)
	if err != nil {
		return nil, err
	}
	if done > len(migrations) {
		return nil, final("postgres: the database was migrated by a newer version of this program (step %d, this one knows %d)", done, len(migrations))
	}
	for number, migration := range migrations[done:] {
		statements = append(statements, migration,
			`insert into flows_migration (version) values (`+itoa(int32(done+number+1))+`)`)
	}
	if done == 0 {
		statements = append([]string{`create table if not exists flows_migration (
			version integer primary key, applied_at timestamptz not null default now())`}, statements...)
	}
	made := map[string]bool{}
	for _, table := range wanted {
		found, err := inspect(ctx, conn, table.Name)
		switch {
		case err != nil:
			return nil, err
		case found == nil && !made[table.Name]:
			made[table.Name] = true
			statements = append(statements, createTable(table))
		case found != nil:
			if err := compare(table, *found); err != nil {
				return nil, err
			}
		}
	}
	return statements, nil
}

// migrated returns how many migrations the database has seen.
func migrated(ctx context.Context, conn *pgx.Conn) (done int, err error) {
	var there bool
	if err := conn.QueryRow(ctx, `select to_regclass('flows_migration') is not null`).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = conn.QueryRow(ctx, `select coalesce(max(version), 0) from flows_migration`).Scan(&done)
	return done, err
}

// createTable returns the statement that makes a state table. Rows are rewritten often and keep their keys, so that pages have
// room for the next version of a row beside it.
func createTable(table runtime.StateTable) string {
	key := keyType(table.Key)
	if table.Key == format.Text {
		key += ` collate "C"`
	}
	return `create table ` + quote(table.Name) + ` (
		key        ` + key + ` primary key,
		state      ` + stateType(table.State) + ` not null,
		version    bigint not null,
		updated_at timestamptz not null default now()
	) with (fillfactor = 50)`
}

// compare checks that a table that is there has the columns that its function needs.
func compare(want, found runtime.StateTable) error {
	for _, column := range []struct{ name, want, found string }{
		{"key", keyType(want.Key), keyType(found.Key)},
		{"state", stateType(want.State), stateType(found.State)},
	} {
		if column.want != column.found {
			return final("postgres: table %q: column %s is %s and should be %s; the function's format has changed, or the table is another's",
				want.Name, column.name, column.found, column.want)
		}
	}
	return nil
}
