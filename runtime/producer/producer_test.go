package producer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/runtime/producer"
	"github.com/kappaflows/flows/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var lines = &topic.Spec{Name: "lines", KeyFormat: "string", KeyKind: format.Text, ValueFormat: "string", ValueKind: format.Text}

const partitions = 4

// faulty is a log whose Send a test can make fail.
type faulty struct {
	*memory.Log
	before, after func(call int) error

	mu    sync.Mutex
	calls int
}

func (f *faulty) Send(ctx context.Context, identity runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	f.mu.Lock()
	f.calls++
	call := f.calls
	f.mu.Unlock()
	if f.before != nil {
		if err := f.before(call); err != nil {
			return nil, err
		}
	}
	acks, err := f.Log.Send(ctx, identity, batches)
	if f.after != nil && err == nil {
		err = f.after(call)
	}
	return acks, err
}

func newLog(t *testing.T) *memory.Log {
	t.Helper()
	log := memory.NewLog()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: lines.Name, Partitions: partitions}}))
	return log
}

func newProducer(t *testing.T, log runtime.Log, change ...func(*producer.Config)) *producer.Producer {
	t.Helper()
	config := producer.Config{Log: log, Clock: hasty{}}
	for _, c := range change {
		c(&config)
	}
	p, err := producer.New(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// hasty is a clock on which no pause takes time.
type hasty struct{}

func (hasty) Now() time.Time { return time.Now() }

func (hasty) AfterFunc(time.Duration, func()) func() { return func() {} }

func (hasty) After(time.Duration) (<-chan time.Time, func()) {
	c := make(chan time.Time)
	close(c)
	return c, func() {}
}

func TestEachKeyStaysInOrderOnItsPartition(t *testing.T) {
	log := newLog(t)
	p := newProducer(t, log, func(c *producer.Config) { c.BatchBytes = 1000 })
	const keys, each = 20, 200
	for i := range each {
		for k := range keys {
			key := fmt.Appendf(nil, "key-%d", k)
			require.NoError(t, p.Send(t.Context(), lines, runtime.Output{Key: key, Value: fmt.Appendf(nil, "%d", i)}))
		}
	}
	require.NoError(t, p.Flush(t.Context()))
	require.EqualValues(t, keys*each, p.Sent())

	seen := map[string]int{}
	for partition := range int32(partitions) {
		for _, record := range log.Records(lines.Name, partition) {
			require.Equal(t, topic.Murmur2(record.Key, partitions), partition)
			require.Equal(t, fmt.Sprint(seen[string(record.Key)]), string(record.Value))
			require.False(t, record.Timestamp.IsZero())
			seen[string(record.Key)]++
		}
	}
	require.Len(t, seen, keys)
}

func TestRecordsWithoutKeySpread(t *testing.T) {
	log := newLog(t)
	p := newProducer(t, log, func(c *producer.Config) { c.BatchBytes = 500 })
	for range 1000 {
		require.NoError(t, p.Send(t.Context(), lines, runtime.Output{Value: []byte("a line of text")}))
	}
	require.NoError(t, p.Flush(t.Context()))
	total := 0
	for partition := range int32(partitions) {
		records := log.Records(lines.Name, partition)
		require.NotEmpty(t, records, "partition %d", partition)
		for _, r := range records {
			require.Nil(t, r.Key)
		}
		total += len(records)
	}
	require.Equal(t, 1000, total)
}

func TestABatchWithoutAnswerIsAppendedOnce(t *testing.T) {
	log := &faulty{Log: newLog(t)}
	log.after = func(call int) error {
		if call%2 == 1 {
			return fmt.Errorf("the connection broke: %w", runtime.ErrUnavailable)
		}
		return nil
	}
	p := newProducer(t, log)
	for i := range 100 {
		require.NoError(t, p.Send(t.Context(), lines, runtime.Output{Key: []byte("k"), Value: fmt.Append(nil, i)}))
		if i%10 == 0 {
			require.NoError(t, p.Flush(t.Context()))
		}
	}
	require.NoError(t, p.Flush(t.Context()))
	records := log.Records(lines.Name, topic.Murmur2([]byte("k"), partitions))
	require.Len(t, records, 100)
	for i, r := range records {
		require.Equal(t, fmt.Sprint(i), string(r.Value))
	}
}

func TestGivesUpOnALogThatStaysAway(t *testing.T) {
	log := &faulty{Log: newLog(t)}
	log.before = func(int) error { return fmt.Errorf("no broker: %w", runtime.ErrUnavailable) }
	p := newProducer(t, log, func(c *producer.Config) { c.Timeout = time.Nanosecond })
	require.NoError(t, p.Send(t.Context(), lines, runtime.Output{Value: []byte("x")}))
	require.ErrorContains(t, p.Flush(t.Context()), "given up after 1ns: cannot append to lines: no broker")
	require.ErrorIs(t, p.Send(t.Context(), lines, runtime.Output{Value: []byte("x")}), runtime.ErrUnavailable)
	require.Zero(t, p.Sent())
}

func TestAFinalErrorStopsEverything(t *testing.T) {
	log := &faulty{Log: newLog(t)}
	log.before = func(int) error { return errors.New("not allowed") }
	p := newProducer(t, log)
	require.NoError(t, p.Send(t.Context(), lines, runtime.Output{Value: []byte("x")}))
	require.EqualError(t, p.Flush(t.Context()), "cannot append to lines: not allowed")
	require.EqualError(t, p.Send(t.Context(), lines, runtime.Output{Value: []byte("x")}), "cannot append to lines: not allowed")
}

func TestARecordTooLargeIsRefusedAndTheRestGoesOn(t *testing.T) {
	log := newLog(t)
	log.SetMaxMessageBytes(lines.Name, 1000)
	p := newProducer(t, log)
	err := p.Send(t.Context(), lines, runtime.Output{Value: make([]byte, 1000)})
	require.ErrorIs(t, err, runtime.ErrTooLarge)
	require.ErrorContains(t, err, "topic lines")
	require.NoError(t, p.Send(t.Context(), lines, runtime.Output{Value: make([]byte, 800)}))
	require.NoError(t, p.Flush(t.Context()))
	require.EqualValues(t, 1, p.Sent())
}

func TestAnUnknownTopicIsNamed(t *testing.T) {
	p := newProducer(t, memory.NewLog())
	err := p.Send(t.Context(), lines, runtime.Output{})
	require.ErrorIs(t, err, runtime.ErrUnknownTopic)
	require.ErrorContains(t, err, "topic lines")
}

func TestWaitingForRoomEndsWithTheContext(t *testing.T) {
	log := &faulty{Log: newLog(t)}
	release := make(chan struct{})
	log.before = func(int) error { <-release; return nil }
	p := newProducer(t, log, func(c *producer.Config) { c.BatchBytes = 10 })
	require.NoError(t, p.Send(t.Context(), lines, runtime.Output{Key: []byte("k"), Value: []byte("first")}))
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() {
		for {
			if err := p.Send(ctx, lines, runtime.Output{Key: []byte("k"), Value: []byte("value")}); err != nil {
				sent <- err
				return
			}
		}
	}()
	cancel()
	require.ErrorIs(t, <-sent, context.Canceled)
	require.ErrorIs(t, p.Flush(ctx), context.Canceled)
	close(release)
	require.NoError(t, p.Flush(t.Context()))
}

func TestAClosedProducerSaysSo(t *testing.T) {
	p := newProducer(t, newLog(t))
	p.Close()
	require.ErrorIs(t, p.Send(t.Context(), lines, runtime.Output{}), producer.ErrClosed)
	require.ErrorIs(t, p.Flush(t.Context()), producer.ErrClosed)
}

func TestManySendersLoseNothing(t *testing.T) {
	log := newLog(t)
	p := newProducer(t, log, func(c *producer.Config) { c.BatchBytes = 300 })
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 500 {
				err := p.Send(t.Context(), lines, runtime.Output{Key: fmt.Append(nil, g, "-", i), Value: []byte("v")})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.NoError(t, p.Flush(t.Context()))
	require.EqualValues(t, 4000, p.Sent())
	total := 0
	for partition := range int32(partitions) {
		total += len(log.Records(lines.Name, partition))
	}
	require.Equal(t, 4000, total)
}

func TestSequencesWrap(t *testing.T) {
	require.EqualValues(t, 0, producer.After(math.MaxInt32, 1))
	require.EqualValues(t, 4, producer.After(math.MaxInt32-5, 10))
	require.EqualValues(t, 10, producer.After(0, 10))
}

func BenchmarkSend(b *testing.B) {
	log := memory.NewLog()
	require.NoError(b, log.Create(b.Context(), []runtime.NewTopic{{Name: lines.Name, Partitions: partitions}}))
	p, err := producer.New(b.Context(), producer.Config{Log: log})
	require.NoError(b, err)
	defer p.Close()
	value := make([]byte, 60)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Send(b.Context(), lines, runtime.Output{Value: value}); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, p.Flush(b.Context()))
}
