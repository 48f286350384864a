package integration

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/kappaflows/flows/internal/proxy"
)

// brokerSession is when a cluster takes a silent broker for gone, and lets others lead what it led.
const brokerSession = 3 * time.Second

// amongBrokers are the faults that need several brokers.
var amongBrokers = []fault{
	{"a broker is gone, and the others go on without it", always(loseBroker), noted},
	{"a broker stops for longer than its session, then goes on", always(stopBroker), noted},
	{"leaders move", always(moveLeaders), noted},
	{"clients can't reach one of the brokers", always(cutOff), ofBrokers(func(c proxy.Counts) int { return min(c.Cut, c.Refused) })},
	{"all brokers but one are away", always(onlyOne), noted},
	{"rolling restart of the brokers", always(restartBrokers), ofBrokers(broken)},
	{"the controller is killed, and a broker before it is back", always(killController), noted},
}

// awaitCopies waits until every broker has everything: until then none of them can be done without.
func (c *cluster) awaitCopies() {
	c.t.Helper()
	c.await("partitions that a broker is behind in, below zero", 0, func() int64 {
		return ask(c, "copies", func(ctx context.Context) (behind int64, err error) {
			topics, err := kadm.NewClient(c.client).ListTopicsWithInternal(ctx)
			topics.EachPartition(func(p kadm.PartitionDetail) {
				if len(p.ISR) < len(p.Replicas) {
					behind--
				}
			})
			return behind, err
		})
	})
}

// stopBroker leaves a broker behind that believes it leads what others lead by now.
func stopBroker(c *cluster) {
	c.awaitCopies()
	b := c.anyLeader()
	before := c.led(b)
	b.Pause()
	c.wait(brokerSession+time.Second, 2*brokerSession)
	c.awaitProgress()
	c.note(before - c.led(b))
	// Functions are taken over while the broker does not know yet.
	i := c.any()
	i.kill()
	b.Continue()
	c.launch(i)
}

// loseBroker takes a broker away until the others have done what it did.
func loseBroker(c *cluster) {
	c.awaitCopies()
	b := c.anyLeader()
	before := c.led(b)
	b.Kill()
	c.awaitProgress()
	c.note(before - c.led(b))
	b.Start()
}

// moveLeaders gives each partition of each topic, those of the groups included, to the next of its brokers. A broker that
// is behind is not given any.
func moveLeaders(c *cluster) {
	c.awaitCopies()
	for range 3 {
		before, others := c.leaders(), 0
		rotate(c)
		c.until(func() bool {
			others = moved(before, c.leaders())
			return others > 0
		})
		c.note(others)
		c.wait(0, time.Second)
	}
}

func rotate(c *cluster) {
	admin := kadm.NewClient(c.client)
	topics, err := admin.ListTopicsWithInternal(c.t.Context())
	if err != nil {
		return // A broker is still on its way back.
	}
	var moves kadm.AlterPartitionAssignmentsReq
	var all kadm.TopicsSet
	topics.EachPartition(func(p kadm.PartitionDetail) {
		moves.Assign(p.Topic, p.Partition, append(p.Replicas[1:len(p.Replicas):len(p.Replicas)], p.Replicas[0]))
		all.Add(p.Topic, p.Partition)
	})
	_, err = admin.AlterPartitionAssignments(c.t.Context(), moves)
	require.NoError(c.t, err)
	_, err = admin.ElectLeaders(c.t.Context(), kadm.ElectPreferredReplica, all)
	require.NoError(c.t, err)
}

// cutOff takes a broker away from the clients, not from the other brokers: it goes on to lead, and nobody gets there.
func cutOff(c *cluster) {
	b := c.anyLeader()
	b.proxy.Forward("")
	b.proxy.Cut()
	c.wait(time.Second, 6*time.Second)
	b.proxy.Forward(b.Addr())
}

// onlyOne leaves one broker, which must not take what only it would have.
func onlyOne(c *cluster) {
	last := c.random.IntN(len(c.brokers))
	before := make([]int, len(c.brokers))
	for i, b := range c.brokers {
		before[i] = broken(b.proxy.Counts())
	}
	for i, b := range c.brokers {
		switch {
		case i == last:
		case c.random.IntN(2) == 0:
			b.Kill()
		default:
			b.Stop()
		}
	}
	c.wait(brokerSession, 2*brokerSession)
	away := 0
	for i, b := range c.brokers {
		if i == last {
			continue
		}
		if broken(b.proxy.Counts()) > before[i] {
			away++
		}
		b.Start()
	}
	if away == len(c.brokers)-1 {
		c.note(1)
	}
}

func restartBrokers(c *cluster) {
	for _, b := range c.brokers {
		b.Stop()
		b.Start()
		c.wait(0, time.Second)
	}
}

// killController leaves nobody who could say that others lead what a broker led.
func killController(c *cluster) {
	c.controller.Kill()
	b := c.anyLeader()
	before := broken(b.proxy.Counts())
	b.Kill()
	c.wait(0, brokerSession)
	c.note(broken(b.proxy.Counts()) - before)
	// What still ran could not be started.
	c.controller.Start()
	c.wait(0, brokerSession)
	b.Start()
}
