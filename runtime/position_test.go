package runtime_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

// dropping is a function without its outputs.
func dropping(apply func(context.Context, *runtime.Input, any) (topic.Records, error)) func(context.Context, *runtime.Input, any) (topic.Records, error) {
	return func(ctx context.Context, in *runtime.Input, state any) (topic.Records, error) {
		_, err := apply(ctx, in, state)
		return nil, err
	}
}

func TestRecreatedTopic(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(10, 4)
		r.stopAfterAll(r.count(runtime.Options{}))
		r.log.Delete("words")
		r.create()
		err := r.failure(r.count(runtime.Options{}))
		require.ErrorIs(t, err, runtime.ErrTopicRecreated)
		require.ErrorContains(t, err, "reset function count")
	})
}

func TestShortenedTopic(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		info, err := r.log.Describe(t.Context(), "words")
		require.NoError(t, err)
		key := runtime.CheckpointKey{Function: "count", TopicPartition: runtime.TopicPartition{Topic: "words"}}
		at, err := r.store.Claim(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, r.store.Commit(t.Context(), &runtime.Commit{
			CheckpointKey: key, Epoch: at.Epoch, From: at.Next, Next: 7, TopicID: info.ID, Identity: runtime.Identity{ProducerID: -1},
		}))
		require.ErrorContains(t, r.failure(r.count(runtime.Options{})), "the log lost messages")
	})
}

func TestDeletedMessages(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(10, 4)
		r.stopAfterAll(r.count(runtime.Options{}))
		r.putMany(10, 4)
		require.NoError(t, r.log.Truncate("words", 0, 15))
		err := r.failure(r.count(runtime.Options{}))
		var deleted *runtime.DeletedError
		require.ErrorAs(t, err, &deleted)
		require.ErrorIs(t, err, runtime.ErrDeleted)
		require.Equal(t, int64(10), deleted.Offset)
		require.Equal(t, int64(15), deleted.Start)
		require.ErrorContains(t, err, "5 offsets")
		e := r.count(runtime.Options{SkipDeleted: true})
		r.await("the rest", func() bool { return r.outputCount() == 15 })
		r.stop(e)
		require.Equal(t, int64(20), r.checkpoint(0).Next)
	})
}

// TestDeletedWhileReading: retention overtakes a function that is slow.
func TestDeletedWhileReading(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(2, 4)
		f := countFunction(t, runtime.Options{SkipDeleted: true, BatchMessages: 1})
		g := newGate()
		apply := f.Apply
		f.Apply = func(ctx context.Context, in *runtime.Input, state any) (topic.Records, error) {
			g.pass()
			return apply(ctx, in, state)
		}
		e := r.start(r.log, r.store, f)
		<-g.reached
		r.putMany(10, 4)
		require.NoError(t, r.log.Truncate("words", 0, 6))
		close(g.opened)
		r.await("the rest", func() bool { return r.checkpoint(0).Next == 12 })
		require.Equal(t, 7, r.outputCount())
		r.stop(e)
	})
}

func TestNewestIsWrittenDown(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(10, 4)
		e := r.count(runtime.Options{Start: runtime.Newest})
		r.await("the claim", func() bool { return r.checkpoint(0).Next == 10 })
		r.stop(e)
		clear(r.in)
		r.putMany(10, 4)
		r.stopAfterAll(r.count(runtime.Options{Start: runtime.Newest}))
	})
}

func TestGapsInOffsets(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(20, 1)
		require.NoError(t, r.log.Remove("words", 0, 0, 1, 5, 6, 7, 12, 19))
		r.in["w0"] -= 7
		for range 4 {
			r.crash(1, 1)
		}
		r.stopAfterAll(r.count(runtime.Options{BatchMessages: 2}))
		require.Equal(t, int64(19), r.checkpoint(0).Next, "the last one applied, plus one")
	})
}

// TestAtLeastOnceNeedsNoStore: every message's output is there, after crashes too.
func TestAtLeastOnceNeedsNoStore(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		f, err := stateless.Config[string, string]{
			Name: "copy", Input: words, Outputs: topic.List{counts}, Options: runtime.Options{Delivery: runtime.AtLeastOnce, BatchMessages: 3},
			Function: func(_ context.Context, word topic.Message[string, string]) (topic.Records, error) {
				return topic.Records{counts.Record(word.Key, word.Offset)}, nil
			},
		}.Compile()
		require.NoError(t, err)
		for i := range 100 {
			r.put("w" + strconv.Itoa(i))
		}
		var mutex sync.Mutex
		sends := 0
		crashing := &faultyLog{Log: r.log, send: func(ctx context.Context, id runtime.Identity, b []runtime.RecordBatch) ([]runtime.Ack, error) {
			mutex.Lock()
			defer mutex.Unlock()
			if sends++; sends%4 == 0 {
				return nil, errCrashed
			}
			return r.log.Send(ctx, id, b)
		}}
		for range 3 {
			require.ErrorIs(t, r.failure(r.start(crashing, nil, f)), errCrashed)
		}
		e := r.start(r.log, nil, f)
		r.await("all", func() bool { return len(r.outputs()) == len(r.in) })
		time.Sleep(time.Minute)
		r.stop(e)
		for p := range r.partitions {
			_, end, err := r.log.Bounds(t.Context(), runtime.TopicPartition{Topic: "words", Partition: p})
			require.NoError(t, err)
			committed, err := r.log.Committed(t.Context(), "copy", runtime.TopicPartition{Topic: "words", Partition: p})
			require.NoError(t, err)
			require.Equal(t, end, committed)
		}
	})
}
