package join_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

// world is an engine's surroundings.
type world struct {
	log   *memory.Log
	store *memory.Store
}

func newWorld(t *testing.T, f *runtime.Function, topics ...runtime.NewTopic) *world {
	w := &world{log: memory.NewLog(), store: memory.NewStore()}
	require.NoError(t, w.log.Create(t.Context(), topics))
	require.NoError(t, w.store.Migrate(t.Context(), []runtime.StateTable{f.State.Table}))
	return w
}

func (w *world) put(t *testing.T, name, key, value string) {
	info, err := w.log.Describe(t.Context(), name)
	require.NoError(t, err)
	output := runtime.Output{Key: []byte(key), Value: []byte(value), Timestamp: 7}
	_, err = w.log.Append(name, topic.Murmur2(output.Key, info.Partitions), output)
	require.NoError(t, err)
}

// run runs the join and its parts until done says so.
func (w *world) run(t *testing.T, f *runtime.Function, done func() bool) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := runtime.New(runtime.Config{Functions: append([]*runtime.Function{f}, f.Parts...), Log: w.log, Store: w.store})
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			require.FailNow(t, "the engine ended", "%v", err)
		case <-time.After(time.Millisecond):
			if done() {
				cancel()
				require.NoError(t, <-ended)
				return
			}
		}
	}
}

func (w *world) records(name string) (records []topic.Raw) {
	info, err := w.log.Describe(context.Background(), name)
	if err != nil {
		return nil
	}
	for p := range info.Partitions {
		records = append(records, w.log.Records(name, p)...)
	}
	return records
}

// Sides of other keys and other numbers of partitions come together; what is bad is a dead letter of its side.
func TestJoinRuns(t *testing.T) {
	defer goleak.VerifyNone(t)
	f := compile(t, config())
	w := newWorld(t, f, runtime.NewTopic{Name: "orders", Partitions: 2}, runtime.NewTopic{Name: "payments", Partitions: 5},
		runtime.NewTopic{Name: "paid", Partitions: 3})
	const n = 500
	for i := range n {
		w.put(t, "orders", fmt.Sprint("o-", i), "tea")
		w.put(t, "payments", fmt.Sprint(i), fmt.Sprintf(`{"order":"o-%d","cents":2}`, i))
		w.put(t, "payments", fmt.Sprint(n+i), fmt.Sprintf(`{"order":"o-%d","cents":3}`, i))
	}
	w.put(t, "payments", "seven", "{}")
	w.put(t, "orders", "a\x00b", "tea")
	w.run(t, f, func() bool {
		return len(w.records("paid")) == 3*n && len(w.records("pay.payments.dead-letter"))+len(w.records("pay.orders.dead-letter")) == 2
	})
	info, err := w.log.Describe(t.Context(), "pay.intermediate")
	require.NoError(t, err)
	require.Equal(t, int32(5), info.Partitions, "as many as the widest side")
	states := w.store.Rows("pay")
	require.Len(t, states, n)
	for key, state := range states {
		require.JSONEq(t, `{"item":"tea","paid":5}`, string(state), key)
	}
	for _, r := range w.records("paid") {
		require.Equal(t, int64(7), r.Timestamp.UnixMilli(), "the timestamp goes along")
	}
	require.Equal(t, "seven", string(w.records("pay.payments.dead-letter")[0].Key))
	require.Equal(t, "a\x00b", string(w.records("pay.orders.dead-letter")[0].Key))
}

// What an older release sent for a side that is gone is kept.
func TestSideThatIsGone(t *testing.T) {
	defer goleak.VerifyNone(t)
	older := compile(t, config())
	c := config()
	c.Sides = c.Sides[:1]
	f := compile(t, c)
	w := newWorld(t, f, runtime.NewTopic{Name: "orders"}, runtime.NewTopic{Name: "payments"}, runtime.NewTopic{Name: "paid"}, runtime.NewTopic{Name: "pay.intermediate"})
	in := wrapped(t, older.Parts[1], input("7", `{"order":"o-1","cents":5}`))
	w.put(t, "pay.intermediate", string(in.Key), string(in.Value))
	w.put(t, "orders", "o-1", "tea")
	w.run(t, f, func() bool { return len(w.records("paid")) == 1 && len(w.records("pay.dead-letter")) == 1 })
	letter := w.records("pay.dead-letter")[0]
	require.Equal(t, in.Value, letter.Value)
	reason, _ := letter.Headers.Last(runtime.HeaderReason)
	require.Equal(t, `side "payments": the join has no such side; another release of the program sent the message`, string(reason))
}
