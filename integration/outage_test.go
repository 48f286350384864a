package integration

import (
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services"
)

// TestWordCountOutlivesItsServices kills broker and database under the running program and starts them again. The program
// must say that it is not ready, go on by itself, and lose and double nothing.
func TestWordCountOutlivesItsServices(t *testing.T) {
	const messages = 300_000
	broker, server := services.NewBroker(t), services.NewPostgres(t)
	o := oracle{brokers: broker.Addr(), database: server.NewDatabase()}
	address := services.FreeAddress(t)
	env := append(environment(o.brokers, o.database), "HTTP_ADDR="+address)
	program := build(t, "wordcount")
	run(t, env, program, "topics", "create", "--partitions", "4")
	client := o.client(t)
	done := produceWords(t, client, rand.New(rand.NewPCG(3, 3)), messages)
	p := start(t, env, program, "run", "count")
	awaitRecords(t, o, client, p, messages/10)
	require.NoError(t, <-done)
	require.NoError(t, client.Flush(t.Context()))

	server.Kill()
	awaitReady(t, p, address, http.StatusServiceUnavailable)
	server.Start()
	awaitReady(t, p, address, http.StatusOK)
	broker.Kill()
	awaitReady(t, p, address, http.StatusServiceUnavailable)
	broker.Start()
	awaitReady(t, p, address, http.StatusOK)
	// There is something to do after both outages, whatever was done before.
	require.NoError(t, <-produceWords(t, client, rand.New(rand.NewPCG(4, 4)), messages))
	server.Kill()
	server.Start()

	client = o.client(t)
	awaitRecords(t, o, client, p, 2*messages)
	p.terminate(t)
	require.Equal(t, faults{}, o.counts(t, "words", "counts", "word_count"))
}

// TestTerminationWithoutDatabase ends a busy program whose database is gone, or does not answer. It must leave by itself. It is
// meant to do so within ten seconds, which is logged and not judged: it gets thirty, as any program here does (terminate),
// since a test is not to fail for a busy machine.
func TestTerminationWithoutDatabase(t *testing.T) {
	for name, away := range map[string]func(*services.Server){
		"killed": func(s *services.Server) { s.Kill() },
		"frozen": func(s *services.Server) { s.Pause() },
	} {
		t.Run(name, func(t *testing.T) {
			const messages = 200_000
			broker, server := services.NewBroker(t), services.NewPostgres(t)
			o := oracle{brokers: broker.Addr(), database: server.NewDatabase()}
			env := environment(o.brokers, o.database)
			program := build(t, "wordcount")
			run(t, env, program, "topics", "create", "--partitions", "4")
			client := o.client(t)
			p := start(t, env, program, "run", "count")
			require.NoError(t, <-produceWords(t, client, rand.New(rand.NewPCG(5, 5)), messages))
			awaitRecords(t, o, client, p, messages/10)
			away(server)
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "words", Key: []byte("late"), Value: []byte("late")}).FirstErr())
			start := time.Now()
			p.terminate(t)
			t.Logf("left after %s", time.Since(start).Round(time.Millisecond))
		})
	}
}

// awaitReady waits until /ready answers with a status.
func awaitReady(t *testing.T, p *process, address string, status int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		got, body := ready(address)
		if got == status {
			t.Logf("%d: %s", got, body)
			return
		}
		require.True(t, p.running(), "the program ended: %s", p.log.tail())
		require.True(t, time.Now().Before(deadline), "/ready answers %d, not %d: %s", got, status, body)
		time.Sleep(50 * time.Millisecond)
	}
}

func ready(address string) (status int, body string) {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get("http://" + address + "/ready")
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	content, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	return response.StatusCode, string(content)
}
