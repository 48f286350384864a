package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/internal/rows"
)

// step is one statement of a batch.
type step struct {
	statement *pgconn.StatementDescription
	params    [][]byte
	// refused is what it means when the statement finds other rows than it should; nil where it can't.
	refused error
	// table is the state table that is written, nil elsewhere.
	table *stateTable
	// rows is the table of rows that is written, nil elsewhere, and text the statement where it is not prepared.
	rows *rowTable
	text string
}

// binaryFormat asks for every parameter and result in the binary format.
var binaryFormat = []int16{pgx.BinaryFormatCode}

// Load returns the rows of the keys.
func (s *Store) Load(ctx context.Context, table string, keys []string) (found []runtime.StateRow, _ error) {
	err := s.with(ctx, "load from "+table, func(ctx context.Context, conn *pgx.Conn) error {
		t, err := s.table(ctx, conn, table)
		if err != nil {
			return err
		}
		found, err = query(ctx, conn, t, t.load, keys)
		return err
	})
	return found, err
}

// query runs one of the table's queries by key.
func query(ctx context.Context, conn *pgx.Conn, t *stateTable, sql string, keys []string) (found []runtime.StateRow, _ error) {
	if len(keys) == 0 {
		return nil, nil
	}
	statement, err := conn.Prepare(ctx, sql, sql)
	if err != nil {
		return nil, err
	}
	result := conn.PgConn().ExecStatement(ctx, statement, [][]byte{t.keys(keys)}, binaryFormat, binaryFormat)
	found = make([]runtime.StateRow, 0, len(keys))
	var states arena
	for result.NextRow() {
		values := result.Values()
		found = append(found, runtime.StateRow{
			Key:     string(values[0]),
			State:   states.copy(t.state(values[1])),
			Version: int64(binary.BigEndian.Uint64(values[2])),
		})
	}
	_, err = result.Close()
	return found, err
}

// arena copies small pieces of bytes into few large ones.
type arena []byte

func (a *arena) copy(data []byte) []byte {
	const chunk = 32 << 10
	if len(data) > chunk/4 {
		return append([]byte{}, data...)
	}
	if cap(*a)-len(*a) < len(data) {
		*a = make([]byte, 0, chunk)
	}
	start := len(*a)
	*a = append(*a, data...)
	return (*a)[start:len(*a):len(*a)]
}

// Commit applies a batch in one round trip.
func (s *Store) Commit(ctx context.Context, batch *runtime.Commit) error {
	return s.with(ctx, "commit "+name(batch.CheckpointKey), func(ctx context.Context, conn *pgx.Conn) error {
		steps, err := s.steps(ctx, conn, batch)
		if err != nil {
			return err
		}
		plan, err := s.rowPlan(ctx, conn, batch, false)
		if err != nil {
			return err
		}
		err = run(ctx, conn, batch, slices.Concat(steps, plan.steps), "")
		if !plan.mended(err) {
			return err
		}
		if plan, err = s.rowPlan(ctx, conn, batch, true); err != nil {
			return err
		}
		return run(ctx, conn, batch, slices.Concat(steps, plan.steps), "")
	})
}

// CommitLocked locks the rows of the keys, in order, computes a batch of them and commits it.
func (s *Store) CommitLocked(ctx context.Context, table string, keys []string,
	compute func([]runtime.StateRow) (*runtime.Commit, error),
) error {
	var computing error
	err := s.with(ctx, "commit to "+table, func(ctx context.Context, conn *pgx.Conn) error {
		t, err := s.table(ctx, conn, table)
		if err != nil {
			return err
		}
		if _, err := conn.PgConn().Exec(ctx, "begin").ReadAll(); err != nil {
			return err
		}
		defer rollback(ctx, conn)
		found, err := query(ctx, conn, t, t.lock, keys)
		if err != nil {
			return err
		}
		batch, err := compute(found)
		if err != nil {
			computing = err
			return nil
		}
		steps, err := s.steps(ctx, conn, batch)
		if err != nil {
			return err
		}
		plan, err := s.rowPlan(ctx, conn, batch, true)
		if err != nil {
			return err
		}
		return run(ctx, conn, batch, slices.Concat(steps, plan.steps), "commit")
	})
	if computing != nil {
		return computing
	}
	return err
}

// rollback ends a transaction that is still open. Where that fails, the pool closes the connection, which ends it too.
func rollback(ctx context.Context, conn *pgx.Conn) {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = conn.PgConn().Exec(ctx, "rollback").ReadAll()
}

