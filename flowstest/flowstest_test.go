package flowstest_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/flowstest"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func counting(function func(context.Context, topic.Message[string, string], int64) (int64, topic.Records, error)) flowstest.Function {
	return stateful.Config[string, string, int64]{
		Name: "count", Input: words, Outputs: topic.List{counts}, State: format.Int64(), Table: "word_count", Function: function,
		Options: stateful.Options{BatchMessages: 5},
	}
}

func TestCrashesLoseAndDoubleNothing(t *testing.T) {
	app := flowstest.New(t, counting(count))
	sent := map[string]int64{}
	for i := range 200 {
		key := strconv.Itoa(i % 7)
		sent[key]++
		app.Send(words.Record(key, ""))
		if i%40 == 20 {
			app.Crash()
		}
	}
	app.Settle()
	seen, states := map[string]int64{}, map[string]string{}
	for _, m := range flowstest.Records(app, counts) {
		seen[m.Key]++
		require.Equal(t, seen[m.Key], m.Value)
		states[m.Key] = strconv.FormatInt(m.Value, 10)
	}
	require.Equal(t, sent, seen)
	require.Equal(t, states, app.State("word_count"))
}

func TestDeadLetters(t *testing.T) {
	app := flowstest.New(t, counting(func(ctx context.Context, m topic.Message[string, string], n int64) (int64, topic.Records, error) {
		if m.Value == "bad" {
			return 0, nil, runtime.Permanent(errors.New("bad word"))
		}
		return count(ctx, m, n)
	}))
	app.Send(words.Record("a", "good"), words.Record("a", "bad"), words.Record("a", "good"))
	app.Settle()
	require.Equal(t, map[string]string{"a": "2"}, app.State("word_count"))
	letters := app.DeadLetters("count")
	require.Len(t, letters, 1)
	reason, _ := letters[0].Headers.Last(runtime.HeaderReason)
	require.Contains(t, string(reason), "bad word")
}

func stopping() flowstest.Function {
	return stateless.Config[string, string]{
		Name: "stop", Input: words,
		Function: func(context.Context, topic.Message[string, string]) (topic.Records, error) {
			return nil, runtime.Permanent(errors.New("no more"))
		},
		Options: stateless.Options{Errors: runtime.ErrorPolicy{Permanent: runtime.Stop}},
	}
}

func TestFailure(t *testing.T) {
	app := flowstest.New(t, stopping())
	app.Send(words.Record("a", ""))
	require.ErrorContains(t, app.Failure(), "no more")
}

// TestFailureOfTheLastAttempt: an error that may pass stops a function once its attempts are spent, which takes no time here.
func TestFailureOfTheLastAttempt(t *testing.T) {
	calls := 0
	app := flowstest.New(t, counting(func(context.Context, topic.Message[string, string], int64) (int64, topic.Records, error) {
		calls++
		return 0, nil, errors.New("not today")
	}))
	app.Send(words.Record("a", ""))
	require.ErrorContains(t, app.Failure(), "not today")
	require.Equal(t, runtime.DefaultAttempts, calls)
}

// failures is a T that keeps what a test would fail with, and ends the goroutine as testing does.
type failures struct {
	*testing.T
	said string
}

func (f *failures) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	goruntime.Goexit()
}

// said returns what a test fails with.
func said(t *testing.T, test func(t flowstest.T)) string {
	f := &failures{T: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(f)
	}()
	<-done
	return f.said
}

func TestWhatATestFailsWith(t *testing.T) {
	require.Contains(t, said(t, func(t flowstest.T) { flowstest.New(t, counting(nil)) }), "Function")
	require.Contains(t, said(t, func(t flowstest.T) {
		app := flowstest.New(t, stopping())
		app.Send(words.Record("a", ""))
		app.Settle()
	}), "function stop: topic words partition")
	require.Contains(t, said(t, func(t flowstest.T) { flowstest.New(t).Send(topic.Record{}) }), "zero Record")
}

// TestInVirtualTime: a test may run in a bubble of virtual time, so that waiting for retries costs nothing.
func TestInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		app := flowstest.New(t, counting(func(ctx context.Context, m topic.Message[string, string], n int64) (int64, topic.Records, error) {
			if calls++; calls < 4 {
				return 0, nil, errors.New("not yet")
			}
			return count(ctx, m, n)
		}))
		app.Send(words.Record("a", ""))
		app.Settle()
		require.Equal(t, map[string]string{"a": "1"}, app.State("word_count"))
		require.Equal(t, 4, calls)
	})
	synctest.Test(t, func(t *testing.T) {
		require.Regexp(t, "^flowstest: not settled: function never is at offset 0 of 1 .*; function never waits: .*not today$", said(t, func(t flowstest.T) {
			app := flowstest.New(t, stateless.Config[string, string]{
				Name: "never", Input: words,
				Function: func(context.Context, topic.Message[string, string]) (topic.Records, error) {
					return nil, errors.New("not today")
				},
				// A function that says how long to wait is waited for.
				Options: stateless.Options{Errors: runtime.ErrorPolicy{FirstWait: time.Hour, LongestWait: time.Hour}},
			})
			app.Send(words.Record("a", ""))
			app.Settle()
		}))
	})
	synctest.Test(t, func(t *testing.T) {
		require.Contains(t, said(t, func(t flowstest.T) { _ = flowstest.New(t, counting(count)).Failure() }), "no function failed")
	})
}
