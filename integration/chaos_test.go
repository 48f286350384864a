package integration

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	judge "github.com/kappaflows/flows/internal/oracle"
)

var (
	chaosTime = flag.Duration("chaos.time", 0, "how long to go on with faults; each kind comes once at least")
	chaosSeed = flag.Uint64("chaos.seed", 1, "what decides which faults come, where and for how long")
	chaosRate = flag.Int("chaos.rate", 400, "how many lines of ten words are produced a second")
)

// TestChaos runs several processes of word count, both functions in each, while everything that can go wrong with
// processes, broker, database and network does. After each fault they must go on by themselves; at the end nothing
// may be lost, doubled, reordered or wrong. The seed decides on the schedule, not on what else the machine does.
func TestChaos(t *testing.T) {
	c := newCluster(t, *chaosSeed)
	c.resize(instances)
	stop := c.load(*chaosRate)
	c.awaitProgress()

	start := time.Now()
	struck := map[string]int{}
	for round := 0; round == 0 || time.Since(start) < *chaosTime; round++ {
		for _, at := range c.random.Perm(len(faultKinds)) {
			if round > 0 && time.Since(start) >= *chaosTime {
				break
			}
			kind := faultKinds[at]
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

// load produces lines until stop is called, which returns when all of them are appended.
func (c *cluster) load(rate int) (stop func()) {
	const tick = 50 * time.Millisecond
	client := c.oracle.client(c.t)
	random := rand.New(rand.NewPCG(c.seed, 1))
	zipf := rand.NewZipf(random, 1.1, 1, 20_000)
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for line := 0; ; {
			select {
			case <-ctx.Done():
				done <- client.Flush(c.t.Context())
				return
			case <-ticker.C:
			}
			for range max(1, rate*int(tick)/int(time.Second)) {
				line++
				client.Produce(c.t.Context(), &kgo.Record{Topic: "lines", Key: fmt.Append(nil, line), Value: lineOf(zipf)}, nil)
			}
		}
	}()
	return func() {
		cancel()
		require.NoError(c.t, <-done)
	}
}

// lineOf makes a line of ten words.
func lineOf(zipf *rand.Zipf) (line []byte) {
	for range 10 {
		line = fmt.Appendf(line, "word-%d ", zipf.Uint64())
	}
	return line
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
	c.awaitOutputs("counts", c.outputs("counts")+1)
}

func (c *cluster) awaitOutputs(topic string, n int64) {
	c.t.Helper()
	last, deadline := int64(-1), time.Now().Add(patience)
	for {
		got := c.outputs(topic)
		if got >= n {
			return
		}
		if got > last {
			last, deadline = got, time.Now().Add(patience)
		}
		c.requireRunning()
		require.True(c.t, time.Now().Before(deadline), "no progress: topic %s has %d records, not %d\n%s", topic, got, n, c.tails())
		time.Sleep(50 * time.Millisecond)
	}
}

// requireRunning fails where an instance ended that nobody killed.
func (c *cluster) requireRunning() {
	c.t.Helper()
	for _, p := range c.instances {
		require.True(c.t, p.running(), "an instance ended by itself: %s", p.log.tail())
	}
}

func (c *cluster) tails() string {
	var text strings.Builder
	for i, p := range c.instances {
		fmt.Fprintf(&text, "instance %d:\n%s\n", i, p.log.tail())
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
	c.resize(0)
}

// report judges what is left behind, and says what happened.
func (c *cluster) report(struck map[string]int, took time.Duration) {
	c.t.Helper()
	words, err := c.oracle.judge().Words(c.t.Context(), "lines", "words")
	require.NoError(c.t, err)
	counts, err := c.oracle.judge().Counts(c.t.Context(), "words", "counts", "word_count")
	require.NoError(c.t, err)
	c.t.Logf("seed %d, %s, %d faults, %d processes started", c.seed, took.Round(time.Second), sum(struck), len(c.started))
	for _, name := range slices.Sorted(maps.Keys(struck)) {
		c.t.Logf("%4d  %s", struck[name], name)
	}
	c.t.Logf("answers lost: %d of the broker, %d of the database; the programs logged %d fenced claims, %d full disks, %d retries",
		c.toBroker.Lost(), c.toDatabase.Lost(),
		c.logged("another process has claimed"), c.logged("No space left"), c.logged("trying again"))
	c.t.Logf("words:  %v", words)
	c.t.Logf("counts: %v", counts)
	require.True(c.t, words.Clean() && counts.Clean())
}

func sum(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
