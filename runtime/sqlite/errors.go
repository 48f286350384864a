package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kappaflows/flows/runtime"
)

// failure is an error in one line, with what the engine decides by and what caused it.
type failure struct {
	line     string
	decision error // nil where the error is final
	cause    error
}

func (f *failure) Error() string { return f.line }

func (f *failure) Unwrap() (errs []error) {
	if f.decision != nil {
		errs = append(errs, f.decision)
	}
	if f.cause != nil {
		errs = append(errs, f.cause)
	}
	return errs
}

// final is an error that trying again does not help.
func final(format string, args ...any) error { return &failure{line: fmt.Sprintf(format, args...)} }

// refused is the error of a batch that was not applied, with the sentinel that says why.
func refused(batch *runtime.Commit, decision error) error {
	return &failure{line: "sqlite: commit " + name(batch.CheckpointKey) + ": " + decision.Error(), decision: decision}
}

// explain makes the error of a call out of SQLite's.
func explain(ctx context.Context, what string, err error) error {
	var known *failure
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("sqlite: %s: %w", what, ctx.Err())
	}
	return &failure{line: "sqlite: " + what + ": " + strings.Join(strings.Fields(err.Error()), " "), decision: decision(err), cause: err}
}

// decision returns what the engine is to do about an error: nil where it is final.
func decision(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		if errors.Is(err, sql.ErrConnDone) || strings.Contains(err.Error(), "database is closed") {
			return runtime.ErrUnavailable
		}
		return nil
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return runtime.ErrUnavailable
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return runtime.ErrDenied
	}
	return nil
}

// busy says whether another writer is in the way.
func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}
