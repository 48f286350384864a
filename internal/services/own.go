package services

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/services/local"
)

// Broker is a Kafka broker of a test's own.
type Broker struct{ process }

// NewBroker starts a broker with further lines of server.properties. It ends with the test.
func NewBroker(t testing.TB, properties ...string) *Broker {
	t.Helper()
	service, err := local.StartKafka(t.Context(), local.Config{Settings: properties})
	need(t, err)
	return &Broker{own(t, service)}
}

// NewListeningBroker starts a broker that has listeners beside the one of NewBroker, each on a port of its own: protocols
// such as SASL_SSL by the name of the listener.
func NewListeningBroker(t testing.TB, listeners map[string]string, properties ...string) *Broker {
	t.Helper()
	service, err := local.StartKafka(t.Context(), local.Config{Listeners: listeners, Settings: properties})
	need(t, err)
	return &Broker{own(t, service)}
}

// Listener returns the address of one of the broker's further listeners.
func (b *Broker) Listener(name string) string { return b.service.Listeners[name] }

// Addr returns the broker's address. It stays the same however often the broker is started.
func (b *Broker) Addr() string { return b.service.Address }

// Cluster is several brokers of a test's own, and what decides which of them leads what. Each topic has a copy on each
// broker, and what is acknowledged is on two at least.
type Cluster struct {
	Controller *Controller
	Brokers    []*Broker
}

// Addr returns the addresses of all brokers, separated by commas, as clients take them.
func (c *Cluster) Addr() string {
	addresses := make([]string, len(c.Brokers))
	for i, b := range c.Brokers {
		addresses[i] = b.Addr()
	}
	return strings.Join(addresses, ",")
}

// Controller is the process that decides on the leaders of a Cluster.
type Controller struct{ process }

// NewCluster starts a cluster with as many brokers as there are addresses, at each of which clients are told to find one:
// that of a proxy in front of it, or an empty one for the broker's own. It ends with the test.
func NewCluster(t testing.TB, advertised ...string) *Cluster {
	t.Helper()
	configs := make([]local.Config, len(advertised))
	for i, address := range advertised {
		configs[i].Advertised = address
	}
	cluster, err := local.StartCluster(t.Context(), configs)
	need(t, err)
	c := &Cluster{Controller: &Controller{own(t, cluster.Controller)}}
	for _, service := range cluster.Brokers {
		c.Brokers = append(c.Brokers, &Broker{own(t, service)})
	}
	return c
}

// Server is a Postgres server of a test's own.
type Server struct{ process }

// NewPostgres starts a server with further lines of postgresql.conf. It ends with the test.
func NewPostgres(t testing.TB, settings ...string) *Server {
	t.Helper()
	config := local.Config{Settings: slices.Concat(unsafeButFast, settings)}
	service, err := local.StartPostgres(t.Context(), config)
	need(t, err)
	return &Server{own(t, service)}
}

// URL returns the URL of the server's database postgres, as its superuser. It stays the same however often the server is started.
func (s *Server) URL() string { return s.service.Address }

// NewDatabase creates a database and returns the URL of it.
func (s *Server) NewDatabase() string {
	s.t.Helper()
	name := "flows_test_" + random()
	execute(s.t, s.URL(), `create database "`+name+`"`)
	return withDatabase(s.t, s.URL(), name)
}

// process is what a Broker and a Server have in common. A method that fails ends the test, so call them from the
// test's own goroutine, one at a time.
type process struct {
	t       testing.TB
	service *local.Service
}

// Log returns what the service has printed.
func (p process) Log() string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.service.Dir, "log"))
	require.NoError(p.t, err)
	return string(text)
}

func own(t testing.TB, service *local.Service) process {
	t.Cleanup(func() { require.NoError(t, service.Remove()) })
	return process{t: t, service: service}
}

// Kill ends the service as a crash does (SIGKILL to all its processes) and waits until it is gone.
func (p process) Kill() { p.service.Kill() }

// Quit ends the service without tidying up: a Postgres server shuts down immediately, a broker is killed.
func (p process) Quit() {
	p.t.Helper()
	require.NoError(p.t, p.service.Quit())
}

// Stop shuts the service down cleanly and waits until it is gone.
func (p process) Stop() {
	p.t.Helper()
	require.NoError(p.t, p.service.Stop())
}

// Start starts the service again, on its port and with its data, and waits until it answers.
func (p process) Start() {
	p.t.Helper()
	require.NoError(p.t, p.service.Start(p.t.Context()))
}

// Pause freezes the service (SIGSTOP): connections stay and nothing is answered.
func (p process) Pause() {
	p.t.Helper()
	require.NoError(p.t, p.service.Pause())
}

// Continue ends a Pause.
func (p process) Continue() {
	p.t.Helper()
	require.NoError(p.t, p.service.Continue())
}
