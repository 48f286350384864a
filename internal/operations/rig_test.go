package operations_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/internal/operations"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/topic"
)

// sum is a function that adds numbers up by key. Negative ones are refused for as long as it is strict.
type sum struct {
	in, out *topic.Topic[string, int64]
	strict  atomic.Bool
	name    string
	options stateful.Options
	// pause is how long the function takes for one message.
	pause time.Duration
}

func newSum(name string) *sum {
	s := &sum{name: name, in: topic.New(name+"-in", format.String(), format.Int64()), out: topic.New(name+"-out", format.String(), format.Int64())}
	s.strict.Store(true)
	return s
}

func (s *sum) function(t testing.TB) *runtime.Function {
	t.Helper()
	f, err := s.compile()
	require.NoError(t, err)
	return f
}

func (s *sum) compile() (*runtime.Function, error) {
	config := stateful.Config[string, int64, int64]{
		Name: s.name, Input: s.in, Outputs: topic.List{s.out}, State: format.Int64(), Table: "sums", Options: s.options,
		Function: func(_ context.Context, m topic.Message[string, int64], total int64) (int64, topic.Records, error) {
			time.Sleep(s.pause)
			if m.Value < 0 && s.strict.Load() {
				return total, nil, runtime.Permanent(fmt.Errorf("%d is negative", m.Value))
			}
			return total + m.Value, topic.Records{s.out.Record(m.Key, total+m.Value)}, nil
		},
	}
	return config.Compile()
}

// rig is a log and a store in memory with one function.
type rig struct {
	t     *testing.T
	log   *memory.Log
	store *memory.Store
	sum   *sum
	f     *runtime.Function
	operations.Operator
}

const partitions = 2

func newRig(t *testing.T) *rig {
	r := &rig{t: t, log: memory.NewLog(), store: memory.NewStore(), sum: newSum("sum")}
	r.f = r.sum.function(t)
	r.Operator = operations.Operator{Log: r.log, Store: r.store, Logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, r.log.Create(t.Context(), []runtime.NewTopic{{Name: "sum-in", Partitions: partitions}, {Name: "sum-out", Partitions: partitions}}))
	require.NoError(t, r.store.Migrate(t.Context(), []runtime.StateTable{r.f.State.Table}))
	return r
}

// origin is the timestamp of the first message; each further one is a second later.
var origin = time.UnixMilli(1_700_000_000_000)

// put appends numbers to a partition of the input, all with the key that the partition has in these tests.
func (r *rig) put(partition int32, values ...string) {
	for i, value := range values {
		_, err := r.log.Append("sum-in", partition, runtime.Output{
			Key: []byte(key(partition)), Value: []byte(value), Timestamp: origin.Add(time.Duration(i) * time.Second).UnixMilli(),
		})
		require.NoError(r.t, err)
	}
}

func key(partition int32) string { return "key" + strconv.Itoa(int(partition)) }

// start runs the function until stop is called.
func (r *rig) start() (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	engine := runtime.New(runtime.Config{Functions: []*runtime.Function{r.f}, Log: r.log, Store: r.store})
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(r.t, <-ended)
	}
}

// run runs the function until nothing waits any more.
func (r *rig) run() {
	r.t.Helper()
	stop := r.start()
	r.awaitNoLag()
	stop()
}

func (r *rig) awaitNoLag() {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		positions, err := r.Positions(r.t.Context(), r.f)
		for _, p := range positions {
			if p.Lag > 0 {
				return false
			}
		}
		return err == nil
	}, time.Minute, 5*time.Millisecond)
}

func (r *rig) outputs() (all []string) {
	for p := range int32(partitions) {
		for _, record := range r.log.Records("sum-out", p) {
			all = append(all, string(record.Key)+"="+string(record.Value))
		}
	}
	return all
}

// letters are the values of the dead letters that a selection means.
func (r *rig) letters(selection operations.Selection) (values []string) {
	r.t.Helper()
	_, err := r.Letters(r.t.Context(), r.f, selection, func(l *operations.Letter) error {
		values = append(values, string(l.Raw.Value))
		return nil
	})
	require.NoError(r.t, err)
	return values
}

func (r *rig) redo(selection operations.Selection, decision runtime.Decision) operations.Redone {
	r.t.Helper()
	plan, err := r.PlanRedo(r.t.Context(), r.f, selection, decision)
	require.NoError(r.t, err)
	done, err := r.Redo(r.t.Context(), plan)
	require.NoError(r.t, err)
	return done
}

var errStop = errors.New("enough")

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(childMain())
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// appended is a function's Apply that notes the values it was given.
func appended(values *[]string) func(context.Context, *runtime.Input, any) (topic.Records, error) {
	return func(_ context.Context, in *runtime.Input, _ any) (topic.Records, error) {
		*values = append(*values, string(in.Value))
		return nil, nil
	}
}
