// Package postgres keeps states, checkpoints and rows in Postgres 15 or later: the driver of runtime.Store for real
// clusters, over pgx, with a bun.DB for the user.
//
// A batch is committed in one network round trip: its statements go to the server in one message as one implicit
// transaction, and a statement that finds a row elsewhere than expected fails on purpose, which rolls everything back. A process
// that stops in the middle of a batch holds no locks.
//
// The package needs connections of its own: a proxy that pools transactions (pgbouncer in transaction mode) refuses the
// session settings that it connects with.
package postgres

import (
	"context"
	"log/slog"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/kappaflows/flows/runtime"
)

// Config says which database to use and how. Only URL is needed.
type Config struct {
	// URL is postgres://user:password@host:port/database?sslmode=..., or the same as keywords. Settings of the server
	// may be given in it and win over the defaults here: statement_timeout (30s), lock_timeout (10s),
	// idle_in_transaction_session_timeout (10s), application_name (flows).
	URL string
	// MaxConnections bounds the connections of the engine and, apart from them, those of DB. They are opened when
	// needed. 0 is four for each processor, and at least eight.
	MaxConnections int
	// Timeout bounds each call, connecting and waiting for a connection included; a call that takes longer fails with
	// runtime.ErrUnavailable. 0 is 30 s.
	Timeout time.Duration
	// Configure, where set, may change pgx's own settings before the first connection.
	Configure func(*pgx.ConnConfig)
	// Logger is one that discards unless set.
	Logger *slog.Logger
}

// Limits that are not configurable.
const (
	connectTimeout = 5 * time.Second
	closeGrace     = 2 * time.Second
	oldestVersion  = 15
)

// Store is a runtime.Store in Postgres.
type Store struct {
	config    Config
	pool      *pgxpool.Pool
	db        *bun.DB
	sockets   *sockets
	tables    tables
	rowTables rowTables
	close     func() error
}

var _ runtime.Store = (*Store)(nil)

// Open connects to the database, within five seconds or not at all. The error wraps runtime.ErrUnavailable where trying
// again may help.
func Open(ctx context.Context, config Config) (*Store, error) {
	config = config.withDefaults()
	sockets := newSockets()
	engine, user, err := connections(config, sockets)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), engine)
	if err != nil {
		return nil, explain(ctx, "connect", err)
	}
	db := stdlib.OpenDB(*user)
	db.SetMaxOpenConns(config.MaxConnections)
	db.SetConnMaxIdleTime(time.Minute)
	s := &Store{config: config, pool: pool, db: bun.NewDB(db, pgdialect.New()), sockets: sockets}
	s.close = sync.OnceValue(s.closeAll)
	if err := s.checkServer(ctx); err != nil {
		_ = s.Close() // the first error is the one to report
		return nil, err
	}
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.MaxConnections == 0 {
		c.MaxConnections = max(8, 4*goruntime.GOMAXPROCS(0))
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// checkServer makes the first connection and refuses a server that the package is not made for.
func (s *Store) checkServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return s.with(ctx, "connect", func(_ context.Context, conn *pgx.Conn) error {
		version := conn.PgConn().ParameterStatus("server_version")
		major, _, _ := strings.Cut(version, ".")
		if number, err := strconv.Atoi(major); err == nil && number < oldestVersion {
			return final("postgres: the server is version %s; %d or later is needed", version, oldestVersion)
		}
		if encoding := conn.PgConn().ParameterStatus("server_encoding"); encoding != "UTF8" {
			return final("postgres: the database's encoding is %s; UTF8 is needed", encoding)
		}
		return nil
	})
}

// DB returns the database for the user's own queries, on connections apart from the engine's. It is closed with the store.
func (s *Store) DB() *bun.DB { return s.db }

// Ping says whether the database can be reached.
func (s *Store) Ping(ctx context.Context) error {
	return s.with(ctx, "ping", func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) })
}

// Close waits for calls under way, two seconds at most, then cuts their connections.
func (s *Store) Close() error { return s.close() }

func (s *Store) closeAll() error {
	closed := make(chan error)
	go func() {
		s.pool.Close()
		closed <- s.db.Close()
	}()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case err := <-closed:
		s.sockets.cut()
		return err
	case <-grace.C:
		s.sockets.cut()
		return <-closed
	}
}

// with calls do with a connection, within Config.Timeout, and explains its error. what says what is done, for the error.
func (s *Store) with(ctx context.Context, what string, do func(context.Context, *pgx.Conn) error) error {
	attempt, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	conn, err := s.pool.Acquire(attempt)
	if err != nil {
		return explain(ctx, what, err)
	}
	defer conn.Release()
	err = do(attempt, conn.Conn())
	if err == nil {
		return nil
	}
	if mistrusted(err) {
		// Released, a closed connection leaves the pool.
		_ = conn.Conn().Close(attempt)
	}
	return explain(ctx, what, err)
}
