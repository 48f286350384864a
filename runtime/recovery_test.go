package runtime_test

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

// every makes each nth call fail as a lost answer does.
func every(n int64) func() error {
	var calls atomic.Int64
	return func() error {
		if calls.Add(1)%n == 0 {
			return runtime.ErrUnavailable
		}
		return nil
	}
}

func TestLostAnswersOfTheStore(t *testing.T) {
	for name, hooks := range map[string]func(fail func() error) memory.StoreHooks{
		"it happened": func(fail func() error) memory.StoreHooks {
			return memory.StoreHooks{AfterCommit: func(*runtime.Commit) error { return fail() }}
		},
		"it did not happen": func(fail func() error) memory.StoreHooks {
			return memory.StoreHooks{BeforeCommit: func(*runtime.Commit) error { return fail() }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, 2, func(r *rig) {
				r.putMany(200, 9)
				r.store.Hook(hooks(every(5)))
				e := r.count(runtime.Options{BatchMessages: 4})
				r.awaitAll()
				r.store.Hook(memory.StoreHooks{})
				r.stop(e)
				require.Positive(t, r.seen.count(runtime.Retried))
			})
		})
	}
}

func TestLostAnswersOfTheLog(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		r.putMany(200, 9)
		before, after := every(5), every(4)
		log := &faultyLog{Log: r.log, send: func(ctx context.Context, id runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
			if err := before(); err != nil {
				return nil, err
			}
			acks, err := r.log.Send(ctx, id, batches)
			if lost := after(); lost != nil {
				// The answer of one partition only.
				acks[0] = runtime.Ack{Offset: -1, Err: lost}
			}
			return acks, err
		}}
		e := r.start(log, r.store, countFunction(t, runtime.Options{BatchMessages: 4}))
		r.awaitAll()
		r.stop(e)
		require.Positive(t, r.seen.count(runtime.Retried))
	})
}

// crash runs an engine until a number of batches is committed, of which the log has the outputs of some when it ends.
func (r *rig) crash(committed, sent int) {
	sends, commits := 0, 0
	log := &faultyLog{Log: r.log, send: func(ctx context.Context, id runtime.Identity, b []runtime.RecordBatch) ([]runtime.Ack, error) {
		if sends++; sends <= sent {
			if _, err := r.log.Send(ctx, id, b); err != nil {
				return nil, err
			}
		}
		// Nobody hears of it, as if the broker were slow.
		<-ctx.Done()
		return nil, errCrashed
	}}
	reached := make(chan struct{})
	store := &faultyStore{Store: r.store, commit: func(ctx context.Context, c *runtime.Commit) error {
		if c.From != c.Next {
			if commits++; commits > committed {
				close(reached)
				<-ctx.Done()
				return errCrashed
			}
		}
		return r.store.Commit(ctx, c)
	}}
	e := r.start(log, store, countFunction(r.t, runtime.Options{BatchMessages: 3, DrainTimeout: time.Nanosecond}))
	select {
	case <-reached:
	case <-time.After(time.Minute):
	}
	e.cancel()
	<-e.done
}

// TestPendingOutputsAreSentAgain: the log has none, some or all of what is pending, and the broker remembers all of it, or the
// last batch, or nothing.
func TestPendingOutputsAreSentAgain(t *testing.T) {
	for name, forget := range map[string]func(*rig){
		"remembered": func(*rig) {},
		"restarted":  func(r *rig) { r.log.Restart() },
		"expired":    func(r *rig) { time.Sleep(25 * time.Hour); r.log.Expire() },
		"cut and old": func(r *rig) {
			time.Sleep(25 * time.Hour)
			r.log.Expire()
			require.NoError(r.t, r.log.Truncate("counts", 0, 2))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				r.putMany(20, 4)
				r.crash(1, 0)
				require.Equal(t, 1, r.pending())
				forget(r)
				first := r.count(runtime.Options{})
				r.awaitAllBut(name)
				r.stop(first)
			})
			for sent := range 2 {
				inRig(t, 1, func(r *rig) {
					r.putMany(9, 4)
					first := r.count(runtime.Options{BatchMessages: 3})
					r.awaitAll()
					r.stop(first)
					r.putMany(20, 4)
					r.crash(2, sent)
					require.Positive(t, r.pending())
					forget(r)
					second := r.count(runtime.Options{})
					r.awaitAllBut(name)
					r.stop(second)
					require.Zero(t, r.seen.count(runtime.OutputLost))
				})
			}
		})
	}
}

