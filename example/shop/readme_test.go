package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/runtime/postgres"
)

// sarama's library of metrics has a goroutine that never ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

//go:embed README.md
var readme string

// The README shows the graph of the program, and every question with its answer.
func TestReadmeShowsTheGraph(t *testing.T) {
	graph, err := shop().Graph()
	require.NoError(t, err)
	require.Equal(t, graph.Mermaid(), fenced(t, readme, "mermaid"))
}

func TestReadmeAndDemoAskTheSame(t *testing.T) {
	require.Equal(t, len(questions), strings.Count(readme, "```sql\n"))
	for _, question := range questions {
		_, section, found := strings.Cut(readme, "**"+question.title+"**")
		require.True(t, found, question.title)
		require.Equal(t, question.query, "\n"+strings.TrimSuffix(fenced(t, section, "sql"), "\n"))
	}
}

// fenced returns the first fenced block of a language.
func fenced(t *testing.T, text, language string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "```"+language+"\n")
	require.True(t, found, language)
	block, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	return block
}

// requireAnswers holds the answers of a database against those in the README.
func requireAnswers(t *testing.T, instance *flows.Instance) {
	t.Helper()
	for _, question := range questions {
		_, section, _ := strings.Cut(readme, "**"+question.title+"**")
		var out bytes.Buffer
		require.NoError(t, answer(t.Context(), instance.DB(), question.query, &out))
		require.Equal(t, fenced(t, section, "text"), out.String(), question.title)
	}
}

// opened is an instance that runs until the end of the test.
func opened(t *testing.T, settings flows.Settings) *flows.Instance {
	t.Helper()
	settings.HTTPAddr = "127.0.0.1:0"
	instance, err := shop().Open(t.Context(), settings)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- instance.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, instance.Close())
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return instance
}

func TestAnswersOfSQLite(t *testing.T) {
	instance := opened(t, flows.Settings{})
	var out bytes.Buffer
	require.NoError(t, trade(t.Context(), instance, &out))
	requireAnswers(t, instance)
	require.NoError(t, trade(t.Context(), instance, &out))
	require.Contains(t, out.String(), "nobody orders more")
}

func TestAnswersOfPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a broker; -short leaves that out")
	}
	broker, database := services.NewBroker(t).Addr(), services.Postgres(t)
	run := func(args ...string) string {
		var out, problems bytes.Buffer
		args = append([]string{"--kafka-brokers=" + broker, "--postgres-url=" + database}, args...)
		status := shop().With(newGenerate()).Execute(t.Context(), args, strings.NewReader(""), &out, &problems)
		require.Zero(t, status, problems.String())
		return out.String()
	}
	run("topics", "create", "--partitions=3")
	run("migrate")
	instance := opened(t, flows.Settings{
		Kafka: kafka.Config{Brokers: []string{broker}}, Postgres: postgres.Config{URL: database},
	})
	said := run("generate", fmt.Sprint("--seed=", demoSeed), fmt.Sprint("--orders=", demoOrders), "--rate=0", "--url="+instance.URL())
	who := newCustomers(demoSeed, demoOrders, demoBad)
	for range who.events() {
	}
	require.Contains(t, said, fmt.Sprintf("%+v", who.due))
	require.NoError(t, settle(t.Context(), instance, who.due))
	requireAnswers(t, instance)
}
