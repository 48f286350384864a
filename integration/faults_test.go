package integration

import (
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/proxy"
)

// fault is one kind of what goes wrong. strike makes it happen, waits it out and ends it; the reason why it can't be
// had on this machine is all that it may return. evidence is how much has been seen so far of what such a fault does: it
// grows when one has happened.
type fault struct {
	name     string
	strike   func(*cluster) (reason string)
	evidence func(*cluster) int
}

// sessionTimeout is when the group takes a silent member for gone.
const sessionTimeout = 10 * time.Second

// anywhere are the faults that one broker is enough for.
var anywhere = []fault{
	{"an instance is killed", always(killInstance), killed},
	{"an instance stops for longer than its session, then goes on", always(stopInstance), noted},
	{"all instances are killed, and their last commits arrive when others have gone on", always(lateCommits), ofDatabase(late)},
	{"rolling restart", always(restartAll), left},
	{"1, 4, 2 instances of word count", always(scale), noted},
	{"the broker is restarted", always(restartBroker), ofBrokers(broken)},
	{"the broker is killed", always(killBroker), ofBrokers(broken)},
	{"the database shuts down immediately", always(quitDatabase), ofDatabase(broken)},
	{"the database is killed", always(killDatabase), ofDatabase(broken)},
	{"the database terminates all sessions", always(terminateSessions), noted},
	{"the database is read-only", always(readOnly), logged(isReadOnly)},
	{"the disk of the database is full", fillDisk, logged(isFull)},
	{"connections to the broker are cut", always(func(c *cluster) { interrupt(c, c.anyLeader().proxy) }), ofBrokers(cut)},
	{"connections to the database are cut", always(func(c *cluster) { interrupt(c, c.toDatabase) }), ofDatabase(cut)},
	{"nothing passes to and from the broker", always(func(c *cluster) { stall(c, c.anyLeader().proxy) }), ofBrokers(stalled)},
	{"nothing passes to and from the database", always(func(c *cluster) { stall(c, c.toDatabase) }), ofDatabase(stalled)},
	{"the network is slow", always(slow), func(c *cluster) int { return min(ofBrokers(delayed)(c), ofDatabase(delayed)(c)) }},
	{"answers of the broker are lost", always(func(c *cluster) { loseAnswers(c, c.proxies(), (*proxy.Proxy).LoseAnswers) }), ofBrokers(lost)},
	{"answers of the broker never come", always(func(c *cluster) { loseAnswers(c, c.proxies(), (*proxy.Proxy).SwallowAnswers) }), ofBrokers(lost)},
	{"answers of the database are lost", always(func(c *cluster) { loseAnswers(c, c.databaseProxy(), (*proxy.Proxy).LoseAnswers) }), ofDatabase(lost)},
	{"answers of the database never come", always(func(c *cluster) { loseAnswers(c, c.databaseProxy(), (*proxy.Proxy).SwallowAnswers) }), ofDatabase(lost)},
	{"deadlocks in the database", always(deadlock), logged(isDeadlock)},
	{"locks in the database are held for too long", always(holdLocks), logged(isHeld)},
	{"transactions of the database that can't be serialized", always(serialize), logged(isNotSerial)},
}

func always(strike func(*cluster)) func(*cluster) string {
	return func(c *cluster) string {
		strike(c)
		return ""
	}
}

func killInstance(c *cluster) {
	i := c.any()
	i.kill()
	c.wait(0, 2*time.Second)
	c.launch(i)
}

func stopInstance(c *cluster) {
	i := c.any()
	require.NoError(c.t, i.command.Process.Signal(syscall.SIGSTOP))
	c.wait(sessionTimeout+time.Second, sessionTimeout+4*time.Second)
	for _, group := range groups[i.program] {
		c.awaitMembers(group, 0, len(c.addresses(i.program))-1)
	}
	c.note(1)
	require.NoError(c.t, i.command.Process.Signal(syscall.SIGCONT))
}

