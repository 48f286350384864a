package integration

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services"
)

// TestWordCountSurvivesKills counts a million words while the program is killed with SIGKILL five times and started again.
// Every key's outputs must read 1, 2, 3, ... n, each once, and the table must hold n.
func TestWordCountSurvivesKills(t *testing.T) {
	const messages, kills = 1_000_000, 5
	broker := services.NewBroker(t)
	o := oracle{brokers: broker.Addr(), database: services.Postgres(t)}
	env := environment(o.brokers, o.database)
	program := build(t, "wordcount")
	run(t, env, program, "topics", "create", "--partitions", "4")
	client := o.client(t)
	random := rand.New(rand.NewPCG(7, 7))
	done := produceWords(t, client, random, messages)

	p := start(t, env, program, "run", "count")
	for kill := range kills {
		// Each kill comes somewhere in its part of the work, not when something is due.
		at := int64(messages/(kills+1)) * int64(kill+1)
		at -= random.Int64N(messages / (kills + 1) / 2)
		awaitRecords(t, o, client, p, at)
		p.kill()
		t.Logf("killed at %d of %d outputs", o.records(t, client, "counts"), messages)
		p = start(t, env, program, "run", "count")
	}
	require.NoError(t, <-done)
	awaitRecords(t, o, client, p, messages)
	p.terminate(t)
	require.Equal(t, faults{}, o.counts(t, "words", "counts", "word_count"))
	require.EqualValues(t, messages, o.records(t, client, "counts"))
}

// produceWords appends words whose frequencies fall as Zipf's law has it; the result comes when all are appended.
func produceWords(t *testing.T, client *kgo.Client, random *rand.Rand, messages int) <-chan error {
	zipf := rand.NewZipf(random, 1.1, 1, 50_000)
	words := make([][]byte, messages)
	for i := range words {
		words[i] = strconv.AppendUint([]byte("word-"), zipf.Uint64(), 10)
	}
	done := make(chan error, 1)
	ctx := t.Context()
	go func() {
		for _, word := range words {
			client.Produce(ctx, &kgo.Record{Topic: "words", Key: word, Value: word}, nil)
		}
		done <- client.Flush(ctx)
	}()
	return done
}

// awaitRecords waits until the topic counts has so many records. The program must go on running.
func awaitRecords(t *testing.T, o oracle, client *kgo.Client, p *process, n int64) {
	t.Helper()
	const patience = 2 * time.Minute
	deadline := time.Now().Add(patience)
	for o.records(t, client, "counts") < n {
		require.True(t, p.running(), "the program ended: %s", p.log.tail())
		require.True(t, time.Now().Before(deadline), "no progress: %s", p.log.tail())
		time.Sleep(20 * time.Millisecond)
	}
}
