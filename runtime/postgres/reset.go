package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
)

var (
	_ runtime.Resetter    = (*Store)(nil)
	_ runtime.StateLister = (*Store)(nil)
)

// resetSQL moves a checkpoint; the epoch fences whoever has it.
const resetSQL = `insert into flows_checkpoint as c (function, topic, partition, next_offset) values ($1, $2, $3, $4)
	on conflict (function, topic, partition) do update set epoch = c.epoch + 1, next_offset = excluded.next_offset,
		topic_id = excluded.topic_id, producer_id = excluded.producer_id, producer_epoch = excluded.producer_epoch,
		sequences = excluded.sequences`

// forgetOutputsSQL is what comes with it where outputs are not kept; updated_at tells how old those are that are.
const forgetOutputsSQL = `, updated_at = clock_timestamp(), pending_a = null, pending_b = null, pending_c = null, pending_d = null`

// Reset implements runtime.Resetter. It takes as long as it takes: emptying a table is no matter of Config.Timeout.
func (s *Store) Reset(ctx context.Context, reset runtime.Reset) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return explain(ctx, "reset "+reset.Function, err)
	}
	defer conn.Release()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return resetIn(ctx, tx, reset) })
	return explain(ctx, "reset "+reset.Function, err)
}

func resetIn(ctx context.Context, tx pgx.Tx, reset runtime.Reset) error {
	if _, err := tx.Exec(ctx, `set local statement_timeout = 0`); err != nil {
		return err
	}
	statement := resetSQL
	if !reset.KeepOutputs {
		statement += forgetOutputsSQL
	}
	// The checkpoints first, as a batch does it, so that neither waits for what the other holds.
	for partition, next := range reset.Positions {
		if _, err := tx.Exec(ctx, statement, reset.Function, partition.Topic, partition.Partition, next); err != nil {
			return err
		}
	}
	if reset.Table == "" {
		return nil
	}
	return empty(ctx, tx, reset.Table)
}

// empty deletes all rows of a table, at once where the role may do that.
func empty(ctx context.Context, tx pgx.Tx, table string) error {
	var there, truncates bool
	err := tx.QueryRow(ctx, `select to_regclass($1) is not null, coalesce(has_table_privilege(to_regclass($1)::oid, 'TRUNCATE'), false)`,
		quote(table)).Scan(&there, &truncates)
	switch {
	case err != nil:
		return err
	case !there:
		return final("postgres: table %q does not exist", table)
	case truncates:
		_, err = tx.Exec(ctx, `truncate `+quote(table))
	default:
		_, err = tx.Exec(ctx, `delete from `+quote(table))
	}
	return err
}

// List implements runtime.StateLister.
func (s *Store) List(ctx context.Context, table string, page runtime.Page) (found []runtime.StateRow, _ error) {
	err := s.with(ctx, "list "+table, func(ctx context.Context, conn *pgx.Conn) error {
		t, err := s.table(ctx, conn, table)
		if err != nil {
			return err
		}
		rows, err := conn.Query(ctx, t.list(), t.parameter(page.Prefix), t.parameter(page.After), page.Limit)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r runtime.StateRow, _ error) {
			var key []byte
			err := row.Scan(&key, &r.State, &r.Version)
			r.Key = string(key)
			return r, err
		})
		return err
	})
	return found, err
}

// parameter is a key, or a part of one, as a parameter of a query.
func (t *stateTable) parameter(key string) any {
	if t.Key == format.Text {
		return key
	}
	return []byte(key)
}

// list returns the query for a page of the table. Keys are compared by their bytes, whatever the order of the column is.
func (t *stateTable) list() string {
	key, prefix, after := `key collate "C"`, `$1::text`, `$2::text`
	begins := `starts_with(key, ` + prefix + `)`
	if t.Key != format.Text {
		key, prefix, after = `key`, `$1::bytea`, `$2::bytea`
		begins = `substring(key for length(` + prefix + `)) = ` + prefix
	}
	return `select key, state, version from ` + quote(t.Name) + ` where ` + key + ` >= ` + prefix + ` and ` + begins +
		` and (length(` + after + `) = 0 or ` + key + ` > ` + after + `) order by ` + key + ` limit $3`
}
