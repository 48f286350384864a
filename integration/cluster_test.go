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
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	judge "github.com/kappaflows/flows/internal/oracle"
	"github.com/kappaflows/flows/internal/proxy"
	"github.com/kappaflows/flows/internal/services"
)

// programs are the examples that run: functions without and with state, one that keeps tables, and a shop with a router,
// a join and tables. Each has so many processes while nothing changes that.
var programs = map[string]int{"wordcount": 3, "shop": 2, "table": 2}

// groups are the functions of each program, every one behind those whose outputs it reads.
var groups = map[string][]string{
	"wordcount": {"split", "count"},
	"shop":      {"check", "stock", "sell.accepted", "sell.payments", "sell.shipments", "sell", "tables"},
	"table":     {"keep"},
}

// inputs are the topics that the functions read.
var inputs = map[string]string{
	"split": "lines", "count": "words", "check": "orders", "stock": "movements", "sell.accepted": "accepted", "sell.payments": "payments",
	"sell.shipments": "shipments", "sell": "sell.intermediate", "tables": "sales", "keep": "prices",
}

// cluster is one broker or several, a database and processes of several programs, which reach them through proxies. The
// test itself goes past the proxies.
type cluster struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand

	brokers []*broker
	// controller decides which broker leads what; nil where there is one broker.
	controller *services.Controller
	server     *services.Server
	toDatabase *proxy.Proxy
	disk       *disk

	oracle    oracle
	client    *kgo.Client
	binaries  map[string]string
	env       []string
	instances []*instance
	// requests are the orders that were sent by HTTP.
	requests *judge.Requests
	// started are all processes that ever were.
	started []*process
	// revived is how many of them were in place of one that could not start.
	revived int
	// seen is what strikes have noted.
	seen int
	// restarts is where the next one to restart is looked for, and gentle whether the last was asked to leave.
	restarts int
	gentle   bool
}

// broker is a broker, and the proxy by which clients come to it.
type broker struct {
	*services.Broker
	proxy *proxy.Proxy
}

// instance is a place for a process of a program: when one is killed another takes it.
type instance struct {
	program string
	// address is where it serves HTTP.
	address string
	*process
}

// newCluster starts everything. settings are further ones of the database; some is where it is.
func newCluster(t *testing.T, seed uint64, brokers int, some *disk, settings ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), binaries: map[string]string{}, disk: some}
	c.toDatabase = newProxy(t)
	c.startBrokers(brokers)
	c.server = services.NewPostgres(t, settings...)
	database, through := c.database()

	var addresses, proxies []string
	for _, b := range c.brokers {
		addresses, proxies = append(addresses, b.Addr()), append(proxies, b.proxy.Addr())
	}
	// Brokers tell their clients to come through the proxies; those of the test don't.
	direct := kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		if at := slices.Index(proxies, address); at >= 0 {
			address = addresses[at]
		}
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
	})
	c.oracle = oracle{brokers: strings.Join(addresses, ","), database: database, options: []kgo.Opt{direct}}
	c.client = c.oracle.client(t)
	c.env = environment(strings.Join(proxies, ","), through)
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		c.binaries[name] = build(t, name)
		run(t, c.env, c.binaries[name], "topics", "create", "--partitions", "6")
		c.resize(name, programs[name])
	}
	return c
}

func (c *cluster) startBrokers(n int) {
	c.t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		c.brokers = append(c.brokers, &broker{proxy: newProxy(c.t)})
		addresses[i] = c.brokers[i].proxy.Addr()
	}
	if n == 1 {
		c.brokers[0].Broker = services.NewBroker(c.t, "advertised.listeners=PLAINTEXT://"+addresses[0])
	} else {
		all := services.NewCluster(c.t, addresses...)
		c.controller = all.Controller
		for i, b := range all.Brokers {
			c.brokers[i].Broker = b
		}
	}
	for _, b := range c.brokers {
		b.proxy.Forward(b.Addr())
	}
}

// anyLeader returns some broker that leads partitions which are written, where the brokers can be asked. One that has
// come back leads nothing for a while, and is not missed.
func (c *cluster) anyLeader() *broker {
	c.t.Helper()
	found, err := kadm.NewClient(c.client).ListTopics(c.t.Context(), "words", "counts", "sales")
	leading := c.brokers
	if err == nil && found.Error() == nil {
		ids := map[int32]bool{}
		found.EachPartition(func(p kadm.PartitionDetail) { ids[p.Leader] = true })
		leading = nil
		for i, b := range c.brokers {
			if ids[int32(i+1)] {
				leading = append(leading, b)
			}
		}
	}
	if len(leading) == 0 {
		leading = c.brokers
	}
	return leading[c.random.IntN(len(leading))]
}

// proxies are those in front of the brokers.
func (c *cluster) proxies() (all []*proxy.Proxy) {
	for _, b := range c.brokers {
		all = append(all, b.proxy)
	}
	return all
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

// administer runs a statement as the server's administrator, and returns how many rows it gave.
func (c *cluster) administer(statement string) (rows int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	connection, err := pgx.Connect(ctx, c.server.URL())
	require.NoError(c.t, err)
	defer connection.Close(ctx)
	done, err := connection.Exec(ctx, statement)
	require.NoError(c.t, err, statement)
	return int(done.RowsAffected())
}

// launch starts a process in the place of one that ended.
func (c *cluster) launch(i *instance) {
	c.t.Helper()
	i.process = start(c.t, append(slices.Clip(c.env), "HTTP_ADDR="+i.address), c.binaries[i.program], "run")
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
		i := &instance{program: program, address: services.FreeAddress(c.t)}
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

// addresses returns where the instances of a program serve HTTP.
func (c *cluster) addresses(program string) (all []string) {
	for _, i := range c.instances {
		if i.program == program {
			all = append(all, i.address)
		}
	}
	return all
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
		n += p.log.count(text)
	}
	return n
}