// lateCommits lets what the database was sent by processes that are dead arrive when their successors have gone on, and
// kills those before they can write over it.
func lateCommits(c *cluster) {
	release := c.toDatabase.Hold(leastCommit)
	defer release()
	// In this time there is a commit on the way of each partition that has something to do.
	c.wait(200*time.Millisecond, 500*time.Millisecond)
	c.relaunch()
	c.awaitProgress()
	for _, i := range c.instances {
		i.kill()
	}
	release()
	c.wait(500*time.Millisecond, time.Second)
	c.relaunch()
}

func restartAll(c *cluster) {
	for _, i := range c.instances {
		c.leave(i)
		c.launch(i)
		c.wait(0, 500*time.Millisecond)
	}
}

func scale(c *cluster) {
	for _, n := range []int{1, 4, 2} {
		c.resize("wordcount", n)
		c.wait(2*time.Second, 4*time.Second)
		c.awaitProgress()
		c.awaitMembers("split", n, n)
		c.note(1)
	}
	c.resize("wordcount", programs["wordcount"])
}

// away lets some time pass in which a broker is away: sometimes it is back before others have noticed.
func away(c *cluster) {
	if len(c.brokers) == 1 {
		c.wait(0, 3*time.Second)
	} else {
		c.wait(0, 2*brokerSession)
	}
}

func restartBroker(c *cluster) {
	b := c.anyLeader()
	b.Stop()
	away(c)
	b.Start()
}

func killBroker(c *cluster) {
	b := c.anyLeader()
	b.Kill()
	away(c)
	b.Start()
}

func quitDatabase(c *cluster) {
	c.server.Quit()
	c.wait(0, 3*time.Second)
	c.server.Start()
}

func killDatabase(c *cluster) {
	c.server.Kill()
	c.server.Start()
}

// terminate returns a row for each session that it ends.
const terminate = `select from (select pg_terminate_backend(pid) as ended from pg_stat_activity where application_name = 'flows') as session where ended`

func terminateSessions(c *cluster) {
	for range 3 {
		c.note(c.administer(terminate))
		c.wait(0, 500*time.Millisecond)
	}
}

func readOnly(c *cluster) {
	seen := c.more(logged(isReadOnly))
	c.administer("alter system set default_transaction_read_only = on")
	c.administer("select pg_reload_conf()")
	c.wait(time.Second, 3*time.Second)
	c.until(seen)
	c.administer("alter system reset default_transaction_read_only")
	c.administer("select pg_reload_conf()")
}

func fillDisk(c *cluster) string {
	if c.disk.reason != "" {
		return c.disk.reason
	}
	seen := c.more(logged(isFull))
	c.disk.fill()
	c.wait(2*time.Second, 4*time.Second)
	c.until(seen)
	c.disk.clear()
	return ""
}

func interrupt(c *cluster, p *proxy.Proxy) {
	for range 3 {
		p.Cut()
		c.wait(0, 500*time.Millisecond)
	}
}

func stall(c *cluster, p *proxy.Proxy) {
	p.Stall()
	c.wait(time.Second, 6*time.Second)
	p.Cut()
	p.Resume()
}

func slow(c *cluster) {
	for _, b := range c.brokers {
		b.proxy.Delay(time.Duration(10+c.random.IntN(100)) * time.Millisecond)
	}
	c.toDatabase.Delay(time.Duration(10+c.random.IntN(100)) * time.Millisecond)
	c.wait(2*time.Second, 4*time.Second)
	for _, b := range c.brokers {
		b.proxy.Delay(0)
	}
	c.toDatabase.Delay(0)
}

// leastCommit is the size of which no request is smaller that is outputs, or a commit.
const leastCommit = 400

// loseAnswers lets some answers get lost, one way or the other.
func loseAnswers(c *cluster, proxies []*proxy.Proxy, lose func(*proxy.Proxy, int, int)) {
	const some = 5
	before := add(proxies, lost)
	for _, p := range proxies {
		lose(p, some, leastCommit)
	}
	begin := time.Now()
	c.until(func() bool {
		n := add(proxies, lost) - before
		return n >= some || n > 0 && time.Since(begin) > 5*time.Second
	})
	for _, p := range proxies {
		lose(p, 0, 0)
	}
}
