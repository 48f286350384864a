package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
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

// TestConflictingPartitions: two partitions have messages of the same keys. States and counts are right; the order of the
// counts is only that of each partition.
func TestConflictingPartitions(t *testing.T) {
	inRig(t, 3, func(r *rig) {
		for i := range 300 {
			r.putAt(int32(i%3), "w"+strconv.Itoa(i%5))
		}
		a := r.count(runtime.Options{BatchMessages: 4})
		b := r.count(runtime.Options{BatchMessages: 4})
		r.await("all", func() bool { return r.outputCount() >= r.total() })
		time.Sleep(10 * time.Second)
		r.stop(a)
		r.stop(b)
		for word, n := range r.in {
			require.Equal(t, strconv.Itoa(n), r.states()[word])
			seen := map[string]bool{}
			for _, count := range r.outputs()[word] {
				require.False(t, seen[count], "%s of %s twice", count, word)
				seen[count] = true
			}
			require.Len(t, seen, n)
		}
		require.Positive(t, r.seen.count(runtime.StateConflict))
	})
}

// TestAFailureWithLockedRows: the error policy holds in batches that are done with locked rows, too.
func TestAFailureWithLockedRows(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		conflicts := 1
		store := &faultyStore{Store: r.store, commit: func(ctx context.Context, c *runtime.Commit) error {
			if len(c.Writes.Keys) > 0 && conflicts > 0 {
				conflicts--
				return runtime.ErrConflict
			}
			return r.store.Commit(ctx, c)
		}}
		r.putMany(12, 4)
		r.append(0, runtime.Output{Key: []byte("a\x00b"), Value: []byte("a key that no table has")})
		f := picky(t, runtime.Options{Errors: stopping}, nil)
		err := r.failure(r.start(r.log, store, f))
		require.ErrorIs(t, err, stateful.ErrKeyNUL)
		require.ErrorContains(t, err, "offset 12")
		r.check()
		require.Equal(t, 1, r.seen.count(runtime.StateConflict))
		require.Equal(t, int64(12), r.checkpoint(0).Next)
	})
}

func TestIdlePartitionsHaveNothingInDoubt(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(50, 4)
		e := r.count(runtime.Options{BatchMessages: 5})
		r.await("all", func() bool { return r.outputCount() == 50 })
		synctest.Wait()
		require.Positive(t, r.pending())
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		require.Zero(t, r.pending())
		r.stop(e)
	})
}

// TestDraining: however it hangs, the engine leaves in time, and nothing is lost or doubled.
func TestDraining(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, ports := range map[string]func(r *rig) (runtime.Log, runtime.Store){
		"the store hangs": func(r *rig) (runtime.Log, runtime.Store) {
			return r.log, &faultyStore{Store: r.store, commit: func(ctx context.Context, c *runtime.Commit) error {
				if c.Next > 20 {
					return hang(ctx)
				}
				return r.store.Commit(ctx, c)
			}}
		},
		"the store hangs at the last commit": func(r *rig) (runtime.Log, runtime.Store) {
			return r.log, &faultyStore{Store: r.store, commit: func(ctx context.Context, c *runtime.Commit) error {
				if c.Next == c.From && c.Next > 0 {
					return hang(ctx)
				}
				return r.store.Commit(ctx, c)
			}}
		},
		"the store is away": func(r *rig) (runtime.Log, runtime.Store) {
			return r.log, &faultyStore{Store: r.store, commit: func(ctx context.Context, c *runtime.Commit) error {
				if c.Next > 20 {
					return runtime.ErrUnavailable
				}
				return r.store.Commit(ctx, c)
			}}
		},
		"the store hangs at the claim": func(r *rig) (runtime.Log, runtime.Store) {
			return r.log, &faultyStore{Store: r.store, claim: func(ctx context.Context, _ runtime.CheckpointKey) (runtime.Checkpoint, error) {
				return runtime.Checkpoint{}, hang(ctx)
			}}
		},
		"the log hangs": func(r *rig) (runtime.Log, runtime.Store) {
			return &faultyLog{Log: r.log, send: func(ctx context.Context, _ runtime.Identity, _ []runtime.RecordBatch) ([]runtime.Ack, error) {
				return nil, hang(ctx)
			}}, r.store
		},
		"the log is away": func(r *rig) (runtime.Log, runtime.Store) {
			return &faultyLog{Log: r.log, send: func(context.Context, runtime.Identity, []runtime.RecordBatch) ([]runtime.Ack, error) {
				return nil, runtime.ErrUnavailable
			}}, r.store
		},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, 2, func(r *rig) {
				r.putMany(100, 9)
				log, store := ports(r)
				e := r.start(log, store, countFunction(t, runtime.Options{BatchMessages: 5, DrainTimeout: 3 * time.Second}))
				time.Sleep(500 * time.Millisecond)
				start := time.Now()
				r.stop(e)
				require.LessOrEqual(t, time.Since(start), 3*time.Second)
				r.stopAfterAll(r.count(runtime.Options{}))
			})
		})
	}
}

