package integration

import (
	"context"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/kappaflows/flows/internal/proxy"
)

// What programs log of what the database says to them.
const (
	isReadOnly  = "read-only transaction"
	isFull      = "No space left"
	isDeadlock  = "deadlock detected"
	isHeld      = "lock timeout"
	isNotSerial = "could not serialize access"
)

// strikes are how often a kind of fault struck, and how much was seen of what it does.
type strikes struct{ times, seen int }

// unseen returns the kinds of faults of which nothing was seen, however often they are said to have struck.
func unseen(struck map[string]strikes) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(struck)) {
		if struck[name].seen <= 0 {
			names = append(names, name)
		}
	}
	return names
}

func TestFaultsThatNobodySawAreFound(t *testing.T) {
	require.Equal(t, []string{"a", "c"}, unseen(map[string]strikes{"c": {3, 0}, "b": {1, 1}, "a": {1, 0}}))
}

// note adds to what strikes have seen for themselves.
func (c *cluster) note(seen int) { c.seen += seen }

func noted(c *cluster) int { return c.seen }

// logged is how often the programs have logged a text.
func logged(text string) func(*cluster) int { return func(c *cluster) int { return c.logged(text) } }

// killed is how many processes were.
func killed(c *cluster) int {
	return c.ended(func(s syscall.WaitStatus) bool { return s.Signaled() && s.Signal() == syscall.SIGKILL })
}

// left is how many processes have ended as they were asked to.
func left(c *cluster) int {
	return c.ended(func(s syscall.WaitStatus) bool { return s.Exited() && s.ExitStatus() == 0 })
}

func (c *cluster) ended(so func(syscall.WaitStatus) bool) (n int) {
	for _, p := range c.started {
		if p.running() {
			continue
		}
		if status, is := p.command.ProcessState.Sys().(syscall.WaitStatus); is && so(status) {
			n++
		}
	}
	return n
}

// counted is something that proxies count.
type counted func(proxy.Counts) int

func cut(c proxy.Counts) int     { return c.Cut }
func late(c proxy.Counts) int    { return c.Late }
func lost(c proxy.Counts) int    { return c.Lost }
func stalled(c proxy.Counts) int { return c.Stalled }
func delayed(c proxy.Counts) int { return c.Delayed }

// broken are connections that whoever is behind the proxy has ended, or does not take.
func broken(c proxy.Counts) int { return c.Ended + c.Refused }

func ofBrokers(of counted) func(*cluster) int {
	return func(c *cluster) int { return add(c.proxies(), of) }
}

func ofDatabase(of counted) func(*cluster) int {
	return func(c *cluster) int { return add(c.databaseProxy(), of) }
}

func add(proxies []*proxy.Proxy, of counted) (n int) {
	for _, p := range proxies {
		n += of(p.Counts())
	}
	return n
}

func (c *cluster) databaseProxy() []*proxy.Proxy { return []*proxy.Proxy{c.toDatabase} }

// more returns whether there is more than now of something that is seen.
func (c *cluster) more(of func(*cluster) int) func() bool {
	before := of(c)
	return func() bool { return of(c) > before }
}

// until waits until something is so that a fault is to do. It does not wait for ever: where the fault does nothing the
// report says so.
func (c *cluster) until(so func() bool) {
	deadline := time.Now().Add(patience / 2)
	for !so() && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
}

// awaitMembers waits until a group has at least and at most so many members.
func (c *cluster) awaitMembers(group string, least, most int) {
	c.t.Helper()
	c.await("members of "+group+" too many or too few, below zero", 0, func() int64 {
		n := c.members(group)
		return min(0, n-int64(least), int64(most)-n)
	})
}

func (c *cluster) members(group string) int64 {
	c.t.Helper()
	return ask(c, "members of "+group, func(ctx context.Context) (int64, error) {
		found, err := kadm.NewClient(c.client).DescribeGroups(ctx, group)
		if err == nil {
			err = found.Error()
		}
		return int64(len(found[group].Members)), err
	})
}

// partition is one of a topic.
type partition struct {
	topic  string
	number int32
}

// leaders returns the broker that leads each partition, by the brokers' ids.
func (c *cluster) leaders() map[partition]int32 {
	c.t.Helper()
	return ask(c, "leaders", func(ctx context.Context) (map[partition]int32, error) {
		leaders := map[partition]int32{}
		topics, err := kadm.NewClient(c.client).ListTopicsWithInternal(ctx)
		topics.EachPartition(func(p kadm.PartitionDetail) { leaders[partition{p.Topic, p.Partition}] = p.Leader })
		return leaders, err
	})
}

// led is how many partitions a broker leads.
func (c *cluster) led(b *broker) (n int) {
	c.t.Helper()
	for _, leader := range c.leaders() {
		if int(leader) == slices.Index(c.brokers, b)+1 {
			n++
		}
	}
	return n
}

// moved is how many partitions have another leader than before.
func moved(before, now map[partition]int32) (n int) {
	for p, leader := range now {
		if was, known := before[p]; known && was >= 0 && leader >= 0 && was != leader {
			n++
		}
	}
	return n
}
