package flows

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"

	"github.com/uptrace/bun"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/http"
	"github.com/kappaflows/flows/runtime/ingress"
	"github.com/kappaflows/flows/runtime/metrics"
	"github.com/kappaflows/flows/runtime/producer"
)

// Instance is an app with its connections open: one process of it. Open makes it, Run runs its functions, Close closes
// what Open opened.
type Instance struct {
	functions []*runtime.Function
	graph     Graph
	settings  Settings
	drivers   *drivers
	engine    *runtime.Engine
	ingress   *ingress.Ingress
	metrics   *metrics.Collector
	listener  net.Listener // nil with NoHTTP
	profiles  net.Listener // nil without an address for them
}

// Open checks the app, takes the HTTP port, connects to the log and the store, migrates the store's tables and makes sure
// that the topics are there. Nothing is processed before Run. The error wraps runtime.ErrUnavailable where a broker or
// a database can't be reached.
func (a *App) Open(ctx context.Context, settings Settings) (*Instance, error) {
	all, err := a.compile()
	if err != nil {
		return nil, err
	}
	functions, err := choose(all, settings.Functions)
	if err != nil {
		return nil, err
	}
	if err := settings.check(); err != nil {
		return nil, err
	}
	if settings.Logger == nil {
		settings.Logger = slog.New(slog.DiscardHandler)
	}
	i := &Instance{functions: functions, graph: graphOf(all), settings: settings, drivers: &drivers{}}
	if err := i.open(ctx, a.open); err != nil {
		return nil, closeAfter(err, i)
	}
	return i, nil
}

func (i *Instance) open(ctx context.Context, open opener) (err error) {
	if err := i.listenProfiles(ctx); err != nil {
		return err
	}
	if addr := i.settings.httpAddr(); addr != NoHTTP {
		if i.listener, err = http.Listen(ctx, addr); err != nil {
			return err
		}
	}
	opened, err := open(ctx, &i.settings, needStore(i.functions))
	if err != nil {
		return err
	}
	i.drivers = opened
	if err := i.prepare(ctx); err != nil {
		return err
	}
	i.metrics = metrics.New(metrics.Config{Status: i.Status})
	i.engine = runtime.New(runtime.Config{
		Functions: i.functions, Log: i.drivers.log, Store: i.drivers.store, Observer: i.metrics, Logger: i.settings.Logger,
		BufferBytes: i.settings.BufferBytes, CacheBytes: i.settings.CacheBytes,
	})
	return i.openRoutes()
}

// prepare makes the tables and the topics of the functions' own, and the others where that is ours to do; else it checks
// that they are there.
func (i *Instance) prepare(ctx context.Context) error {
	if err := i.drivers.migrate(ctx, i.functions); err != nil {
		return err
	}
	declared := declaredSpecs(i.functions)
	ready := func() error { return requireTopics(ctx, i.drivers.log, declared) }
	if i.settings.Embedded() {
		ready = func() error {
			_, err := createTopics(ctx, i.drivers.log, declared, topicDefaults{partitions: embeddedPartitions})
			return err
		}
	}
	if err := ready(); err != nil {
		return err
	}
	_, err := createOwnTopics(ctx, i.drivers.log, i.functions, 0)
	return err
}

// needStore says whether one of the functions keeps something in a store.
func needStore(functions []*runtime.Function) bool {
	for _, f := range functions {
		if f.Options.Delivery == runtime.ExactlyOnce || f.State != nil {
			return true
		}
	}
	return false
}

// Run runs the functions, and serves HTTP, until ctx is done; then it drains and returns nil. Where a function fails it
// stops the others and returns that error. It is called once.
func (i *Instance) Run(ctx context.Context) error {
	// HTTP outlives the engine, so that probes see it drain.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	running, stopRunning := context.WithCancel(ctx)
	defer stopRunning()
	served := make(chan error, 1)
	go func() {
		defer stopRunning()
		served <- i.serve(serving)
	}()
	profiled := make(chan error, 1)
	go func() {
		defer stopRunning()
		profiled <- i.serveProfiles(serving)
	}()
	taken := make(chan error, 1)
	go func() { taken <- i.ingress.Run(running) }()
	err := i.engine.Run(running)
	stopRunning()
	err = errors.Join(err, <-taken)
	stopServing()
	return errors.Join(err, <-served, <-profiled)
}

func (i *Instance) serve(ctx context.Context) error {
	if i.listener == nil {
		<-ctx.Done()
		return nil
	}
	server := http.New(i.mounted(http.Config{
		Name: programName(), Status: i.Status, Pings: i.pings(), Metrics: i.metrics.Handler(),
		Topology: i.graph, Mermaid: i.graph.Mermaid(), Logger: i.settings.Logger,
	}))
	i.settings.Logger.Info("serving", "url", i.URL(), "functions", i.functionNames())
	return server.Run(ctx, i.listener)
}

func (i *Instance) functionNames() string {
	names := make([]string, len(i.functions))
	for at, f := range i.functions {
		names[at] = f.Name
	}
	return strings.Join(names, ", ")
}

func (i *Instance) pings() map[string]func(context.Context) error {
	pings := map[string]func(context.Context) error{i.drivers.logName: i.drivers.log.Ping}
	if i.drivers.store != nil {
		pings[i.drivers.storeName] = i.drivers.store.Ping
	}
	return pings
}

// Close closes all connections, in reverse order of opening. Run must have returned.
func (i *Instance) Close() error {
	return errors.Join(i.drivers.Close(), closeListener(i.listener), closeListener(i.profiles))
}

// Status returns what each function is doing now.
func (i *Instance) Status() []runtime.Status { return i.engine.Status() }

// Log returns the log that the app runs on.
func (i *Instance) Log() runtime.Log { return i.drivers.log }

// Store returns the store that the app runs on; nil where no function needs one.
func (i *Instance) Store() runtime.Store { return i.drivers.store }

// DB returns the database that holds the tables, for queries of the app's own; nil without a store.
func (i *Instance) DB() *bun.DB { return i.drivers.db }

// Producer starts a producer for the app's topics; the caller closes it before the instance.
func (i *Instance) Producer(ctx context.Context) (*producer.Producer, error) {
	return producer.New(ctx, producer.Config{Log: i.drivers.log, Logger: i.settings.Logger})
}

// URL returns where this instance answers HTTP, without a path; empty with NoHTTP.
func (i *Instance) URL() string {
	if i.listener == nil {
		return ""
	}
	host, port, err := net.SplitHostPort(i.listener.Addr().String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
