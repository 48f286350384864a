// Package ingress takes HTTP requests into topics: it is what runs the functions of package router.
//
// A request with an idempotency key is remembered in the store, with the identity and the sequence that its record is
// sent with, before the record is sent; made again, it is sent again under the same ones, and the broker appends it
// once. Requests without a key are sent in batches with those of others.
//
// The package has handlers and no server, and knows the broker and the database as ports only.
package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/kappaflows/flows/runtime"
)

// Config says which functions an Ingress serves, and with what.
type Config struct {
	// Functions are those of an app; the ones without a Route are passed over.
	Functions []*runtime.Function
	Log       runtime.Log
	// Store must be a runtime.KeyStore where one of the functions is exactly once.
	Store runtime.Store
	// Clock and Logger are runtime.WallClock and a logger that discards unless set.
	Clock  runtime.Clock
	Logger *slog.Logger
	// Observe, where set, is told of each request that was answered.
	Observe func(function string, status int, took time.Duration)
	// BodyBytes bounds the bodies of all requests at once; more are refused for the moment. 0 is 64 MiB, or what one
	// body may have.
	BodyBytes int64
}

const (
	defaultBodyBytes = 64 << 20
	// drainTimeout is how long requests under way may take once Run is to end.
	drainTimeout = 6 * time.Second
)

// ErrNoKeyStore says that a function needs a store that remembers keys, and there is none.
var ErrNoKeyStore = errors.New("idempotency keys need a database; set one, or make the router's delivery at least once")

// Ingress serves routes.
type Ingress struct {
	config Config
	routes []*route
	store  runtime.KeyStore
	lanes  *lanes
	bodies *semaphore.Weighted

	// requests are those under way; drained is set once no more are taken.
	mutex    sync.Mutex
	drained  bool
	requests sync.WaitGroup
	// cut is done when requests under way are to end at once.
	cut     context.Context
	cutting context.CancelFunc
}

// New returns an ingress that serves as soon as its handlers are called; Run must be, too.
func New(config Config) (*Ingress, error) {
	if config.Clock == nil {
		config.Clock = runtime.WallClock
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Observe == nil {
		config.Observe = func(string, int, time.Duration) {}
	}
	if config.BodyBytes == 0 {
		config.BodyBytes = defaultBodyBytes
	}
	i := &Ingress{config: config, lanes: newLanes(config.Log)}
	i.store, _ = config.Store.(runtime.KeyStore)
	for _, f := range config.Functions {
		if f.Route == nil {
			continue
		}
		if f.Options.Delivery == runtime.ExactlyOnce && i.store == nil {
			return nil, &runtime.FunctionError{Function: f.Name, Err: ErrNoKeyStore}
		}
		i.config.BodyBytes = max(i.config.BodyBytes, f.Route.BodyLimit)
		i.routes = append(i.routes, newRoute(i, f))
	}
	i.bodies = semaphore.NewWeighted(i.config.BodyBytes)
	i.cut, i.cutting = context.WithCancel(context.Background())
	return i, nil
}

// Handler serves one route.
type Handler struct {
	Method, Pattern string
	// Serve answers a request, or returns the error that it is to be answered with (see package problem). Headers of the
	// answer are set then.
	Serve func(w http.ResponseWriter, request *http.Request) error
}

// Handlers returns the handlers of the routes, in the order of the functions.
func (i *Ingress) Handlers() []Handler {
	handlers := make([]Handler, len(i.routes))
	for at, r := range i.routes {
		handlers[at] = Handler{Method: r.spec.Method, Pattern: r.spec.Pattern, Serve: r.serve}
	}
	return handlers
}

// Run forgets old keys until ctx is done. Then requests are refused, and those under way are waited for: six seconds,
// then they are cut.
func (i *Ingress) Run(ctx context.Context) error {
	defer i.cutting()
	i.forget(ctx)
	<-ctx.Done()
	i.mutex.Lock()
	i.drained = true
	i.mutex.Unlock()
	after, stop := i.config.Clock.After(drainTimeout)
	defer stop()
	ended := make(chan struct{})
	go func() {
		i.requests.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-after:
		i.config.Logger.Warn("requests cut at shutdown")
		i.cutting()
		<-ended
	}
	var closing errgroup.Group
	for _, r := range i.routes {
		closing.Go(func() error { r.appender.close(); return nil })
	}
	return closing.Wait()
}

// enter counts a request as under way, unless the ingress is draining. leave must be called.
func (i *Ingress) enter() (entered bool) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if i.drained {
		return false
	}
	i.requests.Add(1)
	return true
}

const (
	// forgetEvery is how often keys that were kept for long enough are deleted, forgetMost at a time.
	forgetEvery = time.Minute
	forgetMost  = 1000
)

// forget deletes old keys until ctx is done.
func (i *Ingress) forget(ctx context.Context) {
	if i.store == nil {
		return
	}
	for runtime.Sleep(ctx, i.config.Clock, forgetEvery) {
		for ctx.Err() == nil {
			n, err := i.store.Forget(ctx, forgetMost)
			if err != nil && ctx.Err() == nil {
				i.config.Logger.Warn("old idempotency keys stay for now", "error", err)
			}
			if err != nil || n < forgetMost {
				break
			}
		}
	}
}

const (
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// retry calls attempt until it does not fail with runtime.ErrUnavailable or ctx is done.
func retry(ctx context.Context, clock runtime.Clock, attempt func() error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := attempt()
		if err == nil || !errors.Is(err, runtime.ErrUnavailable) {
			return err
		}
		if !runtime.Sleep(ctx, clock, pause) {
			return fmt.Errorf("given up: %w", err)
		}
	}
}
