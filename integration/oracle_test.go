package integration

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// oracle reads topics and tables and says what is wrong with them. It shares no code with what it judges.
type oracle struct {
	brokers  string
	database string
}

func (o oracle) client(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(o.brokers))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// records returns how many records a topic has.
func (o oracle) records(t *testing.T, client *kgo.Client, topic string) int64 {
	t.Helper()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	require.NoError(t, err)
	starts, err := admin.ListStartOffsets(t.Context(), topic)
	require.NoError(t, err)
	n := int64(0)
	ends.Each(func(end kadm.ListedOffset) {
		start, ok := starts.Lookup(topic, end.Partition)
		if ok {
			n += end.Offset - start.Offset
		}
	})
	return n
}

// each calls visit for every record of a topic, each partition in order.
func (o oracle) each(t *testing.T, topic string, visit func(*kgo.Record)) {
	t.Helper()
	client := o.client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for left := o.records(t, client, topic); left > 0; {
		fetches := client.PollFetches(t.Context())
		require.NoError(t, fetches.Err0())
		fetches.EachRecord(func(r *kgo.Record) { visit(r); left-- })
	}
}

// faults is what the oracle found.
type faults struct{ lost, doubled, reordered, wrong int }

func (f faults) String() string {
	return fmt.Sprintf("lost %d, doubled %d, reordered %d, wrong in the table %d", f.lost, f.doubled, f.reordered, f.wrong)
}

// counts holds the running counts in a topic, and the table of them, against the input topic.
func (o oracle) counts(t *testing.T, input, output, table string) (f faults) {
	t.Helper()
	want := map[string]int{}
	o.each(t, input, func(r *kgo.Record) { want[string(r.Key)]++ })
	seen := map[string]int{}
	times := map[string]map[int]int{}
	o.each(t, output, func(r *kgo.Record) {
		key := string(r.Key)
		n, err := strconv.Atoi(string(r.Value))
		require.NoError(t, err)
		if times[key] == nil {
			times[key] = map[int]int{}
		}
		if times[key][n]++; times[key][n] > 1 {
			f.doubled++
		} else if n != seen[key]+1 {
			f.reordered++
		}
		seen[key] = n
	})
	for key, n := range want {
		for i := 1; i <= n; i++ {
			if times[key][i] == 0 {
				f.lost++
			}
		}
	}
	f.wrong = o.compareTable(t, table, want)
	return f
}

// compareTable counts the keys whose row is not what it must be.
func (o oracle) compareTable(t *testing.T, table string, want map[string]int) (wrong int) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, o.database)
	require.NoError(t, err)
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "select key, convert_from(state, 'UTF8')::bigint from "+table)
	require.NoError(t, err)
	left := map[string]int{}
	for key, n := range want {
		left[key] = n
	}
	for rows.Next() {
		var key string
		var n int
		require.NoError(t, rows.Scan(&key, &n))
		if left[key] != n {
			wrong++
		}
		delete(left, key)
	}
	require.NoError(t, rows.Err())
	return wrong + len(left)
}
