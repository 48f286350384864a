package integration

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	judge "github.com/kappaflows/flows/internal/oracle"
)

var (
	chaosTime = flag.Duration("chaos.time", 0, "how long to go on with faults; each kind comes once at least")
	chaosSeed = flag.Uint64("chaos.seed", 1, "what decides which faults come, where and for how long")
	chaosOnly = flag.String("chaos.only", "", "only kinds of faults whose names have this in them")
	chaosRate = flag.Int("chaos.rate", 400, "how many lines of ten words and prices are produced a second, and a quarter as many orders")
	// With one broker there are no other leaders, with two no majority of copies.
	chaosBrokers = flag.Int("chaos.brokers", 1, "how many brokers there are: one, or three and more")
)

// TestChaos runs several processes of several programs while everything that can go wrong with processes, brokers,
// database and network does. After each fault they must go on by themselves; at the end nothing
// may be lost, doubled, reordered or wrong. The seed decides on the schedule, not on what else the machine does.
func TestChaos(t *testing.T) {
	c := newCluster(t, *chaosSeed, *chaosBrokers, newDisk(t))
	kinds := anywhere
	if *chaosBrokers > 1 {
		kinds = slices.Concat(anywhere, amongBrokers)
	}
	c.chaos(kinds, *chaosTime)
}

// TestChaosAmongBrokers does so with what can only go wrong among several brokers, each kind once.
func TestChaosAmongBrokers(t *testing.T) {
	newCluster(t, *chaosSeed, 3, newDisk(t)).chaos(amongBrokers, 0)
}

// chaos lets each kind of fault happen once, and then goes on for the rest of a length of time.
func (c *cluster) chaos(kinds []fault, length time.Duration) {
	c.t.Helper()
	stop := c.load(*chaosRate)
	c.awaitProgress()
	start := time.Now()
	struck := map[string]strikes{}
	for round := 0; round == 0 || time.Since(start) < length; round++ {
		for _, at := range c.random.Perm(len(kinds)) {
			if !strings.Contains(kinds[at].name, *chaosOnly) {
				continue
			}
			if round > 0 && time.Since(start) >= length {
				break
			}
			c.strike(kinds[at], start, struck)
		}
	}
	stop()
	c.finish()
	c.report(struck, time.Since(start))
}

// strike lets one fault happen, and waits until the programs go on.
func (c *cluster) strike(kind fault, start time.Time, struck map[string]strikes) {
	c.t.Helper()
	c.revive()
	began, before := time.Now(), kind.evidence(c)
	if reason := kind.strike(c); reason != "" {
		require.NotEqual(c.t, "true", os.Getenv("CI"), "%s: %s", kind.name, reason)
		c.t.Logf("%8s  %s: left out: %s", began.Sub(start).Round(time.Millisecond), kind.name, reason)
		return
	}
	over := time.Now()
	c.awaitProgress()
	seen := kind.evidence(c) - before
	c.t.Logf("%8s  %s: %s, going on %s after its end; seen: %d", began.Sub(start).Round(time.Millisecond), kind.name,
		over.Sub(began).Round(time.Millisecond), time.Since(over).Round(time.Millisecond), seen)
	struck[kind.name] = strikes{struck[kind.name].times + 1, struck[kind.name].seen + seen}
	c.wait(0, time.Second)
}

// outputs returns how many records a topic has.
func (c *cluster) outputs(topic string) int64 {
	c.t.Helper()
	return ask(c, "end of "+topic, func(ctx context.Context) (int64, error) { return judge.Records(ctx, c.client, topic) })
}

// ask asks brokers, which may be on their way back.
func ask[T any](c *cluster, what string, ask func(context.Context) (T, error)) T {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
		answer, err := ask(ctx)
		cancel()
		if err == nil {
			return answer
		}
		require.True(c.t, time.Now().Before(deadline), "the brokers do not answer the test: %s: %v", what, err)
		// The client goes on to ask a group's coordinator that it knows, which may be gone.
		c.client.Close()
		c.client = c.oracle.client(c.t)
	}
}

// patience is how long programs may take to go on after a fault.
const patience = 2 * time.Minute

// awaitProgress waits until every function has done more than now, in every partition in which something waits for it, and
// then until every instance says that it is ready.
func (c *cluster) awaitProgress() {
	c.t.Helper()
	before := map[string]map[int32]int64{}
	for group := range inputs {
		before[group] = c.offsets(group)
	}
	for _, group := range slices.Sorted(maps.Keys(inputs)) {
		c.await("position of "+group, sum(before[group])+1, func() int64 { return sum(c.offsets(group)) })
		for p, end := range c.ends(group) {
			at, what := before[group][p], fmt.Sprintf("position of %s in partition %d of %s", group, p, inputs[group])
			if at < end {
				c.await(what, at+1, func() int64 { return c.offsets(group)[p] })
			}
		}
	}
	c.awaitReady()
}

