package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	judge "github.com/kappaflows/flows/internal/oracle"
)

// oracle reads topics and tables and says what is wrong with them. It shares no code with what it judges.
type oracle struct {
	// brokers are their addresses, with commas between.
	brokers  string
	database string
	// options are further ones of its Kafka client.
	options []kgo.Opt
}

// faults is what the oracle found.
type faults = judge.Faults

func (o oracle) judge() judge.Oracle {
	return judge.Oracle{Brokers: strings.Split(o.brokers, ","), Database: o.database, Options: o.options}
}

func (o oracle) client(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := o.judge().Client(options...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// records returns how many records a topic has.
func (o oracle) records(t *testing.T, client *kgo.Client, topic string) int64 {
	t.Helper()
	n, err := judge.Records(t.Context(), client, topic)
	require.NoError(t, err)
	return n
}

// each calls visit for every record of a topic, each partition in order.
func (o oracle) each(t *testing.T, topic string, visit func(*kgo.Record)) {
	t.Helper()
	require.NoError(t, o.judge().Each(t.Context(), topic, visit))
}

// counts holds the running counts in a topic, and the table of them, against the input topic.
func (o oracle) counts(t *testing.T, input, output, table string) faults {
	t.Helper()
	report, err := o.judge().Counts(t.Context(), input, output, table)
	require.NoError(t, err)
	t.Log(output, report)
	return report.Faults
}