// TestAFunctionThatIsInterrupted: when draining takes too long the function's context ends, and its error is nobody's fault.
func TestAFunctionThatIsInterrupted(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(10, 4)
		slow := countFunction(t, runtime.Options{Errors: stopping})
		apply := slow.Apply
		slow.Apply = func(ctx context.Context, in *runtime.Input, state any) (topic.Records, error) {
			if in.Offset == 5 {
				<-ctx.Done()
				return nil, errors.New("interrupted")
			}
			return apply(ctx, in, state)
		}
		e := r.start(r.log, r.store, slow)
		time.Sleep(time.Second)
		r.stop(e)
		r.stopAfterAll(r.count(runtime.Options{}))
	})
}

// TestDrainingFinishesWhatWasBegun: a message that the function was called with is applied before the partition goes.
func TestDrainingFinishesWhatWasBegun(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(10, 4)
		slow := countFunction(t, runtime.Options{})
		apply := slow.Apply
		slow.Apply = func(ctx context.Context, in *runtime.Input, state any) (topic.Records, error) {
			time.Sleep(time.Second)
			require.NoError(t, ctx.Err())
			return apply(ctx, in, state)
		}
		e := r.start(r.log, r.store, slow)
		time.Sleep(2500 * time.Millisecond)
		r.stop(e)
		require.Equal(t, 3, r.outputCount(), "the third was begun")
		require.Equal(t, int64(3), r.checkpoint(0).Next)
		require.Zero(t, r.pending())
		r.stopAfterAll(r.count(runtime.Options{}))
	})
}

func TestStatus(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		claiming, sending := newGate(), &gate{reached: make(chan struct{}), opened: make(chan struct{})}
		store := &faultyStore{Store: r.store, claim: func(ctx context.Context, key runtime.CheckpointKey) (runtime.Checkpoint, error) {
			claiming.pass()
			return r.store.Claim(ctx, key)
		}}
		log := &faultyLog{Log: r.log, send: func(ctx context.Context, id runtime.Identity, b []runtime.RecordBatch) ([]runtime.Ack, error) {
			sending.pass()
			return r.log.Send(ctx, id, b)
		}}
		e := r.start(log, store, countFunction(t, runtime.Options{}))
		phase := func() runtime.PartitionStatus {
			synctest.Wait()
			return e.Status()[0].Partitions[0]
		}
		<-claiming.reached
		require.Equal(t, runtime.Claiming, phase().Phase)
		require.False(t, e.Status()[0].Ready())
		close(claiming.opened)
		r.putMany(10, 4)
		require.Equal(t, runtime.Running, phase().Phase)
		require.True(t, e.Status()[0].Ready())
		require.Equal(t, int64(10), phase().Next)
		require.Equal(t, int64(0), phase().Lag)
		require.Positive(t, phase().CacheBytes)

		r.store.SetDown(true)
		r.putMany(10, 4)
		time.Sleep(30 * time.Second)
		require.Equal(t, runtime.Retrying, phase().Phase)
		require.Equal(t, int64(10), phase().Next)
		require.Equal(t, int64(10), phase().Lag, "lag is told while the function waits")
		require.Contains(t, phase().Reason, "unavailable")
		require.False(t, e.Status()[0].Ready())
		r.store.SetDown(false)
		time.Sleep(30 * time.Second)
		require.Equal(t, runtime.Running, phase().Phase)
		require.Empty(t, phase().Reason)

		sending.arm()
		r.putMany(1, 4)
		<-sending.reached
		e.cancel()
		require.Equal(t, runtime.Draining, phase().Phase)
		close(sending.opened)
		require.NoError(t, <-e.done)
		require.False(t, e.Status()[0].Joined)
		require.Empty(t, e.Status()[0].Partitions)
		r.check()
	})
}

