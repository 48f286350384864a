package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// writer is the connection that writes, for one caller at a time.
type writer struct {
	turn       chan struct{}
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

func newWriter() *writer {
	return &writer{turn: make(chan struct{}, 1), statements: map[string]*sql.Stmt{}}
}

func (w *writer) open(ctx context.Context, db *sql.DB) (err error) {
	w.conn, err = db.Conn(ctx)
	return err
}

func (w *writer) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case w.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) unlock() { <-w.turn }

// close waits for the one who writes.
func (w *writer) close() (err error) {
	w.turn <- struct{}{}
	defer w.unlock()
	for _, statement := range w.statements {
		err = errors.Join(err, statement.Close())
	}
	clear(w.statements)
	if w.conn == nil {
		return err
	}
	return errors.Join(err, w.conn.Close())
}

// prepare returns a statement that stays with the connection.
func (w *writer) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if known := w.statements[text]; known != nil {
		return known, nil
	}
	statement, err := w.conn.PrepareContext(ctx, text)
	if err == nil {
		w.statements[text] = statement
	}
	return statement, err
}

func (w *writer) exec(ctx context.Context, text string, args ...any) error {
	_, err := w.changed(ctx, text, args...)
	return err
}

// changed executes a statement and returns how many rows it changed. A statement is short and, once begun, not
// interrupted: watching the context would cost more than most statements.
func (w *writer) changed(ctx context.Context, text string, args ...any) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	statement, err := w.prepare(ctx, text) //nolint:sqlclosecheck // it stays with the connection, for the next time
	if err != nil {
		return 0, err
	}
	result, err := statement.ExecContext(context.WithoutCancel(ctx), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