// awaitAllBut waits for all outputs; where the log was cut, it looks only at how many there ever were.
func (r *rig) awaitAllBut(forgotten string) {
	if forgotten != "cut and old" {
		r.awaitAll()
		return
	}
	ends := func() (n int) {
		for p := range int32(2) {
			_, end, err := r.log.Bounds(r.t.Context(), runtime.TopicPartition{Topic: "counts", Partition: p})
			require.NoError(r.t, err)
			n += int(end)
		}
		return n
	}
	r.await("all outputs", func() bool { return ends() >= r.total() })
	time.Sleep(10 * time.Second)
	require.Equal(r.t, r.total(), ends())
}

// TestALogThatLostDataGetsANewIdentity: a broker that has neither the pending batches nor what came before calls the last one
// out of order; it is sent anew, and counted.
func TestALogThatLostDataGetsANewIdentity(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(20, 4)
		r.crash(3, 0)
		require.Positive(t, r.pending())
		log := &faultyLog{Log: r.log, send: func(ctx context.Context, id runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
			if id.Epoch == 0 {
				acks := make([]runtime.Ack, len(batches))
				for i := range acks {
					acks[i] = runtime.Ack{Offset: -1, Err: runtime.ErrOutOfOrder}
				}
				return acks, nil
			}
			return r.log.Send(ctx, id, batches)
		}}
		e := r.start(log, r.store, countFunction(t, runtime.Options{}))
		r.awaitAll()
		r.stop(e)
		require.Positive(t, r.seen.count(runtime.OutputLost))
		require.Equal(t, int16(1), r.checkpoint(0).Identity.Epoch)
		// The next owner goes on with it.
		r.putMany(20, 4)
		e = r.start(log, r.store, countFunction(t, runtime.Options{}))
		r.awaitAll()
		r.stop(e)
	})
}

// TestALogThatLostMoreThanIsPending: the log ends before what it had acknowledged long ago. What is pending is sent anew,
// and the function goes on.
func TestALogThatLostMoreThanIsPending(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(100, 4)
		e := r.count(runtime.Options{BatchMessages: 3})
		r.awaitAll()
		r.stop(e)
		r.putMany(20, 4)
		r.crash(3, 0)
		for p := range int32(2) {
			require.NoError(t, r.log.Lose("counts", p, 5))
		}
		left := r.outputCount()
		e = r.count(runtime.Options{})
		r.await("the outputs of what came after", func() bool { return r.outputCount() == left+20 })
		r.stop(e)
		require.Positive(t, r.seen.count(runtime.OutputLost))
	})
}

// TestAFormerLeaderIsNotBelieved: a broker that others have succeeded meanwhile knows less than the checkpoint. The function
// waits until it hears of that.
func TestAFormerLeaderIsNotBelieved(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(20, 4)
		e := r.count(runtime.Options{})
		r.awaitAll()
		r.stop(e)
		former := 3
		log := &faultyLog{
			Log: r.log,
			bounds: func(ctx context.Context, p runtime.TopicPartition) (start, end int64, err error) {
				if start, end, err = r.log.Bounds(ctx, p); former > 0 {
					end -= 5
				}
				return start, end, err
			},
			batches: func(ctx context.Context, from runtime.Position, visit func(runtime.BatchHeader) bool) error {
				if former > 0 {
					former--
					return runtime.ErrUnavailable
				}
				return r.log.Batches(ctx, from, visit)
			},
		}
		r.putMany(3, 3)
		e = r.start(log, r.store, countFunction(t, runtime.Options{}))
		r.awaitAll()
		r.stop(e)
		require.Equal(t, 3, r.seen.count(runtime.Retried))
	})
}

