package runtime_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/topic"
)

var (
	words  = topic.New("words", format.String(), format.String())
	counts = topic.New("counts", format.String(), format.Int64())
)

// countFunction counts words, as stateful.Config does it for users.
func countFunction(t testing.TB, options runtime.Options) *runtime.Function {
	f, err := stateful.Config[string, string, int64]{
		Name: "count", Input: words, Outputs: topic.List{counts}, State: format.Int64(), Table: "word_count",
		Function: func(_ context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
			n++
			return n, topic.Records{counts.Record(word.Key, n)}, nil
		},
		Options: options,
	}.Compile()
	require.NoError(t, err)
	return f
}

// errCrashed is what a crashed process gets from everything it calls. It is not one that passes: nothing is tried again.
var errCrashed = errors.New("crashed")

// rig is a log and a store, both in memory, on which engines count words in virtual time.
type rig struct {
	t     *testing.T
	log   *memory.Log
	store *memory.Store
	// partitions is how many the input has.
	partitions int32
	in         map[string]int
	seen       *observed
}

// inRig runs a test in a bubble of virtual time, which also ends only when no goroutine is left.
func inRig(t *testing.T, partitions int32, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, log: memory.NewLog(), store: memory.NewStore(), partitions: partitions, in: map[string]int{}, seen: &observed{}}
		r.create()
		require.NoError(t, r.store.Migrate(t.Context(), []runtime.StateTable{{Name: "word_count", Key: format.Text, State: format.Text}}))
		test(r)
	})
}

func (r *rig) create() {
	require.NoError(r.t, r.log.Create(r.t.Context(), []runtime.NewTopic{{Name: "words", Partitions: r.partitions}, {Name: "counts", Partitions: 2}}))
}

// put appends words, each to its partition.
func (r *rig) put(words ...string) {
	for _, word := range words {
		r.putAt(topic.Murmur2([]byte(word), r.partitions), word)
	}
}

func (r *rig) putAt(partition int32, word string) {
	r.in[word]++
	r.append(partition, runtime.Output{Key: []byte(word), Value: []byte(word), Timestamp: time.Now().UnixMilli()})
}

func (r *rig) append(partition int32, record runtime.Output) {
	_, err := r.log.Append("words", partition, record)
	require.NoError(r.t, err)
}

// putMany appends n words of so many different ones.
func (r *rig) putMany(n, different int) {
	for i := range n {
		r.put("w" + strconv.Itoa(i*i%different))
	}
}

// running is an engine that runs.
type running struct {
	*runtime.Engine
	cancel context.CancelFunc
	done   chan error
}

// start runs functions on the rig's log and store, or on what stands in for them.
func (r *rig) start(log runtime.Log, store runtime.Store, functions ...*runtime.Function) *running {
	ctx, cancel := context.WithCancel(r.t.Context())
	e := &running{
		Engine: runtime.New(runtime.Config{Functions: functions, Log: log, Store: store, Observer: r.seen}),
		cancel: cancel, done: make(chan error, 1),
	}
	go func() { e.done <- e.Run(ctx) }()
	return e
}

// count runs the word count.
func (r *rig) count(options runtime.Options) *running {
	return r.start(r.log, r.store, countFunction(r.t, options))
}

// stop ends an engine that must not have failed.
func (r *rig) stop(e *running) {
	e.cancel()
	require.NoError(r.t, <-e.done)
}

// failure waits for an engine to fail.
func (r *rig) failure(e *running) error {
	defer e.cancel()
	select {
	case err := <-e.done:
		require.Error(r.t, err)
		return err
	case <-time.After(time.Hour):
		require.Fail(r.t, "the engine goes on")
		return nil
	}
}

