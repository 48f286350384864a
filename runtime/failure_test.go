package runtime_test

import (
	"bytes"
	"context"
	"errors"
	goruntime "runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/topic"
)

// stopping is the policy under which the first failure stops the function.
var stopping = runtime.ErrorPolicy{Permanent: runtime.Stop, Spent: runtime.Stop, Attempts: 1}

// picky counts words and, at the word "bad", does what it is given.
func picky(t *testing.T, options runtime.Options, bad func(word topic.Message[string, string], n int64) (int64, topic.Records, error)) *runtime.Function {
	f, err := stateful.Config[string, string, int64]{
		Name: "count", Input: words, Outputs: topic.List{counts}, State: fussy{format.Int64()}, Table: "word_count",
		Function: func(_ context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
			if word.Key == "bad" {
				return bad(word, n)
			}
			return n + 1, topic.Records{counts.Record(word.Key, n+1)}, nil
		},
		Options: options,
	}.Compile()
	require.NoError(t, err)
	return f
}

// fussy is a format of numbers that cannot encode -1 and panics at -2.
type fussy struct{ format.Format[int64] }

var errFussy = errors.New("not this number")

func (f fussy) Append(dst []byte, n int64) ([]byte, error) {
	switch n {
	case -1:
		return nil, errFussy
	case -2:
		panic("fussy")
	}
	return f.Format.Append(dst, n)
}

type badFunction = func(word topic.Message[string, string], n int64) (int64, topic.Records, error)

var errBad = errors.New("bad word")

func failures() map[string]struct {
	bad  badFunction
	key  []byte
	is   error
	says string
} {
	elsewhere := topic.New("elsewhere", format.String(), format.Int64())
	type failure = struct {
		bad  badFunction
		key  []byte
		is   error
		says string
	}
	bad := []byte("bad")
	return map[string]failure{
		"error": {func(topic.Message[string, string], int64) (int64, topic.Records, error) { return 0, nil, errBad }, bad, errBad, "bad word"},
		"panic": {func(topic.Message[string, string], int64) (int64, topic.Records, error) { panic("oops") }, bad, nil, "panic: oops"},
		"undeclared output": {func(w topic.Message[string, string], _ int64) (int64, topic.Records, error) {
			return 1, topic.Records{counts.Record(w.Key, 1), elsewhere.Record(w.Key, 1)}, nil
		}, bad, runtime.ErrUndeclared, "elsewhere"},
		"record of no topic": {func(topic.Message[string, string], int64) (int64, topic.Records, error) {
			return 1, topic.Records{{}}, nil
		}, bad, runtime.ErrUndeclared, "zero Record"},
		"reserved header": {func(w topic.Message[string, string], _ int64) (int64, topic.Records, error) {
			return 1, topic.Records{counts.Record(w.Key, 1).WithHeader("flows-mine", nil)}, nil
		}, bad, runtime.ErrReserved, "flows-mine"},
		"too large a record": {func(_ topic.Message[string, string], _ int64) (int64, topic.Records, error) {
			return 1, topic.Records{counts.Record(string(bytes.Repeat([]byte("x"), 2<<20)), 1)}, nil
		}, bad, runtime.ErrRecordTooLarge, "topic counts"},
		"record that cannot be encoded": {func(topic.Message[string, string], int64) (int64, topic.Records, error) {
			return 1, topic.Records{counts.Record("\xff", 1)}, nil
		}, bad, nil, "UTF-8"},
		"state that cannot be encoded": {func(topic.Message[string, string], int64) (int64, topic.Records, error) { return -1, nil, nil }, bad, errFussy, "state"},
		"format that panics":           {func(topic.Message[string, string], int64) (int64, topic.Records, error) { return -2, nil, nil }, bad, nil, "panic: fussy"},
		"undecodable":                  {nil, []byte{0xff}, nil, "key is no"},
		"no key":                       {nil, nil, stateful.ErrNoKey, "no key"},
		"NUL in a key":                 {nil, []byte("a\x00b"), stateful.ErrKeyNUL, "NUL"},
	}
}

// TestAFailureStopsTheFunctionAtItsMessage: everything before the message is committed and sent, nothing after, and the error
// says which message it was.
func TestAFailureStopsTheFunctionAtItsMessage(t *testing.T) {
	for name, c := range failures() {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				r.putMany(12, 4)
				r.append(0, runtime.Output{Key: c.key, Value: []byte("v")})
				r.append(0, runtime.Output{Key: []byte("w1"), Value: []byte("after")})
				bad := c.bad
				if bad == nil {
					bad = func(topic.Message[string, string], int64) (int64, topic.Records, error) { return 0, nil, errBad }
				}
				err := r.failure(r.start(r.log, r.store, picky(t, runtime.Options{Errors: stopping}, bad)))
				var message *runtime.MessageError
				require.ErrorAs(t, err, &message)
				require.Equal(t, "count", message.Function)
				require.Equal(t, runtime.Position{TopicPartition: runtime.TopicPartition{Topic: "words"}, Offset: 12}, message.Position)
				require.Equal(t, c.key, message.Key)
				if c.is != nil {
					require.ErrorIs(t, err, c.is)
				}
				key := "null"
				if c.key != nil {
					key = strconv.Quote(string(c.key))
				}
				require.Contains(t, err.Error(), "function count: topic words partition 0 offset 12 key "+key+": ")
				require.Contains(t, err.Error(), c.says)
				require.NotContains(t, err.Error(), "\n")
				r.check()
				require.Equal(t, int64(12), r.checkpoint(0).Next)
				require.Zero(t, r.pending(), "all before it is acknowledged")
			})
		})
	}
}