// TestANewIdentityWhenEpochsAreUsedUp: behind the last epoch comes another producer id.
func TestANewIdentityWhenEpochsAreUsedUp(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.begin(runtime.Identity{ProducerID: 900, Epoch: math.MaxInt16}, nil)
		r.putMany(20, 4)
		refuse := func(ctx context.Context, id runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
			if id.ProducerID == 900 {
				return nil, runtime.ErrOutOfOrder
			}
			return r.log.Send(ctx, id, batches)
		}
		e := r.start(&faultyLog{Log: r.log, send: refuse}, r.store, countFunction(t, runtime.Options{}))
		r.awaitAll()
		r.stop(e)
		require.NotEqual(t, int64(900), r.checkpoint(0).Identity.ProducerID)
	})
}

// begin writes a checkpoint before anything is read.
func (r *rig) begin(identity runtime.Identity, sequences map[runtime.TopicPartition]int32) {
	info, err := r.log.Describe(r.t.Context(), "words")
	require.NoError(r.t, err)
	key := runtime.CheckpointKey{Function: "count", TopicPartition: runtime.TopicPartition{Topic: "words"}}
	at, err := r.store.Claim(r.t.Context(), key)
	require.NoError(r.t, err)
	require.NoError(r.t, r.store.Commit(r.t.Context(), &runtime.Commit{
		CheckpointKey: key, Epoch: at.Epoch, TopicID: info.ID, Identity: identity, Sequences: runtime.EncodeSequences(sequences),
	}))
}

func TestSequencesWrap(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		identity, err := r.log.NewIdentity(t.Context())
		require.NoError(t, err)
		r.begin(identity, map[runtime.TopicPartition]int32{
			{Topic: "counts", Partition: 0}: math.MaxInt32 - 3, {Topic: "counts", Partition: 1}: math.MaxInt32,
		})
		r.putMany(60, 10)
		for range 5 {
			r.crash(2, 1)
		}
		e := r.count(runtime.Options{BatchMessages: 7})
		r.awaitAll()
		r.stop(e)
		require.Zero(t, r.seen.count(runtime.OutputLost))
		for p := range int32(2) {
			state, err := r.log.Producer(t.Context(), runtime.TopicPartition{Topic: "counts", Partition: p}, identity.ProducerID)
			require.NoError(t, err)
			require.True(t, state.Known && state.LastSequence < 100, "partition %d wrapped: %d", p, state.LastSequence)
		}
	})
}

// noneCommitted is a group that has committed no offset.
func noneCommitted(context.Context, string, runtime.TopicPartition) (int64, error) { return -1, nil }

func TestStoreThatWentBackInTime(t *testing.T) {
	for name, committed := range map[string]func(context.Context, string, runtime.TopicPartition) (int64, error){
		"the group's offset tells":    nil,
		"the broker's sequences tell": noneCommitted,
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				r.putMany(10, 4)
				r.stopAfterAll(r.count(runtime.Options{}))
				restore := r.store.Snapshot()
				r.putMany(10, 4)
				r.stopAfterAll(r.count(runtime.Options{}))
				restore()
				err := r.failure(r.start(&faultyLog{Log: r.log, committed: committed}, r.store, countFunction(t, runtime.Options{})))
				require.ErrorIs(t, err, runtime.ErrStoreBehind)
				require.ErrorContains(t, err, "reset")
				require.Equal(t, r.total(), r.outputCount(), "nothing was sent")
			})
		})
	}
	t.Run("the broker's sequences tell of a partition that the checkpoint has never sent to", func(t *testing.T) {
		inRig(t, 1, func(r *rig) {
			words := [2]string{}
			for i := range 100 {
				word := fmt.Sprint("w", i)
				words[topic.Murmur2([]byte(word), 2)] = word
			}
			r.put(words[0])
			r.stopAfterAll(r.count(runtime.Options{}))
			restore := r.store.Snapshot()
			r.put(words[1])
			r.stopAfterAll(r.count(runtime.Options{}))
			restore()
			log := &faultyLog{Log: r.log, committed: noneCommitted}
			require.ErrorIs(t, r.failure(r.start(log, r.store, countFunction(t, runtime.Options{}))), runtime.ErrStoreBehind)
		})
	})
	t.Run("the process itself knows", aProcessKnowsOfItself)
	t.Run("an empty store", func(t *testing.T) {
		inRig(t, 1, func(r *rig) {
			r.putMany(10, 4)
			r.stopAfterAll(r.count(runtime.Options{}))
			empty := memory.NewStore()
			require.NoError(t, empty.Migrate(t.Context(), []runtime.StateTable{{Name: "word_count", Key: format.Text, State: format.Text}}))
			require.ErrorIs(t, r.failure(r.start(r.log, empty, countFunction(t, runtime.Options{}))), runtime.ErrStoreBehind)
		})
	})
}

