package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// sessionSettings are what every connection sets on the server unless the URL says otherwise. A statement that waits
// or a process that stopped must not block others for long.
var sessionSettings = map[string]string{
	"application_name":                    "flows",
	"statement_timeout":                   "30s",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "10s",
}

// engineSettings are those of the engine's connections besides. The engine looks rows up by key, thousands at once
// from an array whose length a plan can't know; every such plan has to go through the index from the first row on, when the
// table's statistics still say that it is empty, and must not be made again for each array.
var engineSettings = map[string]string{
	"default_transaction_isolation": "read committed",
	"plan_cache_mode":               "force_generic_plan",
	"enable_seqscan":                "off",
	"enable_hashjoin":               "off",
	"enable_mergejoin":              "off",
	"jit":                           "off",
}

// connections returns the settings of the engine's pool and those of the user's connections.
func connections(config Config, sockets *sockets) (*pgxpool.Config, *pgx.ConnConfig, error) {
	if config.URL == "" {
		return nil, nil, errors.New("postgres: no URL is given; it reads postgres://user:password@host:port/database")
	}
	engine, err := pgxpool.ParseConfig(config.URL)
	if err != nil {
		if file, ok := errors.AsType[*fs.PathError](err); ok {
			// Nor is the name shown: with a quote in the wrong place the password is in it.
			return nil, nil, fmt.Errorf("postgres: a file that the URL names (sslrootcert, sslcert, sslkey) can't be read: %w", file.Err)
		}
		// The parser's error holds the URL, and with it the password.
		return nil, nil, errors.New("postgres: the URL can't be understood; it reads postgres://user:password@host:port/database?sslmode=mode")
	}
	base := engine.ConnConfig
	base.DialFunc = sockets.dial
	if base.ConnectTimeout == 0 || base.ConnectTimeout > connectTimeout {
		base.ConnectTimeout = connectTimeout
	}
	setMissing(base.RuntimeParams, sessionSettings)
	if config.Configure != nil {
		config.Configure(base)
	}
	user := base.Copy()
	// bun writes arguments into the text of a query, so that every one is new to the statement cache.
	user.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	setMissing(base.RuntimeParams, engineSettings)
	engine.MaxConns = int32(min(config.MaxConnections, 10_000))
	engine.MinConns, engine.MinIdleConns = 0, 0
	engine.PingTimeout = connectTimeout
	return engine, user, nil
}

func setMissing(params, defaults map[string]string) {
	for name, value := range defaults {
		if _, ok := params[name]; !ok {
			params[name] = value
		}
	}
}

// sockets are the network connections that are open, so that they can be cut when a server does not answer.
type sockets struct {
	dialer net.Dialer
	mutex  sync.Mutex
	open   map[*socket]struct{}
	done   bool
}

type socket struct {
	net.Conn
	from *sockets
}

func newSockets() *sockets {
	return &sockets{
		dialer: net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4}},
		open:   map[*socket]struct{}{},
	}
}

func (s *sockets) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.done {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	tracked := &socket{Conn: conn, from: s}
	s.open[tracked] = struct{}{}
	return tracked, nil
}

func (c *socket) Close() error {
	c.from.mutex.Lock()
	delete(c.from.open, c)
	c.from.mutex.Unlock()
	return c.Conn.Close()
}

// cut closes all sockets and lets no more be opened.
func (s *sockets) cut() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.done = true
	for socket := range s.open {
		_ = socket.Conn.Close() // nothing waits for what a cut connection has to say
	}
}

// quote quotes a table name, which may have a schema before a dot.
func quote(name string) string { return pgx.Identifier(splitName(name)).Sanitize() }

func splitName(name string) []string {
	for i := range len(name) {
		if name[i] == '.' {
			return []string{name[:i], name[i+1:]}
		}
	}
	return []string{name}
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
