package operations_test

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/operations"
	"github.com/kappaflows/flows/runtime"
)

func TestPositions(t *testing.T) {
	r := newRig(t)
	r.put(0, "1", "2", "3")
	positions, err := r.Positions(t.Context(), r.f)
	require.NoError(t, err)
	require.Len(t, positions, partitions)
	require.Equal(t, operations.Position{
		Function: "sum", TopicPartition: runtime.TopicPartition{Topic: "sum-in"}, Next: runtime.Never, End: 3, Lag: 3,
	}, positions[0])
	require.Zero(t, positions[1].Lag)

	r.run()
	r.put(0, "4")
	positions, err = r.Positions(t.Context(), r.f)
	require.NoError(t, err)
	require.Equal(t, int64(3), positions[0].Next)
	require.Equal(t, int64(1), positions[0].Lag)
	require.False(t, positions[0].Updated.IsZero())

	_, err = operations.Operator{Log: r.log}.Positions(t.Context(), r.f)
	require.ErrorIs(t, err, operations.ErrNoStore)
}

func TestLetters(t *testing.T) {
	r := newRig(t)
	require.Empty(t, r.letters(operations.Selection{}), "there is no topic yet")
	before := time.Now().Add(-time.Second)
	r.put(0, "1", "-1", "many", "-2")
	r.put(1, "-3")
	r.run()

	require.ElementsMatch(t, []string{"-1", "many", "-2", "-3"}, r.letters(operations.Selection{}))
	require.ElementsMatch(t, []string{"-1", "-2", "-3"}, r.letters(operations.Selection{Reason: regexp.MustCompile("negative$")}))
	require.Len(t, r.letters(operations.Selection{Since: before}), 4)
	require.Empty(t, r.letters(operations.Selection{Until: before}))
	require.Empty(t, r.letters(operations.Selection{Since: time.Now().Add(time.Hour)}))

	var all []operations.Letter
	total, err := r.Letters(t.Context(), r.f, operations.Selection{Reason: regexp.MustCompile("^-2 is")}, func(l *operations.Letter) error {
		all = append(all, *l)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 4, total)
	require.Len(t, all, 1)
	letter := all[0]
	require.Equal(t, "-2 is negative", letter.Reason)
	require.Equal(t, runtime.Position{TopicPartition: runtime.TopicPartition{Topic: "sum-in"}, Offset: 3}, letter.Of)
	require.Equal(t, 1, letter.Attempts)
	require.WithinDuration(t, time.Now(), letter.Time, time.Minute)
	require.Empty(t, letter.Headers())
	require.Equal(t, origin.Add(3*time.Second), letter.Raw.Timestamp)

	at := operations.Place{Partition: letter.Partition, Offset: letter.Offset}
	found, err := r.Letter(t.Context(), r.f, at)
	require.NoError(t, err)
	require.Equal(t, letter.Raw, found.Raw)
	_, err = r.Letter(t.Context(), r.f, operations.Place{Partition: 7})
	require.ErrorIs(t, err, operations.ErrNoLetter)
	_, err = r.Letters(t.Context(), r.f, operations.Selection{}, func(*operations.Letter) error { return errStop })
	require.ErrorIs(t, err, errStop)
}

func TestRetry(t *testing.T) {
	r := newRig(t)
	r.put(0, "10", "-1", "many", "-2")
	r.put(1, "-3")
	r.run()

	// Nothing has changed about the function: what is tried again fails again, once each.
	require.Equal(t, operations.Redone{DeadAgain: 4}, r.redo(operations.Selection{}, runtime.Retry))
	require.ElementsMatch(t, []string{"-1", "many", "-2", "-3"}, r.letters(operations.Selection{}))
	_, err := r.Letters(t.Context(), r.f, operations.Selection{}, func(l *operations.Letter) error {
		require.Equal(t, 2, l.Attempts)
		require.Equal(t, "sum-in", l.Of.Topic)
		return nil
	})
	require.NoError(t, err)

	r.sum.strict.Store(false)
	require.Equal(t, operations.Redone{DeadAgain: 1}, r.redo(operations.Selection{}, runtime.Retry))
	require.Equal(t, []string{"many"}, r.letters(operations.Selection{}))
	require.Equal(t, map[string][]byte{"key0": []byte("7"), "key1": []byte("-3")}, r.store.Rows("sums"))
	require.ElementsMatch(t, []string{"key0=10", "key0=9", "key0=7", "key1=-3"}, r.outputs())

	r.redo(operations.Selection{}, runtime.Drop)
	require.Empty(t, r.letters(operations.Selection{}))
	require.Equal(t, operations.Redone{}, r.redo(operations.Selection{}, runtime.Retry))
}

func TestRetryOfSomeKeepsTheOthers(t *testing.T) {
	r := newRig(t)
	r.put(0, "-1", "many", "-2", "-4")
	r.run()
	r.sum.strict.Store(false)
	require.Zero(t, r.redo(operations.Selection{Reason: regexp.MustCompile("^-2")}, runtime.Retry).DeadAgain)
	require.ElementsMatch(t, []string{"-1", "many", "-4"}, r.letters(operations.Selection{}))
	require.Equal(t, []byte("-2"), r.store.Rows("sums")["key0"])
	_, err := r.Letters(t.Context(), r.f, operations.Selection{}, func(l *operations.Letter) error {
		require.Equal(t, 1, l.Attempts, "a letter that is kept is as it was")
		return nil
	})
	require.NoError(t, err)
}

func TestRetryWhileTheFunctionRuns(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.put(0, "10", "-1")
	r.awaitNoLag()
	r.sum.strict.Store(false)
	r.redo(operations.Selection{}, runtime.Retry)
	r.put(0, "5")
	r.awaitNoLag()
	stop()
	require.Equal(t, []byte("14"), r.store.Rows("sums")["key0"], "the running function saw what the retry had written")
}

func TestPlaces(t *testing.T) {
	place, err := operations.ParsePlace("3:17")
	require.NoError(t, err)
	require.Equal(t, "3:17", place.String())
	for _, bad := range []string{"", "3", "3:", ":3", "-1:3", "3:-1", "a:b", "3:4:5", "99999999999:1"} {
		_, err := operations.ParsePlace(bad)
		require.ErrorContains(t, err, "names no dead letter", bad)
	}
}

func TestStates(t *testing.T) {
	r := newRig(t)
	r.put(0, "10")
	r.put(1, "7")
	r.run()
	state, err := r.State(t.Context(), r.f, "key0")
	require.NoError(t, err)
	require.Equal(t, "10", state.State)
	_, err = r.State(t.Context(), r.f, "nobody")
	require.ErrorIs(t, err, operations.ErrNoState)
	_, err = r.State(t.Context(), r.f, "a\x00b")
	require.ErrorContains(t, err, "no text that a key can be")

	list := func(prefix string, limit int) (found []string) {
		require.NoError(t, r.States(t.Context(), r.f, prefix, limit, func(s operations.State) error {
			found = append(found, s.Key+"="+s.State)
			return nil
		}))
		return found
	}
	require.Equal(t, []string{"key0=10", "key1=7"}, list("", 0))
	require.Equal(t, []string{"key0=10"}, list("", 1))
	require.Equal(t, []string{"key1=7"}, list("key1", 0))
	require.ErrorIs(t, r.States(t.Context(), &runtime.Function{Name: "none"}, "", 0, nil), operations.ErrNoState)
}

func (r *rig) reset(target operations.Target) *operations.Resetting {
	r.t.Helper()
	plan, err := r.PlanReset(r.t.Context(), r.f, target)
	require.NoError(r.t, err)
	require.NoError(r.t, r.Reset(r.t.Context(), plan))
	return plan
}

func TestResetToTheBeginning(t *testing.T) {
	r := newRig(t)
	r.put(0, "1", "2", "3")
	r.run()
	plan := r.reset(operations.Target{})
	require.Equal(t, "sums", plan.Table)
	require.Equal(t, operations.Move{TopicPartition: runtime.TopicPartition{Topic: "sum-in"}, From: 3, To: runtime.Never}, plan.Moves[0])
	require.Empty(t, r.store.Rows("sums"))
	r.run()
	require.Equal(t, []byte("6"), r.store.Rows("sums")["key0"])
	require.Equal(t, []string{"key0=1", "key0=3", "key0=6", "key0=1", "key0=3", "key0=6"}, r.outputs())
}

func TestResetToOffsetsAndTimes(t *testing.T) {
	r := newRig(t)
	r.put(0, "1", "2", "3")
	r.put(1, "5")
	r.run()
	first := runtime.TopicPartition{Topic: "sum-in"}
	plan := r.reset(operations.Target{Offsets: map[runtime.TopicPartition]int64{first: 1}, KeepState: true})
	require.Len(t, plan.Moves, 1)
	require.Empty(t, plan.Table)
	r.run()
	require.Equal(t, []byte("11"), r.store.Rows("sums")["key0"])

	r.reset(operations.Target{Time: origin.Add(2 * time.Second)})
	r.run()
	require.Equal(t, map[string][]byte{"key0": []byte("3")}, r.store.Rows("sums"))

	for offsets, want := range map[int64]string{4: "the partition goes from 0 to 3", -1: "the partition goes from 0 to 3"} {
		_, err := r.PlanReset(t.Context(), r.f, operations.Target{Offsets: map[runtime.TopicPartition]int64{first: offsets}})
		require.ErrorIs(t, err, operations.ErrOutside)
		require.ErrorContains(t, err, want)
	}
	_, err := r.PlanReset(t.Context(), r.f, operations.Target{Offsets: map[runtime.TopicPartition]int64{{Topic: "other"}: 0}})
	require.ErrorContains(t, err, "does not read such a partition")

	_, err = r.PlanReset(t.Context(), r.f, operations.Target{Offsets: map[runtime.TopicPartition]int64{first: 1}})
	require.ErrorIs(t, err, operations.ErrPartial, "the states of the other partition would be lost")
	require.ErrorContains(t, err, "sum-in:1")
	second := runtime.TopicPartition{Topic: "sum-in", Partition: 1}
	r.reset(operations.Target{Offsets: map[runtime.TopicPartition]int64{first: 1, second: 0}})
	r.run()
	require.Equal(t, []byte("5"), r.store.Rows("sums")["key0"])
	require.Equal(t, []byte("5"), r.store.Rows("sums")["key1"])
}

func TestResetRefusesARunningFunction(t *testing.T) {
	r := newRig(t)
	r.put(0, "1")
	stop := r.start()
	r.awaitNoLag()
	plan, err := r.PlanReset(t.Context(), r.f, operations.Target{})
	require.NoError(t, err)
	require.ErrorIs(t, r.Reset(t.Context(), plan), operations.ErrRunning)
	stop()
	require.Equal(t, []byte("1"), r.store.Rows("sums")["key0"])
	require.NoError(t, r.Reset(t.Context(), plan))
}

// A store that went back in time stops its function, which says to reset it; then it goes on.
func TestResetAfterTheStoreWentBack(t *testing.T) {
	r := newRig(t)
	r.put(0, "1")
	r.run()
	restore := r.store.Snapshot()
	r.put(0, "2")
	r.run()
	restore()
	engine := runtime.New(runtime.Config{Functions: []*runtime.Function{r.f}, Log: r.log, Store: r.store})
	require.ErrorIs(t, engine.Run(t.Context()), runtime.ErrStoreBehind)
	r.reset(operations.Target{})
	r.run()
	require.Equal(t, []byte("3"), r.store.Rows("sums")["key0"])
}

func TestResetAfterTheTopicWasRecreated(t *testing.T) {
	r := newRig(t)
	r.put(0, "1", "2")
	r.run()
	r.log.Delete("sum-in")
	require.NoError(t, r.log.Create(t.Context(), []runtime.NewTopic{{Name: "sum-in", Partitions: 1}}))
	r.put(0, "5")
	positions, err := r.Positions(t.Context(), r.f)
	require.NoError(t, err)
	require.True(t, positions[0].Recreated)
	plan := r.reset(operations.Target{})
	require.Len(t, plan.Moves, 2, "what is known of a partition that is no more is forgotten, too")
	r.run()
	require.Equal(t, map[string][]byte{"key0": []byte("5")}, r.store.Rows("sums"))
}

// A function that is at least once has its position with its group, and nothing in a store.
func TestResetWithoutAStore(t *testing.T) {
	r := newRig(t)
	r.f.State, r.f.Options.Delivery = nil, runtime.AtLeastOnce
	var seen []string
	r.f.Apply = appended(&seen)
	r.store = nil
	r.Store = nil
	r.put(0, "1", "2")
	run := func() {
		ctx, cancel := context.WithCancel(t.Context())
		engine := runtime.New(runtime.Config{Functions: []*runtime.Function{r.f}, Log: r.log})
		ended := make(chan error, 1)
		go func() { ended <- engine.Run(ctx) }()
		r.awaitNoLag()
		cancel()
		require.NoError(t, <-ended)
	}
	run()
	r.reset(operations.Target{})
	run()
	r.reset(operations.Target{Offsets: map[runtime.TopicPartition]int64{{Topic: "sum-in"}: 1}})
	run()
	require.Equal(t, []string{"1", "2", "1", "2", "2"}, seen)
}
