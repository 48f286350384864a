package flows_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

// The Kafka client's library for metrics starts a goroutine of its own that never ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

var (
	lines  = topic.New("lines", format.String(), format.String())
	words  = topic.New("words", format.String(), format.String())
	counts = topic.New("counts", format.String(), format.Int64())
)

func split(_ context.Context, line topic.Message[string, string]) (out topic.Records, _ error) {
	if line.Value == "poison" {
		return nil, errors.New("this line is poison")
	}
	for word := range strings.FieldsSeq(line.Value) {
		out = append(out, words.Record(word, word))
	}
	return out, nil
}

func count(_ context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
	n++
	return n, topic.Records{counts.Record(word.Key, n)}, nil
}

var (
	splitConfig = stateless.Config[string, string]{Name: "split", Input: lines, Outputs: topic.List{words}, Function: split}
	countConfig = stateful.Config[string, string, int64]{
		Name: "count", Input: words, Outputs: topic.List{counts}, State: format.Int64(), Table: "word_count", Function: count,
	}
)

// cluster is settings of a cluster, for apps that On has put on a log in memory.
func cluster(names ...string) flows.Settings {
	return flows.Settings{
		Kafka: kafka.Config{Brokers: []string{"memory:9092"}}, HTTPAddr: "127.0.0.1:0", Functions: names,
	}
}

func newLog(t *testing.T) *memory.Log {
	t.Helper()
	log := memory.NewLog()
	var topics []runtime.NewTopic
	for _, name := range []string{"lines", "words", "counts"} {
		topics = append(topics, runtime.NewTopic{Name: name, Partitions: 2})
	}
	require.NoError(t, log.Create(t.Context(), topics))
	return log
}

// program is an app whose command line a test calls.
type program struct {
	app   *flows.App
	stdin string
}

func wordcount(log runtime.Log) *program {
	return &program{app: flows.New(splitConfig, countConfig).On(log, memory.NewStore())}
}

func (p *program) run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = p.app.Execute(t.Context(), append([]string{"--kafka-brokers=memory:9092", "--http-addr=off"}, args...),
		strings.NewReader(p.stdin), &out, &err)
	return status, out.String(), err.String()
}

func TestAnInstanceCountsAndServes(t *testing.T) {
	log := newLog(t)
	ctx, cancel := context.WithCancel(t.Context())
	instance, err := flows.New(splitConfig, countConfig).On(log, memory.NewStore()).Open(ctx, cluster())
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- instance.Run(ctx) }()

	_, err = log.Append("lines", 0, runtime.Output{Value: []byte("a b a")}, runtime.Output{Value: []byte("b a")})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return counted(log) == 5 }, patience, tick)

	code, body := get(t, instance.URL()+"/topology?format=mermaid")
	require.Equal(t, 200, code)
	require.Contains(t, body, "flowchart LR")
	require.Eventually(t, func() bool { code, _ := get(t, instance.URL()+"/ready"); return code == 200 }, patience, tick)
	_, body = get(t, instance.URL()+"/metrics")
	require.Contains(t, body, `flows_records_in_total{function="count",topic="words"} 5`)
	_, body = get(t, instance.URL()+"/")
	require.Contains(t, body, "/ready")

	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, instance.Close())
}

func counted(log *memory.Log) int {
	return len(log.Records("counts", 0)) + len(log.Records("counts", 1))
}

func TestRunRunsTheFunctionsThatAreNamed(t *testing.T) {
	log := newLog(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- flows.New(splitConfig, countConfig).On(log, memory.NewStore()).Run(ctx, cluster("count"))
	}()
	_, err := log.Append("lines", 0, runtime.Output{Value: []byte("never read")})
	require.NoError(t, err)
	_, err = log.Append("words", 0, runtime.Output{Key: []byte("a"), Value: []byte("a")})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return counted(log) == 1 }, patience, tick)
	require.Empty(t, append(log.Records("words", 0), log.Records("words", 1)...)[1:])
	cancel()
	require.NoError(t, <-ended)
}

func TestAFunctionThatFailsEndsTheApp(t *testing.T) {
	log := newLog(t)
	config := splitConfig
	config.Errors = runtime.ErrorPolicy{Spent: runtime.Stop, Attempts: 1}
	_, err := log.Append("lines", 1, runtime.Output{Key: []byte("k"), Value: []byte("poison")})
	require.NoError(t, err)
	p := &program{app: flows.New(config).On(log, memory.NewStore())}
	status, _, stderr := p.run(t, "run", "--log-level=error")
	require.Equal(t, 1, status)
	require.Regexp(t, `: function split: topic lines partition 1 offset 0 key "k": .*this line is poison`, stderr)
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
}

func TestMissingTopicsAreNamed(t *testing.T) {
	log := memory.NewLog()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: "words", Partitions: 1}}))
	status, _, stderr := wordcount(log).run(t, "run")
	require.Equal(t, 1, status)
	require.Regexp(t, `: topics lines, counts do not exist: create them with '.* topics create'`, stderr)
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)

	status, _, stderr = wordcount(log).run(t, "run", "split")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, ": topic lines does not exist: create it with ")
}

func TestAPortInUseIsFoundBeforeAnythingIsOpened(t *testing.T) {
	log := newLog(t)
	app := flows.New(splitConfig, countConfig).On(log, memory.NewStore())
	first, err := app.Open(t.Context(), cluster())
	require.NoError(t, err)
	settings := cluster()
	settings.HTTPAddr = strings.TrimPrefix(first.URL(), "http://")
	opened := false
	_, err = flows.New(splitConfig).On(watched{log, &opened}, nil).Open(t.Context(), settings)
	require.EqualError(t, err, "cannot listen on "+settings.HTTPAddr+": the address is in use")
	require.False(t, opened)
	require.NoError(t, first.Close())
	again, err := app.Open(t.Context(), settings)
	require.NoError(t, err, "closing gives the port back")
	require.NoError(t, again.Close())
}

// watched is a log that notes whether it was asked anything.
type watched struct {
	*memory.Log
	asked *bool
}

func (w watched) Describe(ctx context.Context, name string) (runtime.TopicInfo, error) {
	*w.asked = true
	return w.Log.Describe(ctx, name)
}

func TestAnInstanceWithoutHTTP(t *testing.T) {
	settings := cluster()
	settings.HTTPAddr = flows.NoHTTP
	instance, err := flows.New(splitConfig).On(newLog(t), memory.NewStore()).Open(t.Context(), settings)
	require.NoError(t, err)
	require.Empty(t, instance.URL())
	require.NoError(t, instance.Close())
}

// get asks a server of the test's own.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(body)
}

// name is what the test binary is called, as errors begin with.
func name() string {
	path := os.Args[0]
	return path[strings.LastIndexByte(path, '/')+1:]
}

// syncBuffer is a buffer that one goroutine writes while another reads.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func ExampleApp_Graph() {
	graph, err := flows.New(splitConfig, countConfig).Graph()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(graph.Mermaid())
	// Output:
	// flowchart LR
	//   topic0(["lines<br/>string, string"])
	//   topic1(["words<br/>string, string"])
	//   topic2(["counts<br/>string, int64"])
	//   function0["split<br/>stateless"]
	//   function1["count<br/>stateful"]
	//   table0[("word_count")]
	//   topic0 --> function0
	//   function0 --> topic1
	//   topic1 --> function1
	//   function1 --> topic2
	//   function1 <--> table0
}