// steps returns the statements of a batch, the fence first: a batch that is fenced costs nothing, and says so even where
// the new owner has changed the states already.
func (s *Store) steps(ctx context.Context, conn *pgx.Conn, batch *runtime.Commit) ([]step, error) {
	first, err := fence(ctx, conn, batch)
	if err != nil {
		return nil, err
	}
	steps := append(make([]step, 0, 4), first)
	if len(batch.Writes.Keys)+len(batch.Deletes.Keys) == 0 {
		return steps, nil
	}
	if err := rows.CheckBatch(batch); err != nil {
		return nil, final("postgres: %v", err)
	}
	t, err := s.table(ctx, conn, batch.Table)
	if err != nil {
		return nil, err
	}
	fresh, known := split(batch.Writes)
	add := func(sql string, refused error, params ...[]byte) {
		var statement *pgconn.StatementDescription
		if err == nil {
			statement, err = conn.Prepare(ctx, sql, sql)
			steps = append(steps, step{statement: statement, params: params, refused: refused, table: t})
		}
	}
	if len(fresh.Keys) > 0 {
		add(t.insert, nil, t.keys(fresh.Keys), t.states(fresh.States), int8Array(fresh.Versions))
	}
	if n := len(known.Keys); n > 0 {
		add(t.update, runtime.ErrConflict, t.keys(known.Keys), t.states(known.States), int8Array(known.Versions), int8Value(int64(n)))
	}
	if n := len(batch.Deletes.Keys); n > 0 {
		add(t.delete, runtime.ErrConflict, t.keys(batch.Deletes.Keys), int8Array(batch.Deletes.Versions), int8Value(int64(n)))
	}
	return steps, err
}

// split sets the rows that must be absent apart from those that must be there.
func split(writes runtime.StateWrites) (fresh, known runtime.StateWrites) {
	switch n := len(writes.Keys); writes.FreshRows {
	case 0:
		return fresh, writes
	case n:
		return writes, known
	default:
		fresh, known = makeWrites(writes.FreshRows), makeWrites(n-writes.FreshRows)
	}
	for i, key := range writes.Keys {
		part := &known
		if writes.Fresh[i] {
			part = &fresh
		}
		part.Keys = append(part.Keys, key)
		part.States = append(part.States, writes.States[i])
		part.Versions = append(part.Versions, writes.Versions[i])
	}
	return fresh, known
}

func makeWrites(n int) runtime.StateWrites {
	return runtime.StateWrites{Keys: make([]string, 0, n), States: make([][]byte, 0, n), Versions: make([]int64, 0, n)}
}

// run sends all steps, and last where it is not empty, in one message. Without a transaction around them they are one of
// their own.
func run(ctx context.Context, conn *pgx.Conn, batch *runtime.Commit, steps []step, last string) error {
	var message pgconn.Batch
	for _, step := range steps {
		if step.statement == nil {
			message.ExecParams(step.text, nil, nil, nil, nil)
			continue
		}
		message.ExecStatement(step.statement, step.params, binaryFormat, binaryFormat)
	}
	if last != "" {
		message.ExecParams(last, nil, nil, nil, nil)
	}
	results, done := conn.PgConn().ExecBatch(ctx, &message), 0
	for results.NextResult() {
		if _, err := results.ResultReader().Close(); err == nil {
			done++
		}
	}
	err := results.Close()
	switch {
	case err == nil:
		return nil
	case done >= len(steps) && len(batch.Changes) > 0: // a constraint that is checked at the end
		return rowRefusal(batch, nil, err)
	case done >= len(steps):
		return err
	case steps[done].rows != nil:
		return rowRefusal(batch, steps[done].rows, err)
	}
	return refusal(ctx, conn, batch, steps[done], err)
}

// refusal finds what the error of a step means.
func refusal(ctx context.Context, conn *pgx.Conn, batch *runtime.Commit, failed step, err error) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return err
	}
	switch server.Code {
	case divisionByZero:
		if failed.refused != nil {
			return refused(batch, failed.refused)
		}
	case uniqueViolation:
		if failed.table != nil {
			conflict, err := duplicate(ctx, conn, failed.table, server)
			if err != nil {
				return err
			}
			if conflict {
				return refused(batch, runtime.ErrConflict)
			}
		}
	case invalidJSON, untranslatable, notInRepertoire, invalidBinary:
		if failed.table != nil {
			if named := rows.CheckStates(failed.table.StateTable, batch.Writes); named != nil {
				return final("postgres: commit %s: %v", name(batch.CheckpointKey), named)
			}
		}
	}
	if failed.table != nil && bad(server.Code) {
		return refusedRow(batch, failed.table.Name, withoutValue(server), server)
	}
	return err
}

const isKeySQL = `select exists (select from pg_index i join pg_class c on c.oid = i.indexrelid
	join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
	where i.indrelid = to_regclass($1) and c.relname = $2 and i.indnkeyatts = 1 and a.attname = 'key')`

// duplicate tells a key that is there already, which is a conflict, from a unique index that the user added, which is not.
func duplicate(ctx context.Context, conn *pgx.Conn, t *stateTable, violation *pgconn.PgError) (conflict bool, err error) {
	rollback(ctx, conn)
	err = conn.QueryRow(ctx, isKeySQL, quote(t.Name), violation.ConstraintName).Scan(&conflict)
	return conflict, err
}

func refused(batch *runtime.Commit, decision error) error {
	return &failure{line: "postgres: commit " + name(batch.CheckpointKey) + ": " + decision.Error(), decision: decision}
}
