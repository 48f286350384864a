package integration

import (
	"bytes"
	"crypto/rand"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services"
)

// noise returns bytes that nobody compresses, in capital letters.
func noise(n int) []byte {
	text := make([]byte, 0, n+26)
	for len(text) < n {
		text = append(text, rand.Text()...)
	}
	return text[:n]
}

// largest is about as large as a key or value of a record can be that a topic takes unless it is told otherwise.
const largest = 1048588 - 100

// TestBadInput gives the running program what it can't count. Each message ends in the dead-letter topic, byte for byte,
// and what comes after it is counted.
func TestBadInput(t *testing.T) {
	broker := services.NewBroker(t)
	o := oracle{brokers: broker.Addr(), database: services.Postgres(t)}
	program := build(t, "wordcount")
	env := environment(o.brokers, o.database)
	run(t, env, program, "topics", "create", "--partitions", "1")
	client := o.client(t, kgo.ProducerBatchMaxBytes(1048588), kgo.ProducerBatchCompression(kgo.NoCompression()))
	limitRecordBatches(t, client, "counts", largest)
	p := start(t, env, program, "run", "count")
	word := []byte("word")
	large := kgo.RecordHeader{Key: "large", Value: noise(100 << 10)}
	counted := []*kgo.Record{
		{Key: word, Value: word},
		{Key: word, Value: word, Headers: []kgo.RecordHeader{large}},
		{Key: word, Value: []byte{}},
		{Key: word, Value: nil},
		{Key: word, Value: noise(largest)},
		{Key: []byte{}, Value: word},
		{Key: []byte("\u0001\u007f\U0010FFFF"), Value: word},
	}
	bad := map[string]*kgo.Record{
		"key with NUL":               {Key: []byte("a\x00b"), Value: word},
		"key is not UTF-8":           {Key: []byte("a\xffb"), Value: word},
		"value is not UTF-8":         {Key: word, Value: []byte("\xc3\x28")},
		"value is not UTF-8, large":  {Key: word, Value: bytes.Repeat([]byte{0xff}, largest)},
		"value is not UTF-8, header": {Key: word, Value: []byte("\xff"), Headers: []kgo.RecordHeader{large, {Key: "", Value: nil}, large}},
		"no key":                     {Value: word},
		"no key and no value":        {},
		"key too long for an index":  {Key: noise(10 << 10), Value: word},
		"key too long for an output": {Key: noise(largest), Value: nil},
	}
	sent := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range counted {
		for _, r := range bad {
			again := *r
			again.Topic = "words"
			again.Timestamp = sent.Add(time.Duration(i) * time.Millisecond)
			require.NoError(t, client.ProduceSync(t.Context(), &again).FirstErr())
		}
		counted[i].Topic = "words"
		require.NoError(t, client.ProduceSync(t.Context(), counted[i]).FirstErr())
	}
	awaitTopic(t, o, client, p, "count.dead-letter", int64(len(bad)*len(counted)))
	awaitRecords(t, o, client, p, int64(len(counted)))
	p.terminate(t)
	left := map[string]int{}
	for name := range bad {
		left[name] = len(counted)
	}
	o.each(t, "count.dead-letter", func(r *kgo.Record) {
		require.Equal(t, sent, r.Timestamp.Truncate(time.Second))
		name := whichOf(bad, r)
		require.NotEmpty(t, name, "%.100q %.100q", r.Key, r.Value)
		if left[name]--; left[name] == 0 {
			t.Logf("%s: %s", name, headerOf(r, "flows-reason"))
		}
	})
	for name, n := range left {
		require.Zero(t, n, name)
	}
}

// limitRecordBatches changes how large a record batch a topic takes.
func limitRecordBatches(t *testing.T, client *kgo.Client, name string, size int) {
	t.Helper()
	limit := strconv.Itoa(size)
	answers, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, name)
	require.NoError(t, err)
	_, err = answers.On(name, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	require.NoError(t, err)
}

// whichOf returns the name of the record that a dead letter is of, byte for byte.
func whichOf(records map[string]*kgo.Record, letter *kgo.Record) string {
	for name, r := range records {
		if same(r.Key, letter.Key) && same(r.Value, letter.Value) && sameHeaders(r.Headers, letter.Headers) {
			return name
		}
	}
	return ""
}

// same says whether two values are the same bytes, where none is not the same as empty.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func sameHeaders(sent, found []kgo.RecordHeader) bool {
	for i, h := range sent {
		if i >= len(found) || found[i].Key != h.Key || !same(found[i].Value, h.Value) {
			return false
		}
	}
	return len(found) == len(sent) || strings.HasPrefix(found[len(sent)].Key, "flows-")
}

func headerOf(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// awaitTopic waits until a topic has so many records. The program must go on running.
func awaitTopic(t *testing.T, o oracle, client *kgo.Client, p *process, topic string, n int64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); o.records(t, client, topic) < n; time.Sleep(50 * time.Millisecond) {
		require.True(t, p.running(), "the program ended: %s", p.log.tail())
		require.True(t, time.Now().Before(deadline), "%d of %d records in %s: %s", o.records(t, client, topic), n, topic, p.log.tail())
	}
}
