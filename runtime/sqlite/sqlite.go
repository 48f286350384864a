// Package sqlite keeps states, checkpoints and rows in one file: the driver of runtime.Store for a single machine, for
// trying things out and for tests. Several processes may use the file at once, one of which writes at a time.
//
// A commit survives the end of the process, however it ends. A power failure may undo the last commits (never a part of
// one): SQLite's WAL with synchronous=normal.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite" of database/sql

	"github.com/kappaflows/flows/runtime"
)

// Config says which file to use.
type Config struct {
	// Path is the file, made if it is not there. Empty, it is a temporary one that goes with Close.
	Path string
	// Timeout bounds how long a call waits for other writers; one that waits longer fails with
	// runtime.ErrUnavailable. 0 is ten seconds.
	Timeout time.Duration
	// Logger is one that discards unless set.
	Logger *slog.Logger
}

// Store is a runtime.Store in SQLite.
type Store struct {
	config Config
	writer *writer
	// reader is for everything that writes nothing, and for the user.
	reader *sql.DB
	db     *bun.DB
	tables tables
	// rowTables are the tables of the models that were met: *model.Table by reflect.Type.
	rowTables sync.Map
	close     func() error
}

var _ runtime.Store = (*Store)(nil)

// settings are those of each connection. Waiting for another writer is done here, where a context can end it, but for
// short waits.
const settings = "?_txlock=immediate&_pragma=busy_timeout(100)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" +
	"&_pragma=cache_size(-32000)&_pragma=temp_store(MEMORY)"

const readers = 4

// Open opens the file, or makes it.
func Open(ctx context.Context, config Config) (*Store, error) {
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	remove := func() error { return nil }
	if config.Path == "" {
		folder, err := os.MkdirTemp("", "flows-sqlite-")
		if err != nil {
			return nil, final("sqlite: %v", err)
		}
		config.Path, remove = filepath.Join(folder, "flows.db"), func() error { return os.RemoveAll(folder) }
	}
	reader, err := sql.Open("sqlite", source(config.Path))
	if err != nil {
		return nil, errors.Join(explain(ctx, "open "+config.Path, err), remove())
	}
	reader.SetMaxOpenConns(readers + 1) // and the writer
	reader.SetMaxIdleConns(readers + 1)
	s := &Store{config: config, writer: newWriter(), reader: reader, db: bun.NewDB(reader, sqlitedialect.New())}
	s.close = sync.OnceValue(func() error { return errors.Join(s.writer.close(), reader.Close(), remove()) })
	if err := s.wait(ctx, "open "+config.Path, func() error { return s.writer.open(ctx, reader) }); err != nil {
		_ = s.Close() // the first error is the one to report
		return nil, err
	}
	return s, nil
}

// source is the name that SQLite opens a path by.
func source(path string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path) + settings
}

// DB returns the database for the user's own queries. It is closed with the store.
func (s *Store) DB() *bun.DB { return s.db }

// Ping says whether the file can be read.
func (s *Store) Ping(ctx context.Context) error {
	return explain(ctx, "ping", s.reader.PingContext(ctx))
}

// Close closes the file, and removes a temporary one.
func (s *Store) Close() error { return s.close() }

// write calls do in a transaction of the writer; nothing is written beside it.
func (s *Store) write(ctx context.Context, what string, do func() error) error {
	if err := s.writer.lock(ctx); err != nil {
		return explain(ctx, what, err)
	}
	defer s.writer.unlock()
	err := s.wait(ctx, what, func() error { return s.writer.exec(ctx, "begin immediate") })
	if err != nil {
		return err
	}
	if err = do(); err == nil {
		err = s.writer.exec(ctx, "commit")
	}
	if err != nil {
		// What failed is what counts. Without a transaction, which a failed commit may leave, this does nothing.
		_ = s.writer.exec(context.WithoutCancel(ctx), "rollback")
	}
	return explain(ctx, what, err)
}

// wait calls do until the file is not busy, for Config.Timeout at most, and explains its error. Each attempt waits a
// little by itself (busy_timeout).
func (s *Store) wait(ctx context.Context, what string, do func() error) error {
	deadline := time.Now().Add(s.config.Timeout)
	for {
		err := do()
		if err == nil || !busy(err) || ctx.Err() != nil || time.Now().After(deadline) {
			return explain(ctx, what, err)
		}
	}
}
