package ingress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/router"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/ingress"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/runtime/problem"
	"github.com/kappaflows/flows/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type order struct {
	ID     string `json:"id"`
	Amount int    `json:"amount"`
}

var orders = topic.New("orders", format.String(), format.JSON[order]())

func accept(_ context.Context, request *http.Request, o order) (topic.Record, error) {
	switch o.ID {
	case "":
		return topic.Record{}, &router.Problem{Status: 422, Title: "No id", Detail: "an order has an id", Field: "id"}
	case "permanent":
		return topic.Record{}, runtime.Permanent(errors.New("this order is bad"))
	case "fails":
		return topic.Record{}, errors.New("a secret of the inside")
	case "away":
		return topic.Record{}, runtime.ErrUnavailable
	case "panics":
		panic("a secret of the inside")
	case "zero":
		return topic.Record{}, nil
	case "reserved":
		return orders.Record(o.ID, o).WithHeader("flows-x", nil), nil
	case "waits":
		<-request.Context().Done()
		return topic.Record{}, request.Context().Err()
	case "large":
		return orders.Record(strings.Repeat("k", 2<<20), o), nil
	}
	return orders.Record(o.ID, o).WithHeader("customer", []byte(request.Header.Get("Customer"))), nil
}

type config = router.Config[order, string, order]

func valid() config {
	return config{Name: "accept", Route: "POST /orders", Output: orders, Function: accept}
}

// faulty is a log whose Send a test can make fail, before and after it is done.
type faulty struct {
	*memory.Log
	mutex         sync.Mutex
	before, after error
}

func (f *faulty) fail(before, after error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.before, f.after = before, after
}

func (f *faulty) Send(ctx context.Context, identity runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	f.mutex.Lock()
	before, after := f.before, f.after
	f.mutex.Unlock()
	if before != nil {
		return nil, before
	}
	acks, err := f.Log.Send(ctx, identity, batches)
	if after != nil {
		return nil, after
	}
	return acks, err
}

// service is a router with a log and a store in memory.
type service struct {
	t       *testing.T
	log     *faulty
	store   *memory.Store
	logged  *lockedBuffer
	serve   func(http.ResponseWriter, *http.Request) error
	mutex   sync.Mutex
	seen    []int
	end     func()
	ingress *ingress.Ingress
}

func newService(t *testing.T, c interface {
	Compile() (*runtime.Function, error)
},
) *service {
	log := memory.NewLog()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: "orders", Partitions: 3}}))
	return start(t, c, &faulty{Log: log}, memory.NewStore())
}

// start is a process that serves a router.
func start(t *testing.T, c interface {
	Compile() (*runtime.Function, error)
}, log *faulty, store *memory.Store,
) *service {
	t.Helper()
	f, err := c.Compile()
	require.NoError(t, err)
	s := &service{t: t, log: log, store: store, logged: &lockedBuffer{}}
	s.ingress, err = ingress.New(ingress.Config{
		Functions: []*runtime.Function{f}, Log: log, Store: store, Logger: slog.New(slog.NewTextHandler(s.logged, nil)),
		Observe: func(_ string, status int, _ time.Duration) { s.see(status) },
	})
	require.NoError(t, err)
	handlers := s.ingress.Handlers()
	require.Len(t, handlers, 1)
	s.serve = handlers[0].Serve
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.ingress.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	s.end = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(s.end)
	return s
}

func (s *service) see(status int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.seen = append(s.seen, status)
}

// lockedBuffer is a buffer for many goroutines.
type lockedBuffer struct {
	mutex sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.Buffer.String()
}

func (s *service) post(body string, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.send(strings.NewReader(body), header...)
}

func (s *service) send(body io.Reader, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, "/orders", body)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			request.Header.Del(header[i])
			continue
		}
		request.Header.Add(header[i], header[i+1])
		if header[i] == "Content-Type" {
			request.Header.Set(header[i], header[i+1])
		}
	}
	answer := httptest.NewRecorder()
	if err := s.serve(answer, request); err != nil {
		_ = problem.Of(err).Write(answer)
	}
	return answer
}

// records are all records of the topic.
func (s *service) records() (all []topic.Raw) {
	for p := range int32(3) {
		all = append(all, s.log.Records("orders", p)...)
	}
	return all
}

type answered struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    *int64 `json:"offset"`
}

func accepted(t *testing.T, answer *httptest.ResponseRecorder) (a answered) {
	t.Helper()
	require.Equal(t, 202, answer.Code, answer.Body.String())
	require.Equal(t, "application/json", answer.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &a))
	return a
}

