package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

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

// process stands between an engine and its ports. After a crash nothing of the engine has an effect any more, however
// far it was.
type process struct {
	runtime.Log
	runtime.Store
	mutex   sync.Mutex
	random  *rand.Rand
	calls   int
	crashed chan struct{}
	once    sync.Once
}

func newProcess(log runtime.Log, store runtime.Store, seed uint64, calls int) *process {
	return &process{Log: log, Store: store, random: rand.New(rand.NewPCG(seed, 1)), calls: calls, crashed: make(chan struct{})}
}

// step counts down to the crash. The call at which it crashes may or may not have its effect.
func (p *process) step() (effect, answer bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.calls--
	switch {
	case p.calls > 0:
		return true, true
	case p.calls == 0:
		p.once.Do(func() { close(p.crashed) })
		return p.random.IntN(2) == 0, false
	default:
		return false, false
	}
}

func (p *process) Send(ctx context.Context, identity runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	effect, answer := p.step()
	if !effect {
		return nil, errCrashed
	}
	if !answer {
		// Some of the partitions may get their batch and others not.
		batches = batches[:p.random.IntN(len(batches)+1)]
	}
	acks, err := p.Log.Send(ctx, identity, batches)
	if !answer {
		return nil, errCrashed
	}
	return acks, err
}

func (p *process) Claim(ctx context.Context, key runtime.CheckpointKey) (runtime.Checkpoint, error) {
	effect, answer := p.step()
	if !effect {
		return runtime.Checkpoint{}, errCrashed
	}
	cp, err := p.Store.Claim(ctx, key)
	if !answer {
		return runtime.Checkpoint{}, errCrashed
	}
	return cp, err
}

func (p *process) Commit(ctx context.Context, commit *runtime.Commit) error {
	effect, answer := p.step()
	if !effect {
		return errCrashed
	}
	err := p.Store.Commit(ctx, commit)
	if !answer {
		return errCrashed
	}
	return err
}

func (p *process) Ping(ctx context.Context) error { return p.Store.Ping(ctx) }
func (p *process) Close() error                   { return nil }

// world is a log and a store with word counts to be made.
type world struct {
	log   *memory.Log
	store *memory.Store
	in    map[string]int
}

func newWorld(t *testing.T, random *rand.Rand, messages int) *world {
	w := &world{log: memory.NewLog(), store: memory.NewStore(), in: map[string]int{}}
	ctx := t.Context()
	require.NoError(t, w.log.Create(ctx, []runtime.NewTopic{{Name: "words", Partitions: 3}, {Name: "counts", Partitions: 2}}))
	require.NoError(t, w.store.Migrate(ctx, []runtime.StateTable{{Name: "word_count", Key: format.Text, State: format.Text}}))
	for range messages {
		word := "w" + strconv.Itoa(int(random.ExpFloat64()*5))
		w.in[word]++
		key := []byte(word)
		_, err := w.log.Append("words", topic.Murmur2(key, 3), runtime.Output{Key: key, Value: key, Timestamp: 1})
		require.NoError(t, err)
	}
	return w
}

// live runs an engine until the process crashes or everything is counted.
func (w *world) live(t *testing.T, p *process) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := runtime.New(runtime.Config{
		Functions: []*runtime.Function{countFunction(t, runtime.Options{BatchMessages: 7})}, Log: p, Store: p,
	})
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	for {
		select {
		case err := <-done:
			require.ErrorIs(t, err, errCrashed)
			return
		case <-p.crashed:
			cancel()
			<-done
			return
		case <-time.After(time.Millisecond):
			if w.outputs(t) >= w.total() {
				cancel()
				if err := <-done; err != nil {
					// It may crash while it drains, too.
					require.ErrorIs(t, err, errCrashed)
				}
				return
			}
		}
	}
}

func (w *world) total() (n int) {
	for _, c := range w.in {
		n += c
	}
	return n
}

func (w *world) outputs(t *testing.T) (n int) {
	for p := range int32(2) {
		n += len(w.log.Records("counts", p))
	}
	return n
}

// check holds states and outputs against what was put in.
func (w *world) check(t *testing.T) {
	seen := map[string]int{}
	for p := range int32(2) {
		for _, r := range w.log.Records("counts", p) {
			seen[string(r.Key)]++
			require.Equal(t, strconv.Itoa(seen[string(r.Key)]), string(r.Value), "key %s: lost, doubled or out of order", r.Key)
		}
	}
	require.Equal(t, w.in, seen)
	stored := map[string]int{}
	for key, state := range w.store.Rows("word_count") {
		n, err := strconv.Atoi(string(state))
		require.NoError(t, err)
		stored[key] = n
	}
	require.Equal(t, w.in, stored)
}

func TestCrashesLoseAndDoubleNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	for seed := range uint64(150) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			w := newWorld(t, random, 200)
			for range 200 {
				if random.IntN(4) == 0 {
					// A broker that restarts remembers only the last batch of each identity.
					w.log.Restart()
				}
				calls := 4 + random.IntN(60)
				w.live(t, newProcess(w.log, w.store, seed, calls))
				if w.outputs(t) >= w.total() {
					break
				}
			}
			// What is still pending is sent again, harmlessly.
			w.live(t, newProcess(w.log, w.store, seed, 1<<30))
			w.check(t)
		})
	}
}
