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
	"github.com/kappaflows/flows/join"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

var (
	purchases = topic.New("purchases", format.String(), format.Int64())
	refunds   = topic.New("refunds", format.Int64(), format.String())
	balances  = topic.New("balances", format.String(), format.String())
)

// account is what a join of purchases and refunds knows of one customer: how many of each there were.
type account struct {
	Purchases int `json:"purchases,omitempty"`
	Refunds   int `json:"refunds,omitempty"`
}

func (a account) records(id string) topic.Records {
	return topic.Records{balances.Record(id, fmt.Sprint(a.Purchases, " ", a.Refunds))}
}

// joinFunctions counts purchases, which have the customer as key, and refunds, which have it as value.
func joinFunctions(t testing.TB) []*runtime.Function {
	f, err := join.Config[string, account]{
		Name: "balance", Key: format.String(), State: format.JSON[account](), Outputs: topic.List{balances},
		Sides: []join.Side[string, account]{
			join.From(purchases, func(m topic.Message[string, int64]) string { return m.Key },
				func(_ context.Context, id string, _ topic.Message[string, int64], a account) (account, topic.Records, error) {
					a.Purchases++
					return a, a.records(id), nil
				}),
			join.From(refunds, func(m topic.Message[int64, string]) string { return m.Value },
				func(_ context.Context, id string, _ topic.Message[int64, string], a account) (account, topic.Records, error) {
					a.Refunds++
					return a, a.records(id), nil
				}),
		},
		Options: runtime.Options{BatchMessages: 3},
	}.Compile()
	require.NoError(t, err)
	return append([]*runtime.Function{f}, f.Parts...)
}

// shop is a log and a store with accounts to be kept.
type shop struct {
	log       *memory.Log
	store     *memory.Store
	functions []*runtime.Function
	in        map[string]account
	total     int
}

func newShop(t *testing.T, random *rand.Rand, messages int) *shop {
	s := &shop{log: memory.NewLog(), store: memory.NewStore(), functions: joinFunctions(t), in: map[string]account{}, total: messages}
	require.NoError(t, s.log.Create(t.Context(), []runtime.NewTopic{
		{Name: "purchases", Partitions: 2}, {Name: "refunds", Partitions: 3}, {Name: "balances", Partitions: 2},
	}))
	require.NoError(t, s.store.Migrate(t.Context(), []runtime.StateTable{{Name: "balance", Key: format.Text, State: format.Document}}))
	for i := range messages {
		id := "c" + strconv.Itoa(random.IntN(9))
		a := s.in[id]
		name, partition, output := "purchases", topic.Murmur2([]byte(id), 2), runtime.Output{Key: []byte(id), Value: []byte("1")}
		if random.IntN(2) == 0 {
			a.Refunds++
			name, partition, output = "refunds", int32(i%3), runtime.Output{Key: strconv.AppendInt(nil, int64(i), 10), Value: []byte(id)}
		} else {
			a.Purchases++
		}
		s.in[id] = a
		_, err := s.log.Append(name, partition, output)
		require.NoError(t, err)
	}
	return s
}

func (s *shop) outputs() (n int) {
	for p := range int32(2) {
		n += len(s.log.Records("balances", p))
	}
	return n
}

// live runs a process of the join until it crashes, or everything is joined.
func (s *shop) live(t *testing.T, p *process) error {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := runtime.New(runtime.Config{Functions: s.functions, Log: p, Store: p})
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case <-p.crashed:
			cancel()
			<-done
			return errCrashed
		case <-time.After(time.Millisecond):
			if s.outputs() >= s.total {
				cancel()
				return <-done
			}
		}
	}
}

// check holds states and outputs against what was put in: each message has made one output, and each of a customer's
// outputs counts one message more than the one before.
func (s *shop) check(t *testing.T) {
	last := map[string]account{}
	for p := range int32(2) {
		for _, r := range s.log.Records("balances", p) {
			var now account
			_, err := fmt.Sscan(string(r.Value), &now.Purchases, &now.Refunds)
			require.NoError(t, err)
			before := last[string(r.Key)]
			require.Equal(t, before.Purchases+before.Refunds+1, now.Purchases+now.Refunds, "key %s: lost, doubled or out of order", r.Key)
			last[string(r.Key)] = now
		}
	}
	require.Equal(t, s.in, last)
	states := format.JSON[account]()
	stored := map[string]account{}
	for key, state := range s.store.Rows("balance") {
		a, err := states.Decode(state)
		require.NoError(t, err)
		stored[key] = a
	}
	require.Equal(t, s.in, stored)
}

// Two processes at a time join two topics, and crash again and again: no side of any message is lost or doubled.
func TestCrashesOfAJoin(t *testing.T) {
	defer goleak.VerifyNone(t)
	for seed := range uint64(25) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := newShop(t, rand.New(rand.NewPCG(seed, 0)), 400)
			var lives sync.WaitGroup
			errs := make([]error, 2)
			for number := range errs {
				lives.Go(func() {
					random := rand.New(rand.NewPCG(seed, uint64(number)+2))
					for range 200 {
						if random.IntN(4) == 0 {
							// A broker that restarts remembers only the last batch of each identity.
							s.log.Restart()
						}
						err := s.live(t, newProcess(s.log, s.store, random.Uint64(), 6+random.IntN(60)))
						if err != nil && !errors.Is(err, errCrashed) {
							errs[number] = err
							return
						}
						if s.outputs() >= s.total {
							return
						}
					}
				})
			}
			lives.Wait()
			require.NoError(t, errors.Join(errs...))
			// What is still pending is sent again, harmlessly.
			require.NoError(t, s.live(t, newProcess(s.log, s.store, seed, 1<<30)))
			s.check(t)
		})
	}
}
