package operations_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/operations"
	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/runtime/postgres"
	"github.com/kappaflows/flows/topic"
)

// Environment of a process that a test starts and kills.
const (
	childVariable = "OPERATIONS_TEST_FUNCTION"
	brokersOf     = "OPERATIONS_TEST_BROKERS"
	databaseOf    = "OPERATIONS_TEST_DATABASE"
)

// cluster is a function on a real broker and a real database.
type cluster struct {
	t       *testing.T
	name    string
	brokers string
	url     string
	log     *kafka.Log
	f       *runtime.Function
	sum     *sum
	operations.Operator
}

const (
	realKeys     = 10
	realMessages = 2400
	patience     = 2 * time.Minute
)

func newCluster(t *testing.T) *cluster {
	r := &cluster{t: t, name: services.Name(t), brokers: services.Kafka(t), url: services.Postgres(t)}
	r.sum = newSum(r.name)
	r.f = r.sum.function(t)
	var err error
	r.log, err = kafka.Open(t.Context(), kafka.Config{Brokers: strings.Split(r.brokers, ",")})
	require.NoError(t, err)
	store, err := postgres.Open(t.Context(), postgres.Config{URL: r.url})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, store.Close())
		require.NoError(t, r.log.Close())
	})
	r.Operator = operations.Operator{Log: r.log, Store: store, Logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{r.f.State.Table}))
	require.NoError(t, r.log.Create(t.Context(), []runtime.NewTopic{
		{Name: r.name + "-in", Partitions: partitions}, {Name: r.name + "-out", Partitions: partitions},
	}))
	return r
}

// fill appends messages of which every second one is refused as long as the function is strict.
func (r *cluster) fill() {
	r.t.Helper()
	in := r.sum.in.Spec()
	batches := make([]runtime.RecordBatch, partitions)
	for p := range batches {
		batches[p].TopicPartition = runtime.TopicPartition{Topic: in.Name, Partition: int32(p)}
	}
	for i := range realMessages {
		key := []byte("key" + strconv.Itoa(i%realKeys))
		value := "3"
		if i/realKeys%2 == 1 {
			value = "-1"
		}
		b := &batches[in.Place(key, partitions, 0)]
		b.Records.Append(&runtime.Output{Key: key, Value: []byte(value), Timestamp: time.Now().UnixMilli()})
	}
	var identity runtime.Identity
	require.Eventually(r.t, func() bool {
		var err error
		identity, err = r.log.NewIdentity(r.t.Context())
		return err == nil
	}, patience, 50*time.Millisecond)
	acks, err := r.log.Send(r.t.Context(), identity, batches)
	require.NoError(r.t, err)
	for _, ack := range acks {
		require.NoError(r.t, ack.Err)
	}
}

// run runs the function until nothing waits any more.
func (r *cluster) run() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	engine := runtime.New(runtime.Config{Functions: []*runtime.Function{r.f}, Log: r.log, Store: r.Store})
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	require.Eventually(r.t, func() bool { return r.waiting() == 0 }, patience, 50*time.Millisecond)
	cancel()
	require.NoError(r.t, <-ended)
}

func (r *cluster) waiting() (lag int64) {
	positions, err := r.Positions(r.t.Context(), r.f)
	if err != nil {
		return -1
	}
	for _, p := range positions {
		lag += p.Lag
	}
	return lag
}

// letters is how many dead letters there are.
func (r *cluster) letters() int {
	r.t.Helper()
	total, err := r.Letters(r.t.Context(), r.f, operations.Selection{}, func(*operations.Letter) error { return nil })
	require.NoError(r.t, err)
	return total
}

// outputs returns the values of the outputs by key, in their order.
func (r *cluster) outputs() map[string][]int {
	r.t.Helper()
	found := map[string][]int{}
	for p := range int32(partitions) {
		at := runtime.TopicPartition{Topic: r.name + "-out", Partition: p}
		start, end, err := r.log.Bounds(r.t.Context(), at)
		require.NoError(r.t, err)
		if start == end {
			continue
		}
		reader, err := r.log.Open(r.t.Context(), runtime.Position{TopicPartition: at, Offset: start}, runtime.ReadLimits{})
		require.NoError(r.t, err)
		for next := start; next < end; {
			var messages []topic.Raw
			messages, err = reader.Read(r.t.Context(), nil, 1000)
			require.NoError(r.t, err)
			for _, m := range messages {
				n, err := strconv.Atoi(string(m.Value))
				require.NoError(r.t, err)
				found[string(m.Key)] = append(found[string(m.Key)], n)
				next = m.Offset + 1
			}
		}
		require.NoError(r.t, reader.Close())
	}
	return found
}

