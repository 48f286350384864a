package integration

import (
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/proxy"
)

// fault is one kind of what goes wrong. strike makes it happen, waits it out and ends it; the reason why it can't be
// had on this machine is all that it may return.
type fault struct {
	name   string
	strike func(*cluster) (reason string)
}

// sessionTimeout is when the group takes a silent member for gone.
const sessionTimeout = 10 * time.Second

// anywhere are the faults that one broker is enough for.
var anywhere = []fault{
	{"an instance is killed", always(killInstance)},
	{"an instance stops for longer than its session, then goes on", always(stopInstance)},
	{"all instances are killed, and their last commits arrive when others have gone on", always(lateCommits)},
	{"rolling restart", always(restartAll)},
	{"1, 4, 2 instances of word count", always(scale)},
	{"the broker is restarted", always(restartBroker)},
	{"the broker is killed", always(killBroker)},
	{"the database shuts down immediately", always(quitDatabase)},
	{"the database is killed", always(killDatabase)},
	{"the database terminates all sessions", always(terminateSessions)},
	{"the database is read-only", always(readOnly)},
	{"the disk of the database is full", fillDisk},
	{"connections to the broker are cut", always(func(c *cluster) { cut(c, c.anyLeader().proxy) })},
	{"connections to the database are cut", always(func(c *cluster) { cut(c, c.toDatabase) })},
	{"nothing passes to and from the broker", always(func(c *cluster) { stall(c, c.anyLeader().proxy) })},
	{"nothing passes to and from the database", always(func(c *cluster) { stall(c, c.toDatabase) })},
	{"the network is slow", always(slow)},
	{"answers of the broker are lost", always(func(c *cluster) { loseAnswers(c.proxies(), (*proxy.Proxy).LoseAnswers) })},
	{"answers of the broker never come", always(func(c *cluster) { loseAnswers(c.proxies(), (*proxy.Proxy).SwallowAnswers) })},
	{"answers of the database are lost", always(func(c *cluster) { loseAnswers([]*proxy.Proxy{c.toDatabase}, (*proxy.Proxy).LoseAnswers) })},
	{"answers of the database never come", always(func(c *cluster) { loseAnswers([]*proxy.Proxy{c.toDatabase}, (*proxy.Proxy).SwallowAnswers) })},
	{"deadlocks in the database", always(deadlock)},
	{"locks in the database are held for too long", always(holdLocks)},
	{"transactions of the database that can't be serialized", always(serialize)},
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
	require.NoError(c.t, i.command.Process.Signal(syscall.SIGCONT))
}

// lateCommits lets what the database was sent by processes that are dead arrive when their successors have gone on, and
// kills those before they can write over it.
func lateCommits(c *cluster) {
	release := c.toDatabase.Hold()
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

func terminateSessions(c *cluster) {
	for range 3 {
		c.administer("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'flows'")
		c.wait(0, 500*time.Millisecond)
	}
}

func readOnly(c *cluster) {
	c.administer("alter system set default_transaction_read_only = on")
	c.administer("select pg_reload_conf()")
	c.wait(time.Second, 3*time.Second)
	c.administer("alter system reset default_transaction_read_only")
	c.administer("select pg_reload_conf()")
}

func fillDisk(c *cluster) string {
	if c.disk.reason != "" {
		return c.disk.reason
	}
	c.disk.fill()
	c.wait(2*time.Second, 4*time.Second)
	c.disk.clear()
	return ""
}

func cut(c *cluster, p *proxy.Proxy) {
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

// loseAnswers lets some answers get lost, one way or the other.
func loseAnswers(proxies []*proxy.Proxy, lose func(*proxy.Proxy, int, int)) {
	// Smaller requests are no outputs, or no commits.
	const some, least = 5, 400
	enough := lost(proxies) + some
	for _, p := range proxies {
		lose(p, some, least)
	}
	for deadline := time.Now().Add(5 * time.Second); lost(proxies) < enough && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	for _, p := range proxies {
		lose(p, 0, 0)
	}
}

// lost is how many answers were lost.
func lost(proxies []*proxy.Proxy) (n int) {
	for _, p := range proxies {
		n += p.Lost()
	}
	return n
}
