package main

import (
	"database/sql"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/services"
)

// cluster is a broker and a database of a test's own.
type cluster struct {
	broker   *services.Broker
	postgres *services.Server
	settings []string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{broker: services.NewBroker(t), postgres: services.NewPostgres(t)}
	c.settings = []string{"KAFKA_BROKERS=" + c.broker.Addr(), "POSTGRES_URL=" + c.postgres.URL()}
	return c
}

func (c *cluster) counted(t *testing.T) map[string]int64 {
	t.Helper()
	db, err := sql.Open("pgx", c.postgres.URL())
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	rows, err := db.QueryContext(t.Context(), "select key, convert_from(state, 'UTF8')::bigint from word_count")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	counted := map[string]int64{}
	for rows.Next() {
		var word string
		var n int64
		require.NoError(t, rows.Scan(&word, &n))
		counted[word] = n
	}
	require.NoError(t, rows.Err())
	return counted
}

// produce appends a line a number of times to lines.
func (c *cluster) produce(t *testing.T, line string, times int) {
	t.Helper()
	file := write(t, t.TempDir(), "lines.txt", strings.Repeat(line+"\n", times))
	status, stdout, stderr := run(t, c.settings, "produce", "lines", file)
	require.Equal(t, 0, status, stderr)
	require.Equal(t, fmt.Sprintf("%d messages appended to lines\n", times), stdout)
}

// ready waits until /ready answers with a status and a text.
func ready(t *testing.T, url string, status int, text string) {
	t.Helper()
	var code int
	var body string
	require.Eventually(t, func() bool {
		code, body = get(url + "/ready")
		return code == status && strings.Contains(body, text)
	}, patience, 50*time.Millisecond, "not %d with %q", status, text)
}

// One process a function, on a real broker and a real database, with the program's own commands: from an empty cluster to
// the counts, through an outage of each service, processes that are killed, and an end while the database hangs.
func TestOnACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a broker and a database; -short leaves that out")
	}
	c := newCluster(t)
	status, _, stderr := run(t, append(c.settings, "LOG_LEVEL=error"), "run", "count")
	require.Equal(t, 1, status)
	require.Equal(t, "wordcount: topics words, counts do not exist: create them with 'wordcount topics create': unknown topic\n", stderr)

	status, stdout, stderr := run(t, c.settings, "topics", "create", "--partitions=3")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "lines: created, 3 partitions\nwords: created, 3 partitions\ncounts: created, 3 partitions\n"+
		"split.dead-letter: created, 3 partitions\ncount.dead-letter: created, 3 partitions\n", stdout)

	c.produce(t, "a b a c", 5000)
	split, count := start(t, c.settings, "run", "split"), start(t, c.settings, "run", "count")
	ready(t, split.url(t), 200, `"ready": true`)
	ready(t, count.url(t), 200, `"ready": true`)
	want := map[string]int64{"a": 10_000, "b": 5000, "c": 5000}
	require.Eventually(t, func() bool { return maps.Equal(want, c.counted(t)) }, patience, 50*time.Millisecond)

	// The database is away: not ready, and it says why; then it goes on.
	c.postgres.Kill()
	ready(t, count.url(t), 503, "postgres: ")
	c.produce(t, "a", 1000)
	c.postgres.Start()
	want["a"] += 1000
	ready(t, count.url(t), 200, `"ready": true`)
	require.Eventually(t, func() bool { return maps.Equal(want, c.counted(t)) }, patience, 50*time.Millisecond)

	// So with the broker.
	c.broker.Stop()
	ready(t, count.url(t), 503, "kafka: ")
	c.broker.Start()
	ready(t, count.url(t), 200, `"ready": true`)
	ready(t, split.url(t), 200, `"ready": true`)

	// Killed processes are taken over from.
	c.produce(t, "b c", 20_000)
	count.signal(t, syscall.SIGKILL)
	split.signal(t, syscall.SIGKILL)
	require.Equal(t, -1, count.wait(t))
	require.Equal(t, -1, split.wait(t))
	both := start(t, c.settings, "run")
	want["b"] += 20_000
	want["c"] += 20_000
	require.Eventually(t, func() bool { return maps.Equal(want, c.counted(t)) }, patience, 50*time.Millisecond)
	ready(t, both.url(t), 200, `"ready": true`)
	require.Equal(t, want, byTopic(t, c.settings), "every count once, in order")

	// A database that hangs does not keep the program from ending.
	c.postgres.Pause()
	c.produce(t, "a", 10)
	ready(t, both.url(t), 503, "postgres: ")
	both.signal(t, syscall.SIGTERM)
	require.Equal(t, 0, both.wait(t), "in order, and within the time that the program gives itself")
	c.postgres.Continue()
}
