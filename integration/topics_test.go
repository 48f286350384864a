package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/topic"
)

// topics is a cluster whose topics change under the program.
type topics struct {
	oracle
	t       *testing.T
	client  *kgo.Client
	admin   *kadm.Client
	env     []string
	program string
}

func newTopics(t *testing.T) *topics {
	t.Helper()
	o := oracle{brokers: services.NewBroker(t).Addr(), database: services.Postgres(t)}
	client := o.client(t)
	c := &topics{oracle: o, t: t, client: client, admin: kadm.NewClient(client), env: environment(o.brokers, o.database), program: build(t, "wordcount")}
	run(t, c.env, c.program, "topics", "create", "--partitions", "2")
	return c
}

// produce appends n words of their own to each of the first partitions of the topic words.
func (c *topics) produce(n, partitions int) {
	c.t.Helper()
	var records []*kgo.Record
	for partition := range partitions {
		for i := range n {
			word := fmt.Appendf(nil, "word-%d-%d", partition, i)
			records = append(records, &kgo.Record{Topic: "words", Partition: int32(partition), Key: word, Value: word})
		}
	}
	// A client that was there before remembers what the topic was.
	client := c.oracle.client(c.t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(c.t, client.ProduceSync(c.t.Context(), records...).FirstErr())
}

// settle waits until the broker has a number of partitions of the topic words.
func (c *topics) settle(partitions int) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		found, err := c.admin.ListTopics(c.t.Context(), "words")
		return err == nil && found.Error() == nil && len(found["words"].Partitions) == partitions
	}, time.Minute, 100*time.Millisecond)
}

// recreate deletes the topic words and creates it again.
func (c *topics) recreate() {
	c.t.Helper()
	_, err := c.admin.DeleteTopic(c.t.Context(), "words")
	require.NoError(c.t, err)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		// The broker says that the topic exists until it has deleted it.
		if _, err = c.admin.CreateTopic(c.t.Context(), 2, 1, nil, "words"); err == nil {
			c.settle(2)
			return
		}
		require.True(c.t, time.Now().Before(deadline), err)
	}
}

// refuses waits until the program ends by itself, with one line that says that the topic is another one and what to do.
func (c *topics) refuses(p *process) {
	c.t.Helper()
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
		require.Fail(c.t, "the program goes on with another topic", p.log.tail())
	}
	require.Equal(c.t, 1, p.command.ProcessState.ExitCode(), p.log.tail())
	line := lastLine(p.log.String())
	require.Contains(c.t, line, "wordcount: function count: ")
	require.Contains(c.t, line, "topic words")
	require.Contains(c.t, line, "deleted and created anew")
	require.Contains(c.t, line, "reset function count")
	c.t.Log(line)
}

// TestRecreatedTopic deletes the input topic of a function and creates it again, while the function runs and while it
// does not. Its offsets mean other messages now, so it stops; reset, it reads the new topic from its start.
func TestRecreatedTopic(t *testing.T) {
	for name, running := range map[string]bool{"under a running function": true, "under a stopped function": false} {
		t.Run(name, func(t *testing.T) {
			c := newTopics(t)
			c.produce(50, 2)
			p := start(t, c.env, c.program, "run", "count")
			awaitRecords(t, c.oracle, c.client, p, 100)
			if !running {
				p.terminate(t)
			}
			c.recreate()
			if !running {
				p = start(t, c.env, c.program, "run", "count")
			}
			c.refuses(p)
			// It stays that way, whatever comes into the topic.
			c.produce(80, 2)
			c.refuses(start(t, c.env, c.program, "run", "count"))
			require.EqualValues(t, 100, c.records(t, c.client, "counts"))

			run(t, c.env, c.program, "reset", "count", "--yes")
			p = start(t, c.env, c.program, "run", "count")
			awaitRecords(t, c.oracle, c.client, p, 260)
			p.terminate(t)
			report, err := c.judge().Counts(t.Context(), "words", "counts", "word_count")
			require.NoError(t, err)
			require.Zero(t, report.Faults.Wrong, "the table has what the new topic has")
		})
	}
}

// TestMorePartitions raises the number of partitions of a running function's input. The new ones are read without a
// restart, and people are told what it means for keys.
func TestMorePartitions(t *testing.T) {
	c := newTopics(t)
	c.produce(50, 2)
	p := start(t, c.env, c.program, "run", "count")
	awaitRecords(t, c.oracle, c.client, p, 100)
	_, err := c.admin.UpdatePartitions(t.Context(), 4, "words")
	require.NoError(t, err)
	c.settle(4)
	begin := time.Now()
	c.produce(50, 4)
	awaitRecords(t, c.oracle, c.client, p, 300)
	t.Logf("all partitions are read after %s", time.Since(begin).Round(time.Second))
	awaitLine(t, p, "the input topic has more partitions than before")
	p.terminate(t)
	require.Equal(t, faults{}, c.counts(t, "words", "counts", "word_count"))
}

// awaitLine waits until the program has logged a text.
func awaitLine(t *testing.T, p *process, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(p.log.String(), text) }, time.Minute, 100*time.Millisecond, "not logged: %s", text)
}

// TestWrongPartitions starts a function of a topic that declares another number of partitions than it has: states belong
// to keys, and keys to partitions.
func TestWrongPartitions(t *testing.T) {
	c := newTopics(t)
	declared := topic.New("words", format.String(), format.String(), topic.Partitions(8))
	app := flows.New(stateful.Config[string, string, int64]{
		Name: "tally", Input: declared, State: format.Int64(),
		Function: func(_ context.Context, _ topic.Message[string, string], n int64) (int64, topic.Records, error) {
			return n + 1, nil, nil
		},
	})
	var output buffer
	status := app.Execute(t.Context(), []string{
		"run", "--kafka-brokers", c.brokers, "--postgres-url", c.database, "--http-addr", "off",
	}, strings.NewReader(""), &output, &output)
	require.Equal(t, 1, status)
	line := lastLine(output.String())
	require.Contains(t, line, "topic words has 2 partitions, but 8 are declared")
	t.Log(line)
}
