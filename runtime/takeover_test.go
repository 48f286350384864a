package runtime_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

// TestRebalancesLoseAndDoubleNothing lets engines come and go while there is work.
func TestRebalancesLoseAndDoubleNothing(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inRig(t, 5, func(r *rig) {
				random := rand.New(rand.NewPCG(seed, 0))
				engines := []*running{r.count(runtime.Options{BatchMessages: 3})}
				for range 30 {
					r.putMany(20, 11)
					time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
					if len(engines) < 3 && random.IntN(2) == 0 {
						engines = append(engines, r.count(runtime.Options{BatchMessages: 3}))
					} else if i := random.IntN(len(engines)); len(engines) > 1 {
						r.stop(engines[i])
						engines = append(engines[:i], engines[i+1:]...)
					}
				}
				r.awaitAll()
				for _, e := range engines {
					r.stop(e)
				}
				require.Zero(t, r.seen.count(runtime.CommitFenced), "who gives back in time is not fenced")
			})
		})
	}
}

// pauses are the places where a process may stop for long and go on as if nothing had been.
func pauses(r *rig, g *gate) map[string]func() (runtime.Log, runtime.Store) {
	return map[string]func() (runtime.Log, runtime.Store){
		"before the commit": func() (runtime.Log, runtime.Store) {
			return r.log, &faultyStore{Store: r.store, commit: func(_ context.Context, c *runtime.Commit) error {
				if c.From != c.Next {
					g.pass()
				}
				// A request that was on its way does not know that its sender gave up on it.
				return r.store.Commit(context.Background(), c)
			}}
		},
		"after the commit": func() (runtime.Log, runtime.Store) {
			return r.log, &faultyStore{Store: r.store, commit: func(_ context.Context, c *runtime.Commit) error {
				err := r.store.Commit(context.Background(), c)
				if c.From != c.Next {
					g.pass()
				}
				return err
			}}
		},
		"before the send": func() (runtime.Log, runtime.Store) {
			return &faultyLog{Log: r.log, send: func(_ context.Context, id runtime.Identity, b []runtime.RecordBatch) ([]runtime.Ack, error) {
				g.pass()
				return r.log.Send(context.Background(), id, b)
			}}, r.store
		},
		"after the send": func() (runtime.Log, runtime.Store) {
			return &faultyLog{Log: r.log, send: func(_ context.Context, id runtime.Identity, b []runtime.RecordBatch) ([]runtime.Ack, error) {
				acks, err := r.log.Send(context.Background(), id, b)
				g.pass()
				return acks, err
			}}, r.store
		},
		"in the claim": func() (runtime.Log, runtime.Store) {
			return &faultyLog{Log: r.log, committed: func(_ context.Context, group string, p runtime.TopicPartition) (int64, error) {
				g.pass()
				return r.log.Committed(context.Background(), group, p)
			}}, r.store
		},
	}
}

// TestZombiesAreHarmless pauses a process at each place, lets a successor take over and work, and then the paused one go on.
func TestZombiesAreHarmless(t *testing.T) {
	for place := range pauses(nil, nil) {
		for _, member := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, still a member %t", place, member), func(t *testing.T) {
				inRig(t, 1, func(r *rig) {
					r.putMany(30, 4)
					g := newGate()
					log, store := pauses(r, g)[place]()
					zombie := r.start(log, store, countFunction(t, runtime.Options{BatchMessages: 3}))
					<-g.reached
					tell := zombie.cancel
					if member {
						// The group believes that the process is dead, and it does not know.
						tell = r.log.Evict("count")
					} else {
						zombie.cancel()
					}
					successor := r.count(runtime.Options{BatchMessages: 3})
					r.awaitAll()
					if place == "after the commit" {
						r.log.Restart()
					}
					close(g.opened)
					r.putMany(30, 4)
					time.Sleep(100 * time.Millisecond)
					tell()
					r.awaitAll()
					r.stop(zombie)
					r.stop(successor)
					require.Zero(t, r.seen.count(runtime.OutputLost))
				})
			})
		}
	}
}

// TestASupersededClaimIsNotTheStoresFault: a process that paused while it claimed finds a log that is ahead of what it had
// read. It leaves; nobody has to be asked.
func TestASupersededClaimIsNotTheStoresFault(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(5, 4)
		r.stop(r.count(runtime.Options{}))
		g := newGate()
		log, store := pauses(r, g)["in the claim"]()
		paused := r.start(log, store, countFunction(t, runtime.Options{}))
		<-g.reached
		// Another process, of which the group knows nothing.
		other := r.start(&faultyLog{Log: r.log, join: func(ctx context.Context, _ runtime.Group, own func(context.Context, runtime.Held) error) error {
			return own(ctx, runtime.Held{TopicPartition: runtime.TopicPartition{Topic: "words"}, Mark: func(int64) {}})
		}}, r.store, countFunction(t, runtime.Options{}))
		r.putMany(5, 4)
		r.awaitAll()
		r.stop(other)
		close(g.opened)
		synctest.Wait()
		r.putMany(5, 4)
		r.awaitAll()
		require.Positive(t, r.seen.count(runtime.CommitFenced))
		r.stop(paused)
	})
}
