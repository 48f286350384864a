package metrics_test

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var words = runtime.TopicPartition{Topic: "words", Partition: 2}

func TestBatchIsCounted(t *testing.T) {
	c := metrics.New(metrics.Config{})
	batch := runtime.BatchStats{
		In: 3, Out: 2, InBytes: 30, OutBytes: 20, CacheHits: 1, CacheMisses: 2,
		Load: time.Millisecond, Compute: time.Millisecond, Commit: time.Second, Send: time.Millisecond, Latency: 2 * time.Second,
	}
	c.BatchDone("count", words, batch)
	c.BatchDone("count", words, batch)

	want := `
# HELP flows_bytes_in_total Bytes of the messages applied by a function.
# TYPE flows_bytes_in_total counter
flows_bytes_in_total{function="count",topic="words"} 60
# HELP flows_bytes_out_total Bytes of the records that a function sent.
# TYPE flows_bytes_out_total counter
flows_bytes_out_total{function="count",topic="words"} 40
# HELP flows_cache_hits_total Messages whose state was in memory.
# TYPE flows_cache_hits_total counter
flows_cache_hits_total{function="count",topic="words"} 2
# HELP flows_cache_misses_total Keys whose state was loaded from the store.
# TYPE flows_cache_misses_total counter
flows_cache_misses_total{function="count",topic="words"} 4
# HELP flows_records_in_total Messages applied by a function.
# TYPE flows_records_in_total counter
flows_records_in_total{function="count",topic="words"} 6
# HELP flows_records_out_total Records that a function sent and the log acknowledged.
# TYPE flows_records_out_total counter
flows_records_out_total{function="count",topic="words"} 4
`
	require.NoError(t, testutil.GatherAndCompare(c.Registry(), strings.NewReader(want),
		"flows_bytes_in_total", "flows_bytes_out_total", "flows_cache_hits_total", "flows_cache_misses_total",
		"flows_records_in_total", "flows_records_out_total"))

	text := scrape(t, c)
	require.Contains(t, text, `flows_batch_records_count{function="count",topic="words"} 2`)
	require.Contains(t, text, `flows_batch_seconds_sum{function="count",stage="commit",topic="words"} 2`)
	require.Contains(t, text, `flows_latency_seconds_sum{function="count",topic="words"} 4`)
}

func TestEveryEventHasASeriesFromTheFirstOne(t *testing.T) {
	c := metrics.New(metrics.Config{})
	c.Happened("count", words, runtime.CommitFenced, 3)
	c.Happened("count", words, runtime.EventCount, 1) // one that this version does not know

	text := scrape(t, c)
	require.Contains(t, text, `flows_events_total{event="commit_fenced",function="count"} 3`)
	require.Contains(t, text, `flows_events_total{event="state_conflict",function="count"} 0`)
	require.NotContains(t, text, `event="unknown"`)
}

func TestLatencyOfAMessageFromTheFutureIsZero(t *testing.T) {
	c := metrics.New(metrics.Config{})
	c.BatchDone("count", words, runtime.BatchStats{In: 1, Latency: -time.Hour})
	require.Contains(t, scrape(t, c), `flows_latency_seconds_sum{function="count",topic="words"} 0`)
}

func TestPartitionsAreShownAsLongAsTheyAreHeld(t *testing.T) {
	status := []runtime.Status{{Function: "count", Joined: true, Partitions: []runtime.PartitionStatus{
		{TopicPartition: words, Phase: runtime.Running, Lag: 7, CacheBytes: 1000},
		{TopicPartition: runtime.TopicPartition{Topic: "words", Partition: 3}, Phase: runtime.Claiming, Lag: -1, CacheBytes: 24},
	}}}
	c := metrics.New(metrics.Config{Status: func() []runtime.Status { return status }})
	want := `
# HELP flows_cache_bytes About what the states take that a function keeps in memory.
# TYPE flows_cache_bytes gauge
flows_cache_bytes{function="count"} 1024
# HELP flows_function_ready 1 where the function is in its group and all its partitions run.
# TYPE flows_function_ready gauge
flows_function_ready{function="count"} 0
# HELP flows_lag_records Messages of a partition that wait to be applied.
# TYPE flows_lag_records gauge
flows_lag_records{function="count",partition="2",topic="words"} 7
# HELP flows_partitions Partitions that this process has, by what it does with them.
# TYPE flows_partitions gauge
flows_partitions{function="count",phase="claiming"} 1
flows_partitions{function="count",phase="draining"} 0
flows_partitions{function="count",phase="retrying"} 0
flows_partitions{function="count",phase="running"} 1
`
	names := []string{"flows_cache_bytes", "flows_function_ready", "flows_lag_records", "flows_partitions"}
	require.NoError(t, testutil.GatherAndCompare(c.Registry(), strings.NewReader(want), names...))

	status[0].Partitions = nil
	text := scrape(t, c)
	require.NotContains(t, text, "flows_lag_records{")
	require.Contains(t, text, `flows_function_ready{function="count"} 1`)
}

func TestGoAndProcessMetricsAreThere(t *testing.T) {
	text := scrape(t, metrics.New(metrics.Config{}))
	require.Contains(t, text, "go_goroutines")
	require.Contains(t, text, "process_start_time_seconds")
}

func TestMetricsFollowPrometheusNaming(t *testing.T) {
	c := metrics.New(metrics.Config{Status: func() []runtime.Status { return []runtime.Status{{Function: "count"}} }})
	c.BatchDone("count", words, runtime.BatchStats{In: 1})
	problems, err := testutil.GatherAndLint(c.Registry())
	require.NoError(t, err)
	for _, p := range problems {
		require.False(t, strings.HasPrefix(p.Metric, "flows_"), "%s: %s", p.Metric, p.Text)
	}
}

func TestManyGoroutinesCountOneSeries(t *testing.T) {
	c := metrics.New(metrics.Config{})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				c.BatchDone("count", words, runtime.BatchStats{In: 1})
				c.Happened("count", words, runtime.Retried, 1)
			}
		})
	}
	group.Wait()
	text := scrape(t, c)
	require.Contains(t, text, `flows_records_in_total{function="count",topic="words"} 800`)
	require.Contains(t, text, `flows_events_total{event="retried",function="count"} 800`)
}

func TestCountingAllocatesNothing(t *testing.T) {
	c := metrics.New(metrics.Config{})
	count := func() { c.BatchDone("count", words, runtime.BatchStats{In: 1, Commit: time.Millisecond}) }
	count()
	require.LessOrEqual(t, testing.AllocsPerRun(100, count), 1.0)
}

func scrape(t *testing.T, c *metrics.Collector) string {
	t.Helper()
	answer := httptest.NewRecorder()
	c.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	require.Equal(t, 200, answer.Code)
	return answer.Body.String()
}