// child starts a process of its own that applies the function to all dead letters again.
func (r *cluster) child() *exec.Cmd {
	r.t.Helper()
	program, err := os.Executable()
	require.NoError(r.t, err)
	child := exec.CommandContext(r.t.Context(), program)
	child.Env = append(os.Environ(), childVariable+"="+r.name, brokersOf+"="+r.brokers, databaseOf+"="+r.url)
	child.Stderr = os.Stderr
	require.NoError(r.t, child.Start())
	return child
}

// childMain is the main function of that process.
func childMain() int {
	if err := redoAll(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "redo:", err)
		return 1
	}
	return 0
}

func redoAll(ctx context.Context) error {
	log, err := kafka.Open(ctx, kafka.Config{Brokers: strings.Split(os.Getenv(brokersOf), ",")})
	if err != nil {
		return err
	}
	store, err := postgres.Open(ctx, postgres.Config{URL: os.Getenv(databaseOf)})
	if err != nil {
		return err
	}
	s := newSum(os.Getenv(childVariable))
	s.strict.Store(false)
	s.pause, s.options.BatchMessages = time.Millisecond, 20
	f, err := s.compile()
	if err != nil {
		return err
	}
	o := operations.Operator{Log: log, Store: store, Logger: slog.New(slog.DiscardHandler)}
	plan, err := o.PlanRedo(ctx, f, operations.Selection{}, runtime.Retry)
	if err == nil {
		_, err = o.Redo(ctx, plan)
	}
	return err
}

// Dead letters are applied again exactly once, however often the process that does it is killed.
func TestRetryIsExactlyOnceUnderKills(t *testing.T) {
	r := newCluster(t)
	r.fill()
	r.run()
	left := r.letters()
	require.Equal(t, realMessages/2, left)

	const kills = 3
	for range kills {
		child := r.child()
		require.Eventually(t, func() bool { return r.letters() < left-realMessages/20 }, patience, 20*time.Millisecond)
		require.NoError(t, child.Process.Kill())
		require.Error(t, child.Wait())
		left = r.letters()
	}
	require.Positive(t, left, "all was done before the last kill: nothing is shown")
	require.NoError(t, r.child().Wait())
	require.Zero(t, r.letters())

	total := 0
	for key, values := range r.outputs() {
		before := 0
		for i, value := range values {
			require.Contains(t, []int{before - 1, before + 3}, value, "%s, output %d of %v", key, i, values)
			before = value
		}
		state, err := r.State(t.Context(), r.f, key)
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(before), state.State)
		require.Equal(t, (3-1)*realMessages/realKeys/2, before)
		total += len(values)
	}
	require.Equal(t, realMessages, total)
}

func TestResetOnRealServices(t *testing.T) {
	r := newCluster(t)
	r.sum.strict.Store(false)
	r.fill()
	r.run()
	plan, err := r.PlanReset(t.Context(), r.f, operations.Target{})
	require.NoError(t, err)
	require.Len(t, plan.Moves, partitions)
	require.NoError(t, r.Reset(t.Context(), plan))
	none := 0
	require.NoError(t, r.States(t.Context(), r.f, "", 0, func(operations.State) error { none++; return nil }))
	require.Zero(t, none)
	require.Equal(t, int64(realMessages), r.waiting())
	r.run()
	outputs := r.outputs()
	for key, values := range outputs {
		require.Equal(t, values[:len(values)/2], values[len(values)/2:], key)
	}
	require.Len(t, outputs, realKeys)

	// Half of one partition, on top of the states.
	plan, err = r.PlanReset(t.Context(), r.f, operations.Target{Offsets: map[runtime.TopicPartition]int64{plan.Moves[0].TopicPartition: plan.Moves[0].From / 2}, KeepState: true})
	require.NoError(t, err)
	require.NoError(t, r.Reset(t.Context(), plan))
	require.Equal(t, plan.Moves[0].From-plan.Moves[0].To, r.waiting())
	r.run()
}