// TestStatusWhileTheBrokerIsAway: sending is tried again and again; that is not ready all the time.
func TestStatusWhileTheBrokerIsAway(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		var away atomic.Bool
		away.Store(true)
		log := &faultyLog{Log: r.log, send: func(ctx context.Context, id runtime.Identity, b []runtime.RecordBatch) ([]runtime.Ack, error) {
			time.Sleep(100 * time.Millisecond)
			if away.Load() {
				return nil, runtime.ErrUnavailable
			}
			return r.log.Send(ctx, id, b)
		}}
		r.putMany(5, 2)
		e := r.start(log, r.store, countFunction(t, runtime.Options{}))
		time.Sleep(time.Second)
		for range 200 {
			time.Sleep(17 * time.Millisecond)
			require.False(t, e.Status()[0].Ready())
		}
		away.Store(false)
		r.awaitAll()
		require.True(t, e.Status()[0].Ready())
		r.stop(e)
	})
}

func TestObserverHearsOfEveryMessage(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		r.putMany(100, 9)
		r.stopAfterAll(r.count(runtime.Options{BatchMessages: 7}))
		var in, out, hits, misses int
		for _, b := range r.seen.batches {
			in, out, hits, misses = in+b.In, out+b.Out, hits+b.CacheHits, misses+b.CacheMisses
			require.LessOrEqual(t, b.In, 7)
			require.Positive(t, b.InBytes)
			require.Positive(t, b.OutBytes)
		}
		require.Equal(t, 100, in)
		require.Equal(t, 100, out)
		require.Equal(t, len(r.in), misses)
		require.Equal(t, 100, hits+misses)
		require.Equal(t, 2, r.seen.count(runtime.PartitionClaimed))
		require.Equal(t, 2, r.seen.count(runtime.PartitionReleased))
		require.Equal(t, 1, r.seen.count(runtime.Rebalanced))
	})
}

// TestRebalancesAreCounted: once for each member that is told what it has.
func TestRebalancesAreCounted(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		first := r.count(runtime.Options{})
		r.await("the first member", func() bool { return r.seen.count(runtime.Rebalanced) == 1 })
		second := r.count(runtime.Options{})
		r.await("both members", func() bool { return r.seen.count(runtime.Rebalanced) >= 3 })
		r.stop(first)
		r.stop(second)
	})
}

// TestLimits: tiny caches, batches and record batches change nothing but the speed.
func TestLimits(t *testing.T) {
	for name, options := range map[string]runtime.Options{
		"cache":          {CacheBytes: 1, BatchMessages: 10},
		"messages":       {BatchMessages: 1},
		"bytes":          {BatchBytes: 1},
		"some bytes":     {BatchBytes: 1000, CacheBytes: 5000},
		"record batches": {},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				r.log.SetMaxMessageBytes("counts", 100)
				r.putMany(1000, 300)
				r.stopAfterAll(r.count(options))
				for _, b := range r.seen.batches {
					require.True(t, options.BatchBytes != 1 || b.In == 1, "one message fills a batch of a byte, and %d are in it", b.In)
				}
			})
		})
	}
}

// loads remembers how many states were asked for at once.
type loads struct {
	runtime.Store
	most int
}

func (l *loads) Load(ctx context.Context, table string, keys []string) ([]runtime.StateRow, error) {
	l.most = max(l.most, len(keys))
	return l.Store.Load(ctx, table, keys)
}

// TestStatesOfABatchAreBounded: by what they take, however many messages there are.
func TestStatesOfABatchAreBounded(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(2000, 1000)
		store := &loads{Store: r.store}
		r.stopAfterAll(r.start(r.log, store, countFunction(t, runtime.Options{CacheBytes: 20_000, BatchBytes: 10_000})))
		require.Greater(t, store.most, 20)
		require.LessOrEqual(t, store.most, 100, "a state takes more than 200 bytes in memory")
	})
}