// await waits until something is so.
func (r *rig) await(what string, so func() bool) {
	r.t.Helper()
	for range 100_000 {
		synctest.Wait()
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	require.Fail(r.t, "waited in vain", what)
}

func (r *rig) total() (n int) {
	for _, c := range r.in {
		n += c
	}
	return n
}

// outputs returns the values of all counts by key, in their order.
func (r *rig) outputs() map[string][]string {
	counts := map[string][]string{}
	for p := range int32(2) {
		for _, record := range r.log.Records("counts", p) {
			counts[string(record.Key)] = append(counts[string(record.Key)], string(record.Value))
		}
	}
	return counts
}

func (r *rig) outputCount() (n int) {
	return len(r.log.Records("counts", 0)) + len(r.log.Records("counts", 1))
}

// awaitAll waits until all that was put is counted, and then that nothing more comes.
func (r *rig) awaitAll() {
	r.t.Helper()
	r.await("all outputs", func() bool { return r.outputCount() >= r.total() })
	time.Sleep(10 * time.Second)
	synctest.Wait()
	r.check()
}

// check holds states and outputs against what was put: once each, in order.
func (r *rig) check() {
	r.t.Helper()
	outputs := map[string][]string{}
	states := map[string]string{}
	for word, n := range r.in {
		for i := range n {
			outputs[word] = append(outputs[word], strconv.Itoa(i+1))
		}
		states[word] = strconv.Itoa(n)
	}
	require.Equal(r.t, outputs, r.outputs())
	require.Equal(r.t, states, r.states())
}

func (r *rig) states() map[string]string {
	states := map[string]string{}
	for key, state := range r.store.Rows("word_count") {
		states[key] = string(state)
	}
	return states
}

// checkpoint returns the row of an input partition.
func (r *rig) checkpoint(partition int32) runtime.Checkpoint {
	rows, err := r.store.Checkpoints(r.t.Context(), "count")
	require.NoError(r.t, err)
	for _, row := range rows {
		if row.Partition == partition {
			return row
		}
	}
	return runtime.Checkpoint{Next: -1}
}

func (r *rig) pending() (n int) {
	for p := range r.partitions {
		for _, slot := range r.checkpoint(p).Pending {
			if len(slot) > 0 {
				n++
			}
		}
	}
	return n
}

// observed counts what an Observer hears.
type observed struct {
	mutex   sync.Mutex
	events  [runtime.EventCount]int
	batches []runtime.BatchStats
}

func (o *observed) BatchDone(_ string, _ runtime.TopicPartition, batch runtime.BatchStats) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.batches = append(o.batches, batch)
}

func (o *observed) Happened(_ string, _ runtime.TopicPartition, event runtime.Event, n int) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.events[event] += n
}

func (o *observed) count(event runtime.Event) int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.events[event]
}

// faultyLog is a log whose answers a test changes. A nil hook changes nothing.
type faultyLog struct {
	runtime.Log
	send      func(ctx context.Context, identity runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error)
	committed func(ctx context.Context, group string, partition runtime.TopicPartition) (int64, error)
	join      func(ctx context.Context, group runtime.Group, own func(context.Context, runtime.Held) error) error
	bounds    func(ctx context.Context, partition runtime.TopicPartition) (start, end int64, err error)
	batches   func(ctx context.Context, from runtime.Position, visit func(runtime.BatchHeader) bool) error
}

func (l *faultyLog) Bounds(ctx context.Context, partition runtime.TopicPartition) (start, end int64, err error) {
	if l.bounds != nil {
		return l.bounds(ctx, partition)
	}
	return l.Log.Bounds(ctx, partition)
}

func (l *faultyLog) Batches(ctx context.Context, from runtime.Position, visit func(runtime.BatchHeader) bool) error {
	if l.batches != nil {
		return l.batches(ctx, from, visit)
	}
	return l.Log.Batches(ctx, from, visit)
}

func (l *faultyLog) Send(ctx context.Context, identity runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	if l.send != nil {
		return l.send(ctx, identity, batches)
	}
	return l.Log.Send(ctx, identity, batches)
}

func (l *faultyLog) Committed(ctx context.Context, group string, partition runtime.TopicPartition) (int64, error) {
	if l.committed != nil {
		return l.committed(ctx, group, partition)
	}
	return l.Log.Committed(ctx, group, partition)
}

func (l *faultyLog) Join(ctx context.Context, group runtime.Group, own func(context.Context, runtime.Held) error) error {
	if l.join != nil {
		return l.join(ctx, group, own)
	}
	return l.Log.Join(ctx, group, own)
}

// faultyStore is a store whose answers a test changes.
type faultyStore struct {
	runtime.Store
	claim  func(ctx context.Context, key runtime.CheckpointKey) (runtime.Checkpoint, error)
	commit func(ctx context.Context, commit *runtime.Commit) error
}

func (s *faultyStore) Claim(ctx context.Context, key runtime.CheckpointKey) (runtime.Checkpoint, error) {
	if s.claim != nil {
		return s.claim(ctx, key)
	}
	return s.Store.Claim(ctx, key)
}

func (s *faultyStore) Commit(ctx context.Context, commit *runtime.Commit) error {
	if s.commit != nil {
		return s.commit(ctx, commit)
	}
	return s.Store.Commit(ctx, commit)
}

// gate stops whoever passes it first, whatever becomes of its context, until it is opened: a paused process.
type gate struct {
	armed   bool
	mutex   sync.Mutex
	reached chan struct{}
	opened  chan struct{}
}

func newGate() *gate {
	return &gate{armed: true, reached: make(chan struct{}), opened: make(chan struct{})}
}

func (g *gate) arm() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.armed = true
}

func (g *gate) pass() {
	g.mutex.Lock()
	first := g.armed
	g.armed = false
	g.mutex.Unlock()
	if first {
		close(g.reached)
		<-g.opened
	}
}
