package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

// ErrNotLoopback says that an address for profiles can be reached from other machines.
var ErrNotLoopback = errors.New("profiles are served to this machine only: use a loopback address such as 127.0.0.1:6060")

// ListenLoopback takes an address as Listen does, but only one that no other machine can reach; else the error wraps
// ErrNotLoopback.
func ListenLoopback(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || !loopback(host) {
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, ErrNotLoopback)
	}
	listener, err := Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	if at, ok := listener.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		// The machine takes localhost for something else.
		return nil, errors.Join(fmt.Errorf("cannot listen on %s: %w", addr, ErrNotLoopback), listener.Close())
	}
	return listener, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Profiles serve what a running process does and holds, as "go tool pprof" and "go tool trace" read it: /debug/pprof/profile
// (processor time) and /debug/pprof/trace, both with ?seconds=, and /debug/pprof/heap, goroutine and the other profiles of
// runtime/pprof. They show what is in the process, so they are for a listener of ListenLoopback.
//
// They are not those of net/http/pprof, which a program would also serve wherever it serves http.DefaultServeMux.
type Profiles struct {
	// Logger gets what goes wrong with connections; nil discards it.
	Logger *slog.Logger
}

// Limits on how long a profile takes.
const (
	defaultSeconds = 10
	mostSeconds    = 60
)

// Handler returns what serves the profiles.
func (Profiles) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/profile", during(pprof.StartCPUProfile, pprof.StopCPUProfile))
	mux.HandleFunc("GET /debug/pprof/trace", during(trace.Start, trace.Stop))
	mux.HandleFunc("GET /debug/pprof/{name}", snapshot)
	mux.HandleFunc("GET /debug/pprof/{$}", list)
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		host, _, err := net.SplitHostPort(request.Host)
		if err != nil {
			host = request.Host
		}
		// A page in a browser of this machine must not get here by a name of its own that leads to loopback.
		if !loopback(host) {
			http.Error(w, "profiles are served to this machine only", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, request)
	})
}

// Run serves the profiles until ctx is done, and cuts those under way then. It closes the listener.
func (p Profiles) Run(ctx context.Context, listener net.Listener) error {
	logger := p.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	server := &http.Server{
		Handler: p.Handler(), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: mostSeconds*time.Second + writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:    slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("profiles on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close() // a profile that nobody waits for
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("profiles on %s: %w", listener.Addr(), err)
	}
	return nil
}

// during serves what is recorded between start and stop.
func during(start func(io.Writer) error, stop func()) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		seconds := defaultSeconds
		if text := request.FormValue("seconds"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > mostSeconds {
				http.Error(w, fmt.Sprintf("seconds is a number from 1 to %d", mostSeconds), http.StatusBadRequest)
				return
			}
			seconds = n
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := start(w); err != nil {
			http.Error(w, err.Error(), http.StatusConflict) // another one is under way
			return
		}
		defer stop()
		timer := time.NewTimer(time.Duration(seconds) * time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-request.Context().Done():
		}
	}
}

func snapshot(w http.ResponseWriter, request *http.Request) {
	profile := pprof.Lookup(request.PathValue("name"))
	if profile == nil {
		http.Error(w, "there is no such profile; /debug/pprof/ lists them", http.StatusNotFound)
		return
	}
	debug, _ := strconv.Atoi(request.FormValue("debug")) // anything else is the binary form
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	_ = profile.WriteTo(w, debug) // a client that has left gets no other answer
}

func list(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, "profile\ntrace")
	for _, profile := range pprof.Profiles() {
		_, _ = fmt.Fprintf(w, "%s?debug=1\n", profile.Name())
	}
}