// offsets returns how far a function is in each partition; zero where nobody has said so yet. There is always something
// to do for it in some.
func (c *cluster) offsets(group string) map[int32]int64 {
	c.t.Helper()
	return ask(c, "position of "+group, func(ctx context.Context) (map[int32]int64, error) {
		found := map[int32]int64{}
		offsets, err := kadm.NewClient(c.client).FetchOffsets(ctx, group)
		if err == nil {
			err = offsets.Error()
		}
		offsets.Each(func(o kadm.OffsetResponse) {
			if o.Topic == inputs[group] {
				found[o.Partition] = max(0, o.At)
			}
		})
		return found, err
	})
}

// ends returns where the partitions end that a function reads. Nothing is ever deleted of them.
func (c *cluster) ends(group string) map[int32]int64 {
	c.t.Helper()
	return ask(c, "end of "+inputs[group], func(ctx context.Context) (map[int32]int64, error) {
		found := map[int32]int64{}
		ends, err := kadm.NewClient(c.client).ListEndOffsets(ctx, inputs[group])
		if err == nil {
			err = ends.Error()
		}
		ends.Each(func(o kadm.ListedOffset) { found[o.Partition] = o.Offset })
		return found, err
	})
}

// awaitReady waits until every instance says that it is ready.
func (c *cluster) awaitReady() {
	c.t.Helper()
	for _, i := range c.instances {
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			status, said := ready(i.address)
			if status == http.StatusOK {
				break
			}
			c.revive()
			require.True(c.t, time.Now().Before(deadline), "%s is not ready: %d: %s\n%s", i.program, status, said, c.tails())
		}
	}
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
	for _, program := range slices.Sorted(maps.Keys(programs)) {
		for _, group := range groups[program] {
			c.await("lag of "+group+", below zero", 0, func() int64 { return -c.lag(group) })
		}
	}
	for program := range programs {
		c.resize(program, 0)
	}
}

// lag returns how many messages a group is behind.
func (c *cluster) lag(group string) (n int64) {
	c.t.Helper()
	ends, offsets := c.ends(group), c.offsets(group)
	for p, end := range ends {
		n += max(0, end-offsets[p])
	}
	return n
}

func sum(of map[int32]int64) (n int64) {
	for _, one := range of {
		n += one
	}
	return n
}

// report says what happened, and judges what is left behind. A kind of fault of which nothing was seen did not happen.
func (c *cluster) report(struck map[string]strikes, took time.Duration) {
	c.t.Helper()
	times := 0
	for _, s := range struck {
		times += s.times
	}
	c.t.Logf("seed %d, brokers %d, %s, %d faults, %d processes started", c.seed, len(c.brokers), took.Round(time.Second), times, len(c.started))
	c.t.Logf("%d processes ended because what they need was away when they started, and were started again", c.revived)
	for _, name := range slices.Sorted(maps.Keys(struck)) {
		c.t.Logf("%4d  %s; seen: %d", struck[name].times, name, struck[name].seen)
	}
	c.t.Logf("answers lost: %d of brokers, %d of the database", ofBrokers(lost)(c), ofDatabase(lost)(c))
	for _, line := range []string{
		"another process has claimed", "trying again", isReadOnly, isFull, isDeadlock, isNotSerial, isHeld,
		"fewer in-sync replicas", "the log does not have outputs",
	} {
		c.t.Logf("%6d times logged: %s", c.logged(line), line)
	}
	for _, name := range unseen(struck) {
		c.t.Errorf("nothing was seen of a fault that is said to have struck: %s", name)
	}
	c.judge()
}

// judge has the oracle judge what is left behind, which must be right.
func (c *cluster) judge() {
	c.t.Helper()
	program := filepath.Join(c.t.TempDir(), "oracle")
	output, err := exec.Command("go", "build", "-o", program, "../internal/oracle/cmd/oracle").CombinedOutput()
	require.NoError(c.t, err, "%s", output)
	clean := true
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		judging := exec.CommandContext(c.t.Context(), program, name)
		judging.Env = append(slices.Clip(c.env), "POSTGRES_URL="+c.oracle.database)
		verdict, err := judging.CombinedOutput()
		c.t.Logf("oracle %s: %v\n%s", name, err, verdict)
		clean = clean && err == nil
	}
	requests, err := c.oracle.judge().Requests(c.t.Context(), c.requests)
	require.NoError(c.t, err)
	c.t.Logf("orders by HTTP: %v", requests)
	require.NotZero(c.t, requests.Inputs, "nothing was ordered by HTTP")
	require.True(c.t, clean && requests.Clean())
}
