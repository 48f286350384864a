package flows_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/router"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/runtime/postgres"
	"github.com/kappaflows/flows/topic"
)

type purchase struct {
	ID     string `json:"id"`
	Amount int    `json:"amount"`
}

// takes is a router into a topic.
func takes(name, route string, into *topic.Topic[string, purchase]) router.Config[purchase, string, purchase] {
	return router.Config[purchase, string, purchase]{
		Name: name, Route: route, Output: into,
		Function: func(_ context.Context, _ *http.Request, p purchase) (topic.Record, error) {
			return into.Record(p.ID, p), nil
		},
	}
}

func purchases(name string) *topic.Topic[string, purchase] {
	return topic.New(name, format.String(), format.JSON[purchase]())
}

// running runs an app until the test ends.
func running(t *testing.T, app *flows.App, settings flows.Settings) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	instance, err := app.Open(ctx, settings)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- instance.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
		require.NoError(t, instance.Close())
		http.DefaultClient.CloseIdleConnections()
	})
	t.Cleanup(stop)
	return instance.URL(), stop
}

func post(t *testing.T, url, body, key string) (status int, answer map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NoError(t, json.Unmarshal(data, &answer), string(data))
	return response.StatusCode, answer
}

func TestARouterIsServedWithTheApp(t *testing.T) {
	log := memory.NewLog()
	orders := purchases("orders")
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: "orders"}}))
	url, _ := running(t, flows.New(takes("accept", "POST /orders", orders)).On(log, memory.NewStore()), cluster())
	status, answer := post(t, url+"/orders", `{"id":"a","amount":1}`, "k")
	require.Equal(t, 202, status)
	require.Equal(t, map[string]any{"topic": "orders", "partition": 0.0, "offset": 0.0}, answer)
	status, answer = post(t, url+"/orders", `{"id":"a","amount":"x"}`, "")
	require.Equal(t, 400, status)
	require.Equal(t, "amount", answer["field"])

	require.Eventually(t, func() bool { code, _ := get(t, url+"/ready"); return code == 200 }, patience, tick)
	_, body := get(t, url+"/metrics")
	require.Contains(t, body, `flows_http_requests_total{function="accept",status="202"} 1`)
	require.Contains(t, body, `flows_http_requests_total{function="accept",status="400"} 1`)
	_, body = get(t, url+"/openapi.json")
	require.Contains(t, body, `"operationId": "accept"`)
	_, body = get(t, url+"/topology")
	require.Contains(t, body, `"route": "POST /orders"`)
	_, body = get(t, url+"/topology?format=mermaid")
	require.Contains(t, body, `route0>"POST /orders"] --> function0`)
}

func TestRoutersThatDoNotFit(t *testing.T) {
	orders := purchases("orders")
	err := flows.New(takes("a", "POST /orders/{x}", orders), takes("b", "POST /orders/{y}", orders), takes("c", "POST /live", orders)).Validate()
	var invalid *flows.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, []string{
		`router function "b": Route: "POST /orders/{y}" matches the requests of function "a"`,
		`router function "c": Route: /live is an address of every app's own`,
	}, invalid.Problems)

	off := cluster()
	off.HTTPAddr = flows.NoHTTP
	log := memory.NewLog()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: "orders"}}))
	_, err = flows.New(takes("a", "POST /orders", orders)).On(log, memory.NewStore()).Open(t.Context(), off)
	require.ErrorContains(t, err, "HTTP is off, and a router takes HTTP requests")
}

func TestARouterEmbedded(t *testing.T) {
	settings := flows.Settings{DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0"}
	app := flows.New(takes("accept", "POST /orders", purchases("orders")))
	url, stop := running(t, app, settings)
	status, first := post(t, url+"/orders", `{"id":"a","amount":1}`, "k")
	require.Equal(t, 202, status, first)
	stop()
	url, _ = running(t, app, settings)
	status, again := post(t, url+"/orders", `{"id":"a","amount":1}`, "k")
	require.Equal(t, 202, status)
	require.Equal(t, first, again)
}

// deafLog is a log that loses answers of sends, after they were done, for so long.
type deafLog struct {
	runtime.Log
	mutex sync.Mutex
	lose  bool
}

func (d *deafLog) losing(lose bool) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.lose = lose
}

func (d *deafLog) Send(ctx context.Context, identity runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	acks, err := d.Log.Send(ctx, identity, batches)
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.lose {
		<-ctx.Done()
		return nil, fmt.Errorf("the answer is lost: %w", runtime.ErrUnavailable)
	}
	return acks, err
}

// A request whose process ends between the append and the answer is made again at another process, which appends nothing
// and says where the record is: on a real broker and a real database, with restarts of the broker in between.
func TestAKeyIsAppendedOnceOnACluster(t *testing.T) {
	broker := services.NewBroker(t)
	url := services.Postgres(t)
	name := services.Name(t)
	open := func() (*deafLog, *postgres.Store) {
		log, err := kafka.Open(t.Context(), kafka.Config{Brokers: []string{broker.Addr()}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, log.Close()) })
		store, err := postgres.Open(t.Context(), postgres.Config{URL: url})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return &deafLog{Log: log}, store
	}
	log, store := open()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: name, Partitions: 3}}))
	impatient := takes("accept", "POST /orders", purchases(name))
	impatient.Timeout = time.Second
	at, stop := running(t, flows.New(impatient).On(log, store), cluster())

	keys := 0
	for ; keys < 10; keys++ {
		status, answer := post(t, at+"/orders", `{"id":"a","amount":1}`, fmt.Sprint(keys))
		require.Equal(t, 202, status, answer)
	}
	log.losing(true)
	status, answer := post(t, at+"/orders", `{"id":"a","amount":1}`, "lost")
	require.Equal(t, 503, status, answer)
	log.losing(false)
	stop()
	broker.Kill()
	broker.Start()

	log, store = open()
	at, _ = running(t, flows.New(takes("accept", "POST /orders", purchases(name))).On(log, store), cluster())
	status, answer = post(t, at+"/orders", `{"id":"a","amount":1}`, "lost")
	require.Equal(t, 202, status, answer)
	require.EqualValues(t, keys, answer["offset"])
	status, again := post(t, at+"/orders", `{"id":"a","amount":1}`, "lost")
	require.Equal(t, 202, status)
	require.Equal(t, answer, again)
	_, end, err := log.Bounds(t.Context(), runtime.TopicPartition{Topic: name, Partition: int32(answer["partition"].(float64))})
	require.NoError(t, err)
	require.EqualValues(t, keys+1, end, "nothing was appended twice")
	status, answer = post(t, at+"/orders", `{"id":"b","amount":1}`, "")
	require.Equal(t, 202, status, answer)
}