func aProcessKnowsOfItself(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(10, 4)
		log := &faultyLog{Log: r.log, committed: noneCommitted}
		f := countFunction(t, runtime.Options{})
		f.DeadLetter, f.Outputs = nil, nil
		apply := f.Apply
		f.Apply = dropping(apply)
		restore := r.store.Snapshot()
		e := r.start(log, r.store, f)
		r.await("the state", func() bool { return r.checkpoint(0).Next == 10 })
		restore()
		r.putMany(1, 4)
		require.ErrorIs(t, r.failure(e), runtime.ErrStoreBehind)
	})
}

// reset takes the function back to a position, with the outputs that may not have been sent.
func (r *rig) reset(next int64) {
	require.NoError(r.t, r.store.Reset(r.t.Context(), runtime.Reset{
		Function: "count", KeepOutputs: true, Positions: map[runtime.TopicPartition]int64{{Topic: "words"}: next},
	}))
}

// TestOutputsThatAResetKeeps are sent as what they were, though the function is another producer from then on.
func TestOutputsThatAResetKeeps(t *testing.T) {
	for sent := range 3 {
		t.Run(fmt.Sprint("the brokers have forgotten the producer; batches sent: ", sent), func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				r.putMany(20, 4)
				r.crash(2, sent)
				require.Positive(t, r.pending())
				time.Sleep(25 * time.Hour)
				r.log.Expire()
				r.reset(r.checkpoint(0).Next)
				r.stopAfterAll(r.count(runtime.Options{}))
				require.Zero(t, r.seen.count(runtime.OutputLost))
			})
		})
	}
	t.Run("the brokers remember later batches only", func(t *testing.T) {
		inRig(t, 1, func(r *rig) {
			r.putMany(20, 4)
			r.crash(2, 2)
			require.Positive(t, r.pending())
			restore := r.store.Snapshot()
			r.stopAfterAll(r.count(runtime.Options{BatchMessages: 1}))
			restore()
			r.reset(20)
			e := r.count(runtime.Options{})
			r.await("the claim", func() bool { return e.Status()[0].Ready() })
			r.stop(e)
			require.Equal(t, r.total(), r.outputCount(), "nothing is sent again that the log has")
			require.Zero(t, r.seen.count(runtime.OutputLost))
		})
	})
	t.Run("the brokers have lost them, and the function begins anew", func(t *testing.T) {
		inRig(t, 1, func(r *rig) {
			r.putMany(20, 4)
			r.crash(2, 0)
			former := r.checkpoint(0).Identity
			r.reset(runtime.Never)
			log := &faultyLog{Log: r.log, send: func(ctx context.Context, id runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
				if id == former {
					return []runtime.Ack{{Offset: -1, Err: runtime.ErrOutOfOrder}}, nil
				}
				return r.log.Send(ctx, id, batches)
			}}
			e := r.start(log, r.store, countFunction(t, runtime.Options{}))
			r.await("all inputs", func() bool { return r.checkpoint(0).Next == 20 && r.pending() == 0 })
			r.stop(e)
			require.Zero(t, r.seen.count(runtime.CommitFenced))
			require.Positive(t, r.seen.count(runtime.OutputLost))
		})
	})
}

// TestAProducerThatOthersHaveSucceeded: pending outputs whose identity is stale, in a checkpoint that nobody else has claimed,
// are those of a store that went back in time, also where brokers are not asked what they know of the producer.
func TestAProducerThatOthersHaveSucceeded(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(20, 4)
		r.crash(1, 0)
		log := &faultyLog{Log: r.log, send: func(context.Context, runtime.Identity, []runtime.RecordBatch) ([]runtime.Ack, error) {
			return []runtime.Ack{{Offset: -1, Err: runtime.ErrStaleIdentity}}, nil
		}}
		require.ErrorIs(t, r.failure(r.start(log, r.store, countFunction(t, runtime.Options{}))), runtime.ErrStoreBehind)
	})
}

func (r *rig) stopAfterAll(e *running) {
	r.t.Helper()
	r.awaitAll()
	r.stop(e)
}