// TestManySectionsAreSentAgain: a batch whose outputs take more record batches than a broker remembers.
func TestManySectionsAreSentAgain(t *testing.T) {
	for sent := range 20 {
		for name, forget := range map[string]func(*rig){
			"remembered": func(*rig) {},
			"restarted":  func(r *rig) { r.log.Restart() },
			"expired":    func(r *rig) { time.Sleep(25 * time.Hour); r.log.Expire() },
		} {
			t.Run(fmt.Sprint(name, " ", sent), func(t *testing.T) { sendManySectionsAgain(t, sent, forget) })
		}
	}
}

// sendManySectionsAgain crashes after so many record batches were sent, with another batch committed when some were.
func sendManySectionsAgain(t *testing.T, sent int, forget func(*rig)) {
	inRig(t, 1, func(r *rig) {
		r.log.SetMaxMessageBytes("counts", 80)
		sends := 0
		second := newGate()
		log := &faultyLog{Log: r.log, send: func(ctx context.Context, id runtime.Identity, b []runtime.RecordBatch) ([]runtime.Ack, error) {
			if sends++; sends > sent {
				// The next batch is committed meanwhile, and with it what is acknowledged by now.
				second.pass()
				return nil, errCrashed
			}
			return r.log.Send(ctx, id, b)
		}}
		r.putMany(40, 2)
		e := r.start(log, r.store, countFunction(t, runtime.Options{}))
		<-second.reached
		r.putMany(40, 2)
		r.await("the second batch", func() bool { return r.checkpoint(0).Next > 40 })
		close(second.opened)
		require.ErrorIs(t, r.failure(e), errCrashed)
		forget(r)
		r.stopAfterAll(r.count(runtime.Options{}))
		require.Zero(t, r.seen.count(runtime.OutputLost))
	})
}

// TestDeletedStates: a key whose state becomes zero has no row, and one that comes back is a new one.
func TestDeletedStates(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		f, err := stateful.Config[string, string, int64]{
			Name: "count", Input: words, Outputs: topic.List{counts}, State: format.Int64(), Table: "word_count",
			Function: func(_ context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
				n = (n + 1) % 3
				return n, topic.Records{counts.Record(word.Key, n)}, nil
			},
			Options: runtime.Options{BatchMessages: 3, CacheBytes: 2000},
		}.Compile()
		require.NoError(t, err)
		hooks := every(6)
		r.store.Hook(memory.StoreHooks{AfterCommit: func(*runtime.Commit) error { return hooks() }})
		r.putMany(600, 20)
		e := r.start(r.log, r.store, f)
		r.await("all", func() bool { return r.outputCount() >= r.total() })
		time.Sleep(10 * time.Second)
		r.store.Hook(memory.StoreHooks{})
		r.stop(e)
		states := map[string]string{}
		for word, n := range r.in {
			for i, count := range r.outputs()[word] {
				require.Equal(t, strconv.Itoa((i+1)%3), count)
			}
			require.Len(t, r.outputs()[word], n)
			if n%3 != 0 {
				states[word] = strconv.Itoa(n % 3)
			}
		}
		require.Equal(t, states, r.states())
		require.Zero(t, r.seen.count(runtime.StateConflict))
	})
}

// TestAGroupThatIsAwayAtFirst: joining is tried again.
func TestAGroupThatIsAwayAtFirst(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		joins := 0
		log := &faultyLog{Log: r.log, join: func(ctx context.Context, group runtime.Group, own func(context.Context, runtime.Held) error) error {
			if joins++; joins < 4 {
				return runtime.ErrUnavailable
			}
			return r.log.Join(ctx, group, own)
		}}
		r.putMany(10, 4)
		e := r.start(log, r.store, countFunction(t, runtime.Options{}))
		r.stopAfterAll(e)
	})
	inRig(t, 1, func(r *rig) {
		log := &faultyLog{Log: r.log, join: func(context.Context, runtime.Group, func(context.Context, runtime.Held) error) error {
			return runtime.ErrUnavailable
		}}
		e := r.start(log, r.store, countFunction(t, runtime.Options{}))
		time.Sleep(time.Minute)
		r.stop(e)
	})
}

// TestPartitionsThatAreAddedLater are processed, too.
func TestPartitionsThatAreAddedLater(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putAt(0, "a")
		e := r.count(runtime.Options{})
		r.awaitAll()
		r.log.Grow("words", 3)
		r.putAt(2, "b")
		r.stopAfterAll(e)
	})
}
