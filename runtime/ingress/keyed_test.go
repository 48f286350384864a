package ingress_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

var errLost = fmt.Errorf("the answer is lost: %w", runtime.ErrUnavailable)

func impatient() config {
	c := valid()
	c.Timeout = 50 * time.Millisecond
	return c
}

func TestAKeyIsAppendedOnce(t *testing.T) {
	s := newService(t, valid())
	first := s.post(`{"id":"a"}`, "Idempotency-Key", "k")
	require.Empty(t, first.Header().Get("Idempotency-Replayed"))
	for _, spelled := range []string{"k", `"k"`} {
		again := s.post(`{"id":"a"}`, "Idempotency-Key", spelled)
		require.Equal(t, accepted(t, first), accepted(t, again))
		require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
	}
	require.Len(t, s.records(), 1)
	accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", "K"))
	require.Len(t, s.records(), 2)
}

func TestAKeyOfAnotherRequestIsRefused(t *testing.T) {
	s := newService(t, valid())
	accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", "k"))
	answer := s.post(`{"id":"b"}`, "Idempotency-Key", "k")
	require.Equal(t, 422, answer.Code)
	require.Contains(t, answer.Body.String(), "the Idempotency-Key was used for another request")
	require.Len(t, s.records(), 1)
}

func TestARefusedRequestLeavesItsKeyFree(t *testing.T) {
	s := newService(t, valid())
	require.Equal(t, 422, s.post(`{}`, "Idempotency-Key", "k").Code)
	accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", "k"))
}

func TestAKeyIsNeeded(t *testing.T) {
	c := valid()
	c.RequireKey = true
	s := newService(t, c)
	require.Equal(t, 400, s.post(`{"id":"a"}`).Code)
	accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", "k"))
}

// A process that is killed between the append and the answer leaves a pending key, as one does that gets no answer.
func TestALostAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		before, after error
		meanwhile     func(*service)
	}{
		"the record is in the log":     {nil, errLost, nil},
		"the record is not in the log": {errLost, nil, nil},
		"and the broker restarts":      {nil, errLost, func(s *service) { s.log.Restart() }},
		"and the broker forgets":       {nil, errLost, func(s *service) { s.log.Expire() }},
		"not there, and it forgets":    {errLost, nil, func(s *service) { s.log.Expire() }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, impatient())
			// The lane that is lost has sent before.
			accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", "before"))
			s.log.fail(test.before, test.after)
			answer := s.post(`{"id":"a"}`, "Idempotency-Key", "k")
			require.Equal(t, 503, answer.Code)
			require.NotEmpty(t, answer.Header().Get("Retry-After"))
			s.log.fail(nil, nil)
			for i := range 10 {
				accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", fmt.Sprint("between", i)))
			}
			if test.meanwhile != nil {
				test.meanwhile(s)
			}
			s.end()

			other := start(t, valid(), s.log, s.store)
			before := len(other.records())
			a := accepted(t, other.post(`{"id":"a"}`, "Idempotency-Key", "k"))
			require.Len(t, other.records(), 12, "once, having been %d", before)
			require.Equal(t, "a", string(other.log.Records("orders", a.Partition)[*a.Offset].Key))
			require.Equal(t, a, accepted(t, other.post(`{"id":"a"}`, "Idempotency-Key", "k")))
			require.Len(t, other.records(), 12)
		})
	}
}

func TestAKeyThatStaysPendingIsFoundAgain(t *testing.T) {
	s := newService(t, valid())
	finish := errors.New("no")
	s.store.FailFinish(finish)
	a := accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", "k"))
	s.store.FailFinish(nil)
	for i := range 10 {
		accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", fmt.Sprint(i)))
	}
	require.Equal(t, a, accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", "k")))
	require.Len(t, s.records(), 11)
}

func TestALogThatLostWhatItHad(t *testing.T) {
	s := newService(t, impatient())
	accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", "before"))
	s.log.fail(errLost, nil)
	require.Equal(t, 503, s.post(`{"id":"a"}`, "Idempotency-Key", "k").Code)
	s.log.fail(nil, nil)
	// The identity of the pending request is superseded, as if the log had gone back.
	_, err := s.log.Log.Send(t.Context(), runtime.Identity{ProducerID: 1, Epoch: 1}, []runtime.RecordBatch{{
		TopicPartition: runtime.TopicPartition{Topic: "orders", Partition: accepted(t, s.post(`{"id":"a"}`)).Partition},
		Records:        runtime.Encode(runtime.Output{Key: []byte("a")}),
	}})
	require.NoError(t, err)
	a := accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", "k"))
	require.Equal(t, a, accepted(t, s.post(`{"id":"a"}`, "Idempotency-Key", "k")))
	require.Contains(t, s.logged.String(), "the log lost what it had of a producer identity")
	require.Len(t, s.records(), 4)
}

func TestStoreOrLogAway(t *testing.T) {
	s := newService(t, impatient())
	s.store.SetDown(true)
	require.Equal(t, 503, s.post(`{"id":"a"}`, "Idempotency-Key", "k").Code)
	accepted(t, s.post(`{"id":"a"}`))
	s.store.SetDown(false)
	s.log.fail(errLost, nil)
	require.Equal(t, 503, s.post(`{"id":"b"}`).Code)
	require.Equal(t, 503, s.post(`{"id":"b"}`, "Idempotency-Key", "k").Code)
	s.log.fail(nil, nil)
	accepted(t, s.post(`{"id":"b"}`, "Idempotency-Key", "k"))
}

func TestOneRequestMadeManyTimesAtOnce(t *testing.T) {
	s := newService(t, valid())
	other := start(t, valid(), s.log, s.store)
	answers := make([]answered, 16)
	var group sync.WaitGroup
	for i := range answers {
		on := []*service{s, other}[i%2]
		group.Go(func() { answers[i] = accepted(t, on.post(`{"id":"a"}`, "Idempotency-Key", "k")) })
	}
	group.Wait()
	require.Len(t, s.records(), 1)
	for _, a := range answers {
		require.Equal(t, answers[0], a)
	}
}

// Clients make requests with keys until they are answered, while everything fails at random.
func TestEveryKeyOnce(t *testing.T) {
	s := newService(t, impatient())
	other := start(t, impatient(), s.log, s.store)
	const clients, keys = 4, 25
	stop := make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() {
		for random := rand.New(rand.NewPCG(1, 2)); ; {
			select {
			case <-stop:
				s.log.fail(nil, nil)
				return
			case <-time.After(time.Millisecond):
			}
			switch random.IntN(6) {
			case 0:
				s.log.fail(errLost, nil)
			case 1:
				s.log.fail(nil, errLost)
			case 2:
				s.log.Restart()
			default:
				s.log.fail(nil, nil)
			}
		}
	})
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			for k := range keys {
				// Two clients have the same keys.
				id := fmt.Sprint(c/2, "-", k)
				for on := range 10_000 {
					if []*service{s, other}[(on+c)%2].post(`{"id":"`+id+`"}`, "Idempotency-Key", id).Code == 202 {
						break
					}
				}
			}
		})
	}
	group.Wait()
	close(stop)
	faults.Wait()
	seen := map[string]int{}
	for _, record := range s.records() {
		seen[string(record.Key)]++
	}
	require.Len(t, seen, clients/2*keys)
	for key, n := range seen {
		require.Equal(t, 1, n, key)
	}
}
