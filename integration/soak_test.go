package integration

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	soakTime = flag.Duration("soak.time", 10*time.Second, "how long the programs are under load")
	soakRate = flag.Int("soak.rate", 200, "how many lines of ten words and prices are produced a second, and a quarter as many orders")
	soakFile = flag.String("soak.file", "", "where to write what was measured, as comma-separated values")
)

// TestSoak keeps the programs under load while one process after the other is restarted, one a minute, and looks at what
// must not grow. A run that is long enough fails where something does; any fails where anything is lost or doubled.
func TestSoak(t *testing.T) {
	const judged = 10 * time.Minute
	restart, interval := min(time.Minute, *soakTime/4), min(5*time.Second, *soakTime/20)
	// The settings of tests that spare the disk would flatter what is measured of it.
	c := newCluster(t, 1, 1, anyDisk(), "fsync = on", "full_page_writes = on", "max_wal_size = 2GB")
	stop := c.load(*soakRate)
	c.awaitProgress()
	m := newMeasurements(c)
	for next := time.Now().Add(restart); m.took() < *soakTime; time.Sleep(interval) {
		if time.Now().After(next) {
			c.restartNext()
			next = next.Add(restart)
		}
		c.revive()
		m.sample()
	}
	stop()
	t.Logf("%s, %d samples, %d processes started", m.took().Round(time.Second), len(m.rows), len(c.started))
	if *soakFile != "" {
		require.NoError(t, m.write(*soakFile))
	}
	flat := m.report(*soakTime >= judged)
	c.finish()
	c.judge()
	require.True(t, flat, "something grows")
}

// restartNext restarts the next process of those that do not stay: by SIGTERM and by SIGKILL in turns.
func (c *cluster) restartNext() {
	c.t.Helper()
	staying := c.staying()
	for {
		i := c.instances[c.restarts%len(c.instances)]
		c.restarts++
		if staying[i.program] == i {
			continue
		}
		if c.gentle = !c.gentle; c.gentle {
			c.leave(i)
		} else {
			i.kill()
		}
		c.launch(i)
		return
	}
}

// staying is the first process of each program. It is never restarted: what grows in a process grows in it.
func (c *cluster) staying() map[string]*instance {
	stay := map[string]*instance{}
	for _, i := range c.instances {
		if stay[i.program] == nil {
			stay[i.program] = i
		}
	}
	return stay
}
