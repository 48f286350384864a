package memory_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/logtest"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

func TestLog(t *testing.T) {
	logtest.Run(t, logtest.Driver{Open: func(*testing.T) runtime.Log { return memory.NewLog() }})
}

func TestForgetting(t *testing.T) {
	log := memory.NewLog()
	logtest.RunForgetting(t, logtest.Driver{Open: func(*testing.T) runtime.Log { return log }}, logtest.Broker{
		Restart: log.Restart,
		Delete: func(_ context.Context, p runtime.TopicPartition, before int64) error {
			return log.Truncate(p.Topic, p.Partition, before)
		},
	})
}

// A group that gives up on one client's member goes on with the others.
func TestEvictedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory.NewLog()
		require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: "a", Partitions: 2}}))
		ctx, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		var owners [2]atomic.Int32
		paces := 0
		join := func(name string, number int) {
			client := &memory.Client{Log: log, Name: name}
			if number == 0 {
				client.Pace = func() { paces++ }
			}
			group.Go(func() {
				err := client.Join(ctx, runtime.Group{Name: "g", Topics: []string{"a"}}, func(ctx context.Context, _ runtime.Held) error {
					owners[number].Add(1)
					defer owners[number].Add(-1)
					<-ctx.Done()
					return nil
				})
				require.NoError(t, err)
			})
		}
		own := func() [2]int32 {
			synctest.Wait()
			return [2]int32{owners[0].Load(), owners[1].Load()}
		}
		join("one", 0)
		require.Equal(t, [2]int32{2, 0}, own())
		require.Positive(t, paces)
		join("two", 1)
		require.Equal(t, [2]int32{1, 1}, own())
		tell := log.Evict("g", "one")
		require.Equal(t, [2]int32{1, 2}, own(), "nobody has told it")
		tell()
		require.Equal(t, [2]int32{1, 1}, own(), "it has joined again")
		leave()
		group.Wait()
	})
}

// TestLogForgets shows what tests can make the log do that a broker does by itself.
func TestLogForgets(t *testing.T) {
	ctx, log := t.Context(), memory.NewLog()
	require.NoError(t, log.Create(ctx, []runtime.NewTopic{{Name: "a", Partitions: 1}}))
	p := runtime.TopicPartition{Topic: "a"}
	send := func(sequence int32) error {
		acks, err := log.Send(ctx, runtime.Identity{ProducerID: 7}, []runtime.RecordBatch{
			{TopicPartition: p, Sequence: sequence, Records: runtime.Encode(runtime.Output{Value: []byte{byte(sequence)}})},
		})
		require.NoError(t, err)
		return acks[0].Err
	}
	for i := range int32(5) {
		require.NoError(t, send(i))
	}
	require.NoError(t, send(3))
	log.Restart()
	require.ErrorIs(t, send(3), runtime.ErrOutOfOrder)
	require.NoError(t, send(4))
	require.Len(t, log.Records("a", 0), 5)
	require.NoError(t, log.Lose("a", 0, 3))
	require.Equal(t, []int64{0, 1, 2}, offsets(log.Records("a", 0)))
	require.ErrorIs(t, send(4), runtime.ErrOutOfOrder, "what came before it is lost")
	require.NoError(t, send(3))
	require.NoError(t, send(4))
	log.Expire()
	require.NoError(t, send(4), "an unknown identity appends again")
	require.Len(t, log.Records("a", 0), 6)

	require.NoError(t, log.Remove("a", 0, 3))
	require.NoError(t, log.Truncate("a", 0, 2))
	start, end, err := log.Bounds(ctx, p)
	require.NoError(t, err)
	require.Equal(t, [2]int64{2, 6}, [2]int64{start, end})
	require.Equal(t, []int64{2, 4, 5}, offsets(log.Records("a", 0)))

	before, err := log.Describe(ctx, "a")
	require.NoError(t, err)
	log.Grow("a", 3)
	log.SetMaxMessageBytes("a", 70)
	grown, err := log.Describe(ctx, "a")
	require.NoError(t, err)
	require.EqualValues(t, 3, grown.Partitions)
	require.Equal(t, before.ID, grown.ID)
	_, err = log.Append("a", 2, runtime.Output{Value: []byte("too large")})
	require.ErrorIs(t, err, runtime.ErrTooLarge)
	log.Delete("a")
	require.NoError(t, log.Create(ctx, []runtime.NewTopic{{Name: "a", Partitions: 1}}))
	again, err := log.Describe(ctx, "a")
	require.NoError(t, err)
	require.NotEqual(t, before.ID, again.ID)
	require.Empty(t, log.Records("a", 0))
}

func offsets(records []topic.Raw) (offsets []int64) {
	for i := range records {
		offsets = append(offsets, records[i].Offset)
	}
	return offsets
}
