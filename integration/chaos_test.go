package integration

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	judge "github.com/kappaflows/flows/internal/oracle"
)

var (
	chaosTime = flag.Duration("chaos.time", 0, "how long to go on with faults; each kind comes once at least")
	chaosSeed = flag.Uint64("chaos.seed", 1, "what decides which faults come, where and for how long")
	chaosOnly = flag.String("chaos.only", "", "only kinds of faults whose names have this in them")
	chaosRate = flag.Int("chaos.rate", 400, "how many lines of ten words, orders and prices each are produced a second")
)

// TestChaos runs several processes of several programs while everything that can go wrong with processes, broker,
// database and network does. After each fault they must go on by themselves; at the end nothing
// may be lost, doubled, reordered or wrong. The seed decides on the schedule, not on what else the machine does.
func TestChaos(t *testing.T) {
	c := newCluster(t, *chaosSeed)
	stop := c.load(*chaosRate)
	c.awaitProgress()

	start := time.Now()
	struck := map[string]int{}
	for round := 0; round == 0 || time.Since(start) < *chaosTime; round++ {
		for _, at := range c.random.Perm(len(faultKinds)) {
			if !strings.Contains(faultKinds[at].name, *chaosOnly) {
				continue
			}
			if round > 0 && time.Since(start) >= *chaosTime {
				break
			}
			kind := faultKinds[at]
			c.revive()
			began := time.Now()
			if reason := kind.strike(c); reason != "" {
				t.Logf("%8s  %s: left out: %s", began.Sub(start).Round(time.Millisecond), kind.name, reason)
				continue
			}
			struck[kind.name]++
			over := time.Now()
			c.awaitProgress()
			t.Logf("%8s  %s: %s, going on %s after its end", began.Sub(start).Round(time.Millisecond), kind.name,
				over.Sub(began).Round(time.Millisecond), time.Since(over).Round(time.Millisecond))
			c.wait(0, time.Second)
		}
	}
	stop()
	c.finish()
	c.report(struck, time.Since(start))
}

// outputs returns how many outputs the last function has made. The broker may be on its way back.
func (c *cluster) outputs(topic string) int64 {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
		n, err := judge.Records(ctx, c.client, topic)
		cancel()
		if err == nil {
			return n
		}
		require.True(c.t, time.Now().Before(deadline), "the broker does not answer the test: %v", err)
	}
}

// patience is how long programs may take to go on after a fault.
const patience = 2 * time.Minute

// awaitProgress waits until there are more outputs than now.
func (c *cluster) awaitProgress() {
	c.t.Helper()
	counts, shipments := c.outputs("counts"), c.outputs("shipments")
	c.awaitOutputs("counts", counts+1)
	c.awaitOutputs("shipments", shipments+1)
}

func (c *cluster) awaitOutputs(topic string, n int64) {
	c.t.Helper()
	c.await("topic "+topic, n, func() int64 { return c.outputs(topic) })
}

// await waits until something is n, as long as it grows.
func (c *cluster) await(what string, n int64, look func() int64) {
	c.t.Helper()
	last, deadline := int64(math.MinInt64), time.Now().Add(patience)
	for {
		got := look()
		if got >= n {
			return
		}
		if got > last {
			last, deadline = got, time.Now().Add(patience)
		}
		c.revive()
		require.True(c.t, time.Now().Before(deadline), "no progress: %s is at %d, not %d\n%s", what, got, n, c.tails())
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *cluster) tails() string {
	var text strings.Builder
	for _, i := range c.instances {
		fmt.Fprintf(&text, "%s:\n%s\n", i.program, i.log.tail())
	}
	return text.String()
}

// finish waits until everything that came in is done, and ends the instances.
func (c *cluster) finish() {
	c.t.Helper()
	words := int64(0)
	c.oracle.each(c.t, "lines", func(r *kgo.Record) { words += int64(len(strings.Fields(string(r.Value)))) })
	c.awaitOutputs("words", words)
	c.awaitOutputs("counts", words)
	c.await("shipments and strangers", c.outputs("orders"), func() int64 { return c.outputs("shipments") + c.outputs("strangers") })
	c.await("lag of sell, below zero", 0, func() int64 { return -c.lag("sell") })
	for program := range programs {
		c.resize(program, 0)
	}
}

// lag returns how many messages a group is behind.
func (c *cluster) lag(group string) int64 {
	c.t.Helper()
	lags, err := kadm.NewClient(c.client).Lag(c.t.Context(), group)
	require.NoError(c.t, err)
	require.NoError(c.t, lags.Error())
	return lags[group].Lag.Total()
}

// report judges what is left behind, and says what happened.
func (c *cluster) report(struck map[string]int, took time.Duration) {
	c.t.Helper()
	c.t.Logf("seed %d, %s, %d faults, %d processes started", c.seed, took.Round(time.Second), sum(struck), len(c.started))
	c.t.Logf("%d processes ended because what they need was away when they started, and were started again", c.revived)
	for _, name := range slices.Sorted(maps.Keys(struck)) {
		c.t.Logf("%4d  %s", struck[name], name)
	}
	c.t.Logf("answers lost: %d of the broker, %d of the database; the programs logged %d fenced claims, %d full disks, %d retries",
		c.toBroker.Lost(), c.toDatabase.Lost(),
		c.logged("another process has claimed"), c.logged("No space left"), c.logged("trying again"))
	clean := true
	for _, program := range slices.Sorted(maps.Keys(programs)) {
		reports, err := judge.Programs[program](c.oracle.judge(), c.t.Context())
		require.NoError(c.t, err)
		for _, of := range slices.Sorted(maps.Keys(reports)) {
			c.t.Logf("%-9s %-16s %v", program, of, reports[of])
			clean = clean && reports[of].Clean() && reports[of].Inputs > 0
		}
	}
	require.True(c.t, clean)
}

func sum(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