// TestAFailureWithASlowBroker: what came before the message is sent even when the broker is away at that moment.
// TestWhatCannotBeEncodedIsPermanent: a function gives the same again however often it is tried.
func TestWhatCannotBeEncodedIsPermanent(t *testing.T) {
	policy := runtime.ErrorPolicy{Permanent: runtime.Stop, Spent: runtime.Skip, Attempts: 1}
	for _, name := range []string{"record that cannot be encoded", "state that cannot be encoded", "too large a record", "undecodable", "no key"} {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				c := failures()[name]
				r.append(0, runtime.Output{Key: c.key, Value: []byte("v")})
				err := r.failure(r.start(r.log, r.store, picky(t, runtime.Options{Errors: policy}, c.bad)))
				require.ErrorContains(t, err, c.says)
			})
		})
	}
}

func TestAFailureWithASlowBroker(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.putMany(12, 4)
		r.append(0, runtime.Output{Key: []byte("bad")})
		log := &faultyLog{Log: r.log}
		away := 5
		log.send = func(ctx context.Context, identity runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
			if away--; away > 0 {
				return nil, runtime.ErrUnavailable
			}
			return r.log.Send(ctx, identity, batches)
		}
		f := picky(t, runtime.Options{Errors: stopping}, func(topic.Message[string, string], int64) (int64, topic.Records, error) { return 0, nil, errBad })
		require.ErrorIs(t, r.failure(r.start(log, r.store, f)), errBad)
		r.check()
	})
}

// TestAFailureOfOneFunctionDrainsTheOthers: what another function has begun is finished, and its error is the engine's.
func TestAFailureOfOneFunctionDrainsTheOthers(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		other := countFunction(t, runtime.Options{})
		broken := picky(t, runtime.Options{Errors: stopping}, func(topic.Message[string, string], int64) (int64, topic.Records, error) { return 0, nil, errBad })
		broken.Name, broken.Outputs = "broken", nil
		r.putMany(12, 4)
		r.append(0, runtime.Output{Key: []byte("bad"), Value: []byte("x")})
		err := r.failure(r.start(r.log, r.store, broken, other))
		var of *runtime.FunctionError
		require.ErrorAs(t, err, &of)
		require.Equal(t, "broken", of.Function)
		require.Zero(t, r.pending())
	})
}

// TestARetriedMessageIsAppliedOnce: a function that fails at times in the end does what one does that never fails.
func TestARetriedMessageIsAppliedOnce(t *testing.T) {
	for _, options := range []runtime.Options{{}, {BatchMessages: 1}, {BatchMessages: 5}} {
		inRig(t, 1, func(r *rig) {
			calls := 0
			f, err := stateful.Config[string, string, int64]{
				Name: "count", Input: words, Outputs: topic.List{counts}, State: format.Int64(), Table: "word_count",
				Function: func(_ context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
					switch calls++; {
					case calls%7 == 0:
						return 0, nil, errBad
					case calls%11 == 0:
						panic("at times")
					}
					return n + 1, topic.Records{counts.Record(word.Key, n+1)}, nil
				},
				Options: options,
			}.Compile()
			require.NoError(t, err)
			r.putMany(100, 9)
			e := r.start(r.log, r.store, f)
			r.awaitAll()
			r.stop(e)
			require.Positive(t, r.seen.count(runtime.MessageRetried))
		})
	}
}

func TestAFunctionThatEndsItsGoroutine(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.append(0, runtime.Output{Key: []byte("bad"), Value: []byte("x")})
		f := picky(t, runtime.Options{}, func(topic.Message[string, string], int64) (int64, topic.Records, error) {
			goruntime.Goexit()
			return 0, nil, nil
		})
		require.ErrorContains(t, r.failure(r.start(r.log, r.store, f)), "Goexit")
	})
}

// TestAFunctionThatEndsItsGoroutineWithLockedRows: it is another goroutine then, on which others wait.
func TestAFunctionThatEndsItsGoroutineWithLockedRows(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		commits := 0
		store := &faultyStore{Store: r.store, commit: func(ctx context.Context, batch *runtime.Commit) error {
			if commits++; commits == 2 { // the first one says where the partition begins
				return runtime.ErrConflict
			}
			return r.store.Commit(ctx, batch)
		}}
		r.append(0, runtime.Output{Key: []byte("good"), Value: []byte("x")})
		r.append(0, runtime.Output{Key: []byte("bad"), Value: []byte("x")})
		calls := 0
		f := picky(t, runtime.Options{}, func(topic.Message[string, string], int64) (int64, topic.Records, error) {
			if calls++; calls > 1 {
				goruntime.Goexit()
			}
			return 1, nil, nil
		})
		require.ErrorContains(t, r.failure(r.start(r.log, store, f)), "Goexit")
		require.Equal(t, 2, calls)
	})
}

func TestExactlyOnceNeedsAStore(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		err := r.failure(r.start(r.log, nil, countFunction(t, runtime.Options{})))
		require.ErrorIs(t, err, runtime.ErrNoStore)
		require.ErrorContains(t, err, "function count")
	})
}
