package embedded

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// What recovery computes from the log after a crash is what kfake itself writes down when it is closed.
func TestRecoveryAgreesWithACleanEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "recovery-")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		server, err := Start(Config{Dir: dir})
		require.NoError(t, err)
		produce(t, server.Brokers())
		require.NoError(t, server.Close())

		log := filepath.Join(dir, logName)
		want := load(t, log)
		require.NoError(t, markOpen(log))
		require.NoError(t, recoverLog(log))
		if diff := gocmp.Diff(want, load(t, log)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// produce appends with a few idempotent producers, one after the other and each to some topics, whose names need
// escaping as far as Kafka's rules let them.
func produce(t *rapid.T, brokers []string) {
	topics := []string{"words", "a.b_c-1", "UPPER"}
	for range rapid.IntRange(0, 3).Draw(t, "producers") {
		client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
		require.NoError(t, err)
		createTopics(t, client, topics)
		for range rapid.IntRange(0, 9).Draw(t, "batches") {
			var records []*kgo.Record
			topic := rapid.SampledFrom(topics).Draw(t, "topic")
			for range rapid.IntRange(1, 4).Draw(t, "records") {
				records = append(records, &kgo.Record{Topic: topic, Key: rapid.SliceOf(rapid.Byte()).Draw(t, "key")})
			}
			require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
		}
		client.Close()
	}
}

func load(t *rapid.T, dir string) []windowEntry {
	text, err := os.ReadFile(filepath.Join(dir, windowsName))
	require.NoError(t, err)
	var file windowsFile
	decoder := json.NewDecoder(bytes.NewReader(text))
	require.NoError(t, decoder.Decode(&file))
	slices.SortFunc(file.Windows, func(a, b windowEntry) int {
		return cmp.Or(cmp.Compare(a.ProducerID, b.ProducerID), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return slices.DeleteFunc(file.Windows, func(w windowEntry) bool { return !w.Seen })
}

func TestWindowOfAnEpochStartsAnew(t *testing.T) {
	var w windowEntry
	for i := range int32(7) {
		w.add(batch{epoch: 1, sequence: i, records: 1, offset: int64(i)})
	}
	require.EqualValues(t, 5, w.Count)
	require.EqualValues(t, 7, w.Next)
	w.add(batch{epoch: 2, sequence: 0, records: 3, offset: 7})
	want := windowEntry{Seen: true, Epoch: 2, Count: 1, At: 1, Next: 3}
	want.Entries[0] = written{First: 0, Next: 3, Offset: 7}
	require.Equal(t, want, w)
	w.add(batch{epoch: 2, sequence: math.MaxInt32 - 1, records: 2})
	require.EqualValues(t, 1, w.Next)
}

func TestParsePartition(t *testing.T) {
	topic, partition, err := parsePartition("a-b%20c-12")
	require.NoError(t, err)
	require.Equal(t, "a-b c", topic)
	require.EqualValues(t, 12, partition)
	for _, name := range []string{"", "words", "words-", "words-x", "words-99999999999", "%zz-1"} {
		_, _, err := parsePartition(name)
		require.Error(t, err, name)
	}
}

// FuzzPartitionName reads names of folders.
func FuzzPartitionName(f *testing.F) {
	for _, name := range []string{"words-0", "a-b%20c-12", "", "-", "words-", "words--1", "%zz-1", "%2F-2147483647", "a-+1", "..-0"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		topic, partition, err := parsePartition(name)
		if err != nil {
			require.Empty(t, topic)
			require.Zero(t, partition)
			require.NotContains(t, err.Error(), "\n")
		}
	})
}

func FuzzEachBatch(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 200))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, content []byte) {
		seen := 0
		require.NoError(t, eachBatch(bytes.NewReader(content), func(batch) { seen++ }))
		require.LessOrEqual(t, seen*headerBytes, len(content))
	})
}

func createTopics(t *rapid.T, client *kgo.Client, topics []string) {
	for _, topic := range topics {
		request := kmsg.NewPtrCreateTopicsRequest()
		wanted := kmsg.NewCreateTopicsRequestTopic()
		wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = topic, -1, -1
		request.Topics = append(request.Topics, wanted)
		_, err := request.RequestWith(t.Context(), client)
		require.NoError(t, err)
	}
}
