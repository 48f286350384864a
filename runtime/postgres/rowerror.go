package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kappaflows/flows/runtime"
)

// SQLSTATEs that depend on what other rows are there.
const (
	cardinalityViolation = "21000" // one statement writes a row twice, by keys that look different
	restrictViolation    = "23001"
	foreignKeyViolation  = "23503"
	exclusionViolation   = "23P01"
)

// raised is an exception of a trigger, and limitExceeded, for one, a key that is too long for an index.
const (
	raised        = "P0001"
	limitExceeded = "54000"
)

// bad says whether it is for what is in a row that the server fails.
func bad(code string) bool {
	class := code[:min(2, len(code))]
	return class == "22" || class == "23" || code == raised || code == limitExceeded || code == cardinalityViolation
}

// rowRefusal returns the server's error about a row as the engine needs it; err is returned where it is about something else.
func rowRefusal(batch *runtime.Commit, t *rowTable, err error) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) || !bad(server.Code) {
		return err
	}
	table := ""
	if t != nil {
		table = t.Name
	}
	return refusedRow(batch, table, withoutValue(server), server)
}

// refusedRow is runtime.ErrRefused with a reason. The server's error keeps its code and no values. The table is empty where
// it is not known.
func refusedRow(batch *runtime.Commit, table, reason string, server *pgconn.PgError) error {
	of := ""
	if table != "" {
		of = " of " + table
	}
	f := &failure{
		line:     "postgres: commit " + name(batch.CheckpointKey) + ": " + runtime.ErrRefused.Error() + of + ": " + reason,
		decision: runtime.ErrRefused,
	}
	if server != nil {
		f.cause = &pgconn.PgError{Code: server.Code, Message: reason, TableName: server.TableName, ConstraintName: server.ConstraintName}
	}
	return f
}

// withoutValue is the server's message. One about data quotes a value, which may be anything, from the first quote to the last.
func withoutValue(server *pgconn.PgError) string {
	message := oneLine(server.Message)
	first, last := strings.IndexByte(message, '"'), strings.LastIndexByte(message, '"')
	if !strings.HasPrefix(server.Code, "22") || server.Code == notInRepertoire || first == last {
		return message
	}
	return message[:first] + "..." + message[last+1:]
}

// mended says whether a batch that failed may do if its changes are made one after the other.
func (p rowPlan) mended(err error) bool {
	var server *pgconn.PgError
	if !p.sensitive || !errors.Is(err, runtime.ErrRefused) || !errors.As(err, &server) {
		return false
	}
	switch server.Code {
	case uniqueViolation, foreignKeyViolation, exclusionViolation, restrictViolation, cardinalityViolation:
		return true
	}
	return false
}
