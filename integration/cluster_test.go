package integration

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/proxy"
	"github.com/kappaflows/flows/internal/services"
)

// programs are the examples that run: functions without and with state, a join, and one that keeps tables. Each has so
// many processes while nothing changes that.
var programs = map[string]int{"wordcount": 3, "enrich": 2, "table": 2}

// cluster is a broker, a database and processes of several programs, which reach both through proxies. The test itself
// goes past the proxies.
type cluster struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand

	broker     *services.Broker
	server     *services.Server
	toBroker   *proxy.Proxy
	toDatabase *proxy.Proxy
	disk       *disk

	oracle    oracle
	client    *kgo.Client
	binaries  map[string]string
	env       []string
	instances []*instance
	// started are all processes that ever were.
	started []*process
	// revived is how many of them were in place of one that could not start.
	revived int
}

// instance is a place for a process of a program: when one is killed another takes it.
type instance struct {
	program string
	*process
}

func newCluster(t *testing.T, seed uint64) *cluster {
	t.Helper()
	c := &cluster{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), binaries: map[string]string{}}
	c.toBroker, c.toDatabase = newProxy(t), newProxy(t)
	c.broker = services.NewBroker(t, "advertised.listeners=PLAINTEXT://"+c.toBroker.Addr())
	c.toBroker.Forward(c.broker.Addr())
	c.server = services.NewPostgres(t)
	c.disk = newDisk(t)
	database, through := c.database()

	// The broker tells its clients to come through the proxy; those of the test don't.
	direct := kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == c.toBroker.Addr() {
			address = c.broker.Addr()
		}
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
	})
	c.oracle = oracle{brokers: c.broker.Addr(), database: database, options: []kgo.Opt{direct}}
	c.client = c.oracle.client(t)
	c.env = environment(c.toBroker.Addr(), through)
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		c.binaries[name] = build(t, name)
		run(t, c.env, c.binaries[name], "topics", "create", "--partitions", "6")
		c.resize(name, programs[name])
	}
	return c
}

func newProxy(t *testing.T) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Start()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// database makes a database, on the small disk if there is one, and returns its URL and that through the proxy.
func (c *cluster) database() (direct, through string) {
	c.t.Helper()
	direct = c.server.NewDatabase()
	address, err := url.Parse(direct)
	require.NoError(c.t, err)
	if c.disk.folder != "" {
		c.administer(`create tablespace small location '` + c.disk.folder + `'`)
		c.administer(`alter database "` + strings.TrimPrefix(address.Path, "/") + `" set tablespace small`)
	}
	c.toDatabase.Forward(address.Host)
	address.Host = c.toDatabase.Addr()
	return direct, address.String()
}

// administer runs a statement as the server's administrator.
func (c *cluster) administer(statement string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	connection, err := pgx.Connect(ctx, c.server.URL())
	require.NoError(c.t, err)
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, statement)
	require.NoError(c.t, err, statement)
}

// launch starts a process in the place of one that ended.
func (c *cluster) launch(i *instance) {
	c.t.Helper()
	i.process = start(c.t, c.env, c.binaries[i.program], "run")
	c.started = append(c.started, i.process)
}

// relaunch kills all instances and starts others in their places.
func (c *cluster) relaunch() {
	c.t.Helper()
	for _, i := range c.instances {
		i.kill()
		c.launch(i)
	}
}

// resize starts instances of a program, or terminates some of them, until there are n.
func (c *cluster) resize(program string, n int) {
	c.t.Helper()
	var those []*instance
	for _, i := range c.instances {
		if i.program == program {
			those = append(those, i)
		}
	}
	for ; len(those) < n; n-- {
		i := &instance{program: program}
		c.launch(i)
		c.instances = append(c.instances, i)
	}
	for len(those) > n {
		at := c.random.IntN(len(those))
		gone := those[at]
		c.leave(gone)
		those = slices.Delete(those, at, at+1)
		c.instances = slices.DeleteFunc(c.instances, func(i *instance) bool { return i == gone })
	}
}

// revive does what whoever runs programs does: a program that can't reach what it needs when it starts ends, and is
// started again. One that ended by itself for any other reason, or once it was running, fails the test.
func (c *cluster) revive() {
	c.t.Helper()
	for _, i := range c.instances {
		if i.running() {
			continue
		}
		require.True(c.t, i.unstarted(), "%s ended by itself: %v: %s", i.program, i.err, i.log.tail())
		c.launch(i)
		c.revived++
	}
}

// unstarted says whether a process that ended did so before its functions began: all that it says is then one line, of the
// broker or the database.
func (i *instance) unstarted() bool {
	said := i.log.String()
	return strings.Count(said, "\n") == 1 && !strings.Contains(said, "function ") &&
		(strings.Contains(said, "unavailable") || strings.Contains(said, "postgres: "))
}

// leave asks a process to end.
func (c *cluster) leave(i *instance) {
	c.t.Helper()
	if i.running() || !i.unstarted() {
		i.terminate(c.t)
	}
}

// any returns some instance.
func (c *cluster) any() *instance { return c.instances[c.random.IntN(len(c.instances))] }

// wait lets a time between two bounds pass.
func (c *cluster) wait(least, most time.Duration) {
	time.Sleep(least + time.Duration(c.random.Int64N(int64(most-least))))
}

// logged returns how many lines all processes together have logged that hold a text.
func (c *cluster) logged(text string) (n int) {
	for _, p := range c.started {
		n += strings.Count(p.log.String(), text)
	}
	return n
}
