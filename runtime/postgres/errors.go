package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kappaflows/flows/runtime"
)

// failure is an error in one line, with what the engine decides by and what caused it.
type failure struct {
	line     string
	decision error // nil where the error is final
	cause    error
}

func (f *failure) Error() string { return f.line }

// Unwrap gives what errors.Is finds. A cause with a password in reach is not among it: pgx keeps none in the errors of a connection.
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

// explain makes the error of a call out of pgx's: in one line, and with the decision that it stands for. ctx is the
// caller's own, so that its end is told from that of an attempt.
func explain(ctx context.Context, what string, err error) error {
	var known *failure
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("postgres: %s: %w", what, ctx.Err())
	}
	return &failure{line: "postgres: " + what + ": " + reason(err), decision: decision(err), cause: err}
}

// SQLSTATEs that have a meaning of their own here.
const (
	divisionByZero       = "22012"
	uniqueViolation      = "23505"
	permissionDenied     = "42501"
	noSchema             = "3F000"
	featureNotSupported  = "0A000" // also: a prepared statement whose result changed its type
	noPreparedStatement  = "26000"
	readOnlyTransaction  = "25006"
	invalidJSON          = "22P02"
	untranslatable       = "22P05"
	notInRepertoire      = "22021"
	invalidBinary        = "22P03"
	serializationFailure = "40001"
	deadlock             = "40P01"
	lockNotAvailable     = "55P03"
	queryCanceled        = "57014"
	idleInTransaction    = "25P03"
	transactionTimeout   = "25P04"
	idleSession          = "57P05"
)

// decision returns what the engine is to do about an error: nil where it is final.
func decision(err error) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case server.Code == permissionDenied, server.Code == noSchema:
			return runtime.ErrDenied
		case passing(server.Code):
			return runtime.ErrUnavailable
		}
		return nil
	}
	if refusedTLS(err) {
		return nil
	}
	return runtime.ErrUnavailable
}

// refusedTLS says whether the two do not trust each other, or one of them does not speak TLS.
func refusedTLS(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	return certificate || alerted(err) != nil || strings.Contains(err.Error(), "server refused TLS connection")
}

// alerted returns the TLS alert by which the server refused to go on, nil where it did not. It has no type of its own.
func alerted(err error) error {
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return alert.Err
	}
	return nil
}

// passing says whether a server's error may go away by itself.
func passing(code string) bool {
	switch code {
	case serializationFailure, deadlock, lockNotAvailable, queryCanceled, readOnlyTransaction, idleInTransaction, transactionTimeout,
		idleSession, noPreparedStatement, featureNotSupported, "57P01", "57P02", "57P03":
		return true
	}
	// Connection exceptions, and a disk, memory or connection slots that ran out.
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53")
}

// mistrusted says whether an error shows that the connection must not be used again: it leads to a server that is no longer
// the primary, or its prepared statements are not what the server has.
func mistrusted(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch server.Code {
	case readOnlyTransaction, noPreparedStatement, featureNotSupported:
		return true
	}
	return false
}

// reason says in a few words what went wrong, without an address's secrets and in one line.
func reason(err error) string {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		if server.Code == noSchema {
			return "permission denied, or no such schema in the search_path: " + oneLine(server.Message)
		}
		return oneLine(server.Message)
	}
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return "can't connect to " + address(connect.Config) + ": " + networkReason(err)
	}
	return networkReason(err)
}

func address(config *pgconn.Config) string {
	return net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
}

func networkReason(err error) string {
	var call *os.SyscallError
	var lookup *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		return oneLine(certificate.Error())
	case alerted(err) != nil:
		return "the server does not take this process's certificate, or that it has none: " + oneLine(alerted(err).Error())
	case errors.As(err, &call):
		return call.Err.Error()
	case errors.As(err, &lookup):
		return "no such host " + lookup.Name
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return oneLine(err.Error())
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
