// Package http serves what operators and their tools ask a running app: whether it lives and is ready, its metrics and
// its topology.
//
// It knows the engine only by its status and the dependencies only by their pings. It serves no states, and requests
// for the app's own functions only with handlers that it is given.
package http

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/uptrace/bunrouter"

	"github.com/kappaflows/flows/runtime"
)

// Config says what a Server serves. Every field may be left out.
type Config struct {
	// Status says what the functions do; without it none of them keeps the app from being ready.
	Status func() []runtime.Status
	// Pings check that what the app depends on can be reached, by the name of the dependency.
	Pings map[string]func(context.Context) error
	// Metrics serves /metrics.
	Metrics http.Handler
	// Topology is served at /topology as JSON, and Mermaid as its drawing.
	Topology any
	Mermaid  string
	// Routes are addresses of the app's own functions, and OpenAPI their description, served at /openapi.json.
	Routes  []Route
	OpenAPI any
	// Name is what the app is called.
	Name string
	// Clock and Logger are runtime.WallClock and a logger that discards unless set.
	Clock  runtime.Clock
	Logger *slog.Logger
}

// Limits on what a client may take of the server. A scrape or a probe is far below all of them.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	// shutdownTimeout bounds how long requests under way are waited for at the end.
	shutdownTimeout = 2 * time.Second
)

// Server serves the app's own addresses.
type Server struct {
	config    Config
	router    *bunrouter.Router
	readiness *readiness
	// allowed are the methods of the paths of Config.Routes.
	allowed map[string][]string
}

// New returns a server that does nothing until Run.
func New(config Config) *Server {
	if config.Clock == nil {
		config.Clock = runtime.WallClock
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Status == nil {
		config.Status = func() []runtime.Status { return nil }
	}
	s := &Server{config: config}
	s.readiness = newReadiness(config.Status, config.Pings, config.Clock)
	s.router = s.routes()
	return s
}

// Handler returns what the server serves, for use without a port.
func (s *Server) Handler() http.Handler { return s.guarded(s.router) }

// Listen takes an address such as ":8080", so that a port in use is known before anything else is started; port 0 takes
// a free one. Closing the listener gives it back; Run does.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on %s: the address is in use", addr)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, reason(err))
	}
	return listener, nil
}

// reason is the cause of a network error without the address, which the caller names.
func reason(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Run serves until ctx is done, then waits a little for the requests under way. It closes the
// listener.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("HTTP server on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		// Requests that take longer are cut; that is no failure of the app.
		s.config.Logger.Warn("requests cut at shutdown", "error", err)
		_ = server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("HTTP server on %s: %w", listener.Addr(), err)
	}
	return nil
}