func TestARequestIsARecord(t *testing.T) {
	for name, header := range map[string][]string{
		"without a key": {"Customer", "c1"},
		"with a key":    {"Customer", "c1", "Idempotency-Key", "k1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, valid())
			a := accepted(t, s.post(`{"id":"a","amount":7}`, header...))
			require.Equal(t, "orders", a.Topic)
			require.Equal(t, topic.Murmur2([]byte("a"), 3), a.Partition)
			require.Zero(t, *a.Offset)
			records := s.log.Records("orders", a.Partition)
			require.Len(t, records, 1)
			require.Equal(t, "a", string(records[0].Key))
			require.JSONEq(t, `{"id":"a","amount":7}`, string(records[0].Value))
			require.Equal(t, topic.Headers{{Key: "customer", Value: []byte("c1")}}, records[0].Headers)
			require.EqualValues(t, 1, *accepted(t, s.post(`{"id":"a"}`)).Offset)
			require.Equal(t, []int{202, 202}, s.seen)
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		body    string
		header  []string
		status  int
		detail  string
		answers []string // headers of the answer
	}{
		"bad body":          {`{"id":7}`, nil, 400, `field "id": number where a string is expected, at byte 7`, nil},
		"own problem":       {`{}`, nil, 422, "an order has an id", nil},
		"permanent":         {`{"id":"permanent"}`, nil, 400, "this order is bad", nil},
		"failure":           {`{"id":"fails"}`, nil, 500, "the request failed; the app's log says why", nil},
		"no record":         {`{"id":"zero"}`, nil, 500, "the request failed; the app's log says why", nil},
		"reserved header":   {`{"id":"reserved"}`, nil, 500, "the request failed; the app's log says why", nil},
		"large record":      {`{"id":"large"}`, nil, 413, "the record is larger than topic orders takes", nil},
		"large, with a key": {`{"id":"large"}`, []string{"Idempotency-Key", "k"}, 413, "the record is larger than topic orders takes", nil},
		"away": {
			`{"id":"away"}`, nil, 503,
			"the request could not be taken in time; it may have been, so make it again with the same Idempotency-Key",
			[]string{"Retry-After", "2"},
		},
		"no content type": {
			`{}`,
			[]string{"Content-Type", ""},
			415, "there is no content type; application/json is taken",
			[]string{"Accept", "application/json"},
		},
		"form":    {`{}`, []string{"Content-Type", "text/html"}, 415, `content type "text/html" is not taken; application/json is`, nil},
		"charset": {`{}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, `content type "application/json; charset=latin1" is not taken; application/json is`, nil},
		"gzip": {
			`{}`,
			[]string{"Content-Encoding", "gzip"},
			415, `content encoding "gzip" is not taken; send the body as it is`,
			[]string{"Accept-Encoding", "identity"},
		},
		"two keys":        {`{}`, []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, 400, "there is more than one Idempotency-Key", nil},
		"empty key":       {`{}`, []string{"Idempotency-Key", `""`}, 400, "an Idempotency-Key is 1 to 255 printable ASCII characters, such as a UUID", nil},
		"long key":        {`{}`, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, "an Idempotency-Key is 1 to 255 printable ASCII characters, such as a UUID", nil},
		"unprintable key": {`{}`, []string{"Idempotency-Key", "é"}, 400, "an Idempotency-Key is 1 to 255 printable ASCII characters, such as a UUID", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, valid())
			answer := s.post(test.body, test.header...)
			require.Equal(t, test.status, answer.Code, answer.Body.String())
			require.Equal(t, "application/problem+json", answer.Header().Get("Content-Type"))
			var details map[string]any
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &details))
			require.Equal(t, test.detail, details["detail"])
			require.EqualValues(t, test.status, details["status"])
			for i := 0; i < len(test.answers); i += 2 {
				require.Equal(t, test.answers[i+1], answer.Header().Get(test.answers[i]))
			}
			require.Empty(t, s.records())
			require.Equal(t, []int{test.status}, s.seen)
		})
	}
}

func TestTheFieldIsNamed(t *testing.T) {
	s := newService(t, valid())
	require.Contains(t, s.post(`{"amount":"x"}`).Body.String(), `"field": "amount"`)
	require.Contains(t, s.post(`{}`).Body.String(), `"title": "No id"`)
}

func TestAPanicIsCountedAndPassedOn(t *testing.T) {
	s := newService(t, valid())
	require.Panics(t, func() { s.post(`{"id":"panics"}`) })
	require.Equal(t, []int{500}, s.seen)
	accepted(t, s.post(`{"id":"a"}`))
}

func TestTimeout(t *testing.T) {
	c := valid()
	c.Timeout = time.Millisecond
	s := newService(t, c)
	answer := s.post(`{"id":"waits"}`)
	require.Equal(t, 503, answer.Code)
	require.NotEmpty(t, answer.Header().Get("Retry-After"))
}

func TestBodyLimit(t *testing.T) {
	c := valid()
	c.BodyLimit = 100
	s := newService(t, c)
	fits := `{"id":"` + strings.Repeat("a", 91) + `"}`
	require.Len(t, fits, 100)
	accepted(t, s.post(fits))
	require.Equal(t, 413, s.post(fits+" ").Code)
	require.Equal(t, 413, s.send(io.MultiReader(strings.NewReader(fits), strings.NewReader(" "))).Code, "of unknown length")
	accepted(t, s.send(io.MultiReader(strings.NewReader(fits))))

	require.Equal(t, 413, newService(t, valid()).post(strings.Repeat(" ", 10<<20)).Code)
}

func TestBodiesAreBoundedTogether(t *testing.T) {
	f, err := valid().Compile()
	require.NoError(t, err)
	log := memory.NewLog()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: "orders"}}))
	i, err := ingress.New(ingress.Config{Functions: []*runtime.Function{f}, Log: log, Store: memory.NewStore(), BodyBytes: 1 << 20})
	require.NoError(t, err)
	s := &service{t: t, serve: i.Handlers()[0].Serve}
	from, to := io.Pipe()
	held := make(chan int)
	go func() { held <- s.send(from).Code }()
	// All but one of its bytes are read when the last write returns.
	_, err = to.Write(bytes.Repeat([]byte(" "), 1<<20-1))
	require.NoError(t, err)
	answer := s.post(strings.Repeat(" ", 8<<10))
	require.Equal(t, 503, answer.Code)
	require.Contains(t, answer.Body.String(), "too many requests at once")
	require.NoError(t, to.Close())
	require.Equal(t, 400, <-held)
	require.Equal(t, 400, s.post(strings.Repeat(" ", 8<<10)).Code, "there is room again")
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, i.Run(stopped))
}

func TestAuthenticate(t *testing.T) {
	c := valid()
	c.Authenticate = router.Bearer(func(_ context.Context, token string) error {
		switch token {
		case "good":
			return nil
		case "known":
			return router.ErrForbidden
		case "away":
			return runtime.ErrUnavailable
		case "own":
			return &router.Problem{Status: 429, Detail: "slowly"}
		}
		return errors.New("a secret of the inside")
	})
	s := newService(t, c)
	for header, want := range map[string]struct {
		status    int
		challenge string
	}{
		"":             {401, "Bearer"},
		"Bearer bad":   {401, `Bearer error="invalid_token"`},
		"Bearer known": {403, ""},
		"Bearer away":  {503, ""},
		"Bearer own":   {429, ""},
		"Bearer good":  {202, ""},
	} {
		answer := s.post(`{"id":"a"}`, "Authorization", header)
		require.Equal(t, want.status, answer.Code, header)
		require.Equal(t, want.challenge, answer.Header().Get("WWW-Authenticate"), header)
		require.NotContains(t, answer.Body.String(), "secret")
	}
	unread := &unreadable{}
	require.Equal(t, 401, s.send(unread).Code)
	require.Zero(t, unread.reads)
}

// unreadable is a body that must not be read.
type unreadable struct{ reads int }

func (u *unreadable) Read([]byte) (int, error) { u.reads++; return 0, io.ErrUnexpectedEOF }

func TestABodyThatIsCutOff(t *testing.T) {
	s := newService(t, valid())
	answer := s.send(&unreadable{})
	require.Equal(t, 400, answer.Code)
	require.Contains(t, answer.Body.String(), "the body did not come whole")
}

func TestShutdown(t *testing.T) {
	s := newService(t, valid())
	from, to := io.Pipe()
	code := make(chan int)
	go func() { code <- s.send(from).Code }()
	_, err := to.Write([]byte(`{"id":`))
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() { s.end(); close(ended) }()
	require.Eventually(t, func() bool { return s.post(`{"id":"b"}`).Code == 503 }, time.Minute, time.Millisecond)
	_, err = to.Write([]byte(`"a"}`))
	require.NoError(t, err)
	require.NoError(t, to.Close())
	require.Equal(t, 202, <-code, "a request under way is finished")
	<-ended
	answer := s.post(`{"id":"b"}`)
	require.Equal(t, 503, answer.Code)
	require.Equal(t, "close", answer.Header().Get("Connection"))
}

func TestNoKeyStore(t *testing.T) {
	f, err := valid().Compile()
	require.NoError(t, err)
	_, err = ingress.New(ingress.Config{Functions: []*runtime.Function{f}, Log: memory.NewLog()})
	require.ErrorIs(t, err, ingress.ErrNoKeyStore)

	c := valid()
	c.Delivery = runtime.AtLeastOnce
	s := newService(t, c)
	accepted(t, s.post(`{"id":"a"}`))
	answer := s.post(`{"id":"a"}`, "Idempotency-Key", "k")
	require.Equal(t, 400, answer.Code)
	require.Contains(t, answer.Body.String(), "no Idempotency-Key is taken here")
}
