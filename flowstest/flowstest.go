// Package flowstest runs functions in a unit test: on the real engine, over a log and a store in memory, without a broker,
// a database or a port. A test sends records, lets everything settle, and looks at what came of it: records, states, rows,
// dead letters. Crash shows that nothing is lost or doubled when the process dies.
//
// A message that a function fails on is tried again as often as anywhere, but a millisecond later where the function's
// ErrorPolicy leaves FirstWait and LongestWait unset: ten attempts take no time.
//
// It tests functions, not drivers: what Kafka and Postgres refuse, such as a row that breaks a constraint, is seen only there.
// Functions that requests come to over HTTP are compiled and not served.
package flowstest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

// T is what the package needs of a *testing.T or *testing.B.
type T interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Function is what an app runs: the config of any kind of function.
type Function interface {
	Compile() (*runtime.Function, error)
}

// App is a running app of some functions. Its methods are for the test's own goroutine; what goes wrong fails the test.
type App struct {
	t         T
	functions []*runtime.Function
	log       *memory.Log
	store     *memory.Store
	process   *process
	// sent counts records without a key, which go to the partitions in turn.
	sent uint32
}

// partitions is how many a topic has that declares no number.
const partitions = 3

// attemptWait is the wait before a message is tried again, where the function does not say how long it is.
const attemptWait = time.Millisecond

// settleTimeout is how long Settle waits without anything happening.
const settleTimeout = 10 * time.Second

// New runs an app of these functions until the test ends. Their topics and tables are there and empty. A config that is
// wrong fails the test.
func New(t T, functions ...Function) *App {
	t.Helper()
	a := &App{t: t, log: memory.NewLog(), store: memory.NewStore()}
	for _, f := range functions {
		compiled, err := f.Compile()
		if err != nil {
			t.Fatalf("flowstest: %v", err)
		}
		a.add(compiled)
	}
	if err := a.create(context.Background()); err != nil {
		t.Fatalf("flowstest: %v", err)
	}
	a.process = a.launch()
	t.Cleanup(a.stop)
	return a
}

// add adds a function and those that belong to it.
func (a *App) add(f *runtime.Function) {
	if policy := &f.Options.Errors; policy.FirstWait == 0 && policy.LongestWait == 0 {
		policy.FirstWait, policy.LongestWait = attemptWait, attemptWait
	}
	a.functions = append(a.functions, f)
	for _, part := range f.Parts {
		a.add(part)
	}
}

// create makes the topics and tables.
func (a *App) create(ctx context.Context) error {
	own := map[string]bool{}
	var states []runtime.StateTable
	var rows []*runtime.RowTable
	for _, f := range a.functions {
		for _, t := range f.OwnTopics() {
			own[t.Spec.Name] = true
		}
		if f.State != nil {
			states = append(states, f.State.Table)
		}
		rows = append(rows, f.Tables...)
	}
	for _, f := range a.functions {
		for _, spec := range append(append([]*topic.Spec{}, f.Inputs...), f.Outputs...) {
			if own[spec.Name] {
				continue
			}
			if err := a.createTopic(ctx, spec); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		runtime.CreateOwnTopics(ctx, a.log, 0, a.functions...), a.store.Migrate(ctx, states), a.store.CreateTables(ctx, rows),
	)
}

func (a *App) createTopic(ctx context.Context, spec *topic.Spec) error {
	n := spec.Partitions
	if n == 0 {
		n = partitions
	}
	return a.log.Create(ctx, []runtime.NewTopic{{Name: spec.Name, Partitions: n, Compacted: spec.Compacted}})
}

// Send appends records to their topics, as another program would. A topic that no function declares is made.
func (a *App) Send(records ...topic.Record) {
	a.t.Helper()
	for i := range records {
		if err := a.send(&records[i]); err != nil {
			a.t.Fatalf("flowstest: send: %v", err)
		}
	}
}

func (a *App) send(r *topic.Record) error {
	if r.Spec() == nil {
		return errors.New("the zero Record, which no topic made")
	}
	if err := r.Err(); err != nil {
		return err
	}
	if err := a.createTopic(context.Background(), r.Spec()); err != nil {
		return err
	}
	info, err := a.log.Describe(context.Background(), r.Spec().Name)
	if err != nil {
		return err
	}
	at := r.Timestamp()
	if at.IsZero() {
		at = time.Now()
	}
	a.sent++
	partition := r.Spec().Place(r.Key(), info.Partitions, a.sent)
	_, err = a.log.Append(info.Name, partition, runtime.Output{Key: r.Key(), Value: r.Value(), Headers: r.Headers(), Timestamp: at.UnixMilli()})
	return err
}

// Settle waits until every record is processed and everything that came of it is too. A function that stops with an
// error, or does not come to an end for ten seconds, fails the test.
func (a *App) Settle() {
	a.t.Helper()
	behind, before := "", ""
	for deadline := time.Now().Add(settleTimeout); ; time.Sleep(time.Millisecond) {
		if behind, before = a.behind(), behind; behind == "" {
			return
		}
		if behind != before {
			deadline = time.Now().Add(settleTimeout)
		}
		select {
		case <-a.process.ended:
			a.t.Fatalf("flowstest: %v", a.process.err)
			return
		default:
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("flowstest: not settled: %s%s", behind, a.reasons())
			return
		}
	}
}

// behind says what is not processed to its end; nothing where all is.
func (a *App) behind() string {
	var all []string
	ctx := context.Background()
	for _, f := range a.functions {
		if f.Route != nil {
			continue
		}
		for _, input := range f.Inputs {
			info, err := a.log.Describe(ctx, input.Name)
			if err != nil {
				return err.Error()
			}
			for p := range info.Partitions {
				at := runtime.TopicPartition{Topic: input.Name, Partition: p}
				_, end, err := a.log.Bounds(ctx, at)
				done, failure := a.log.Committed(ctx, f.Name, at)
				if err := errors.Join(err, failure); err != nil {
					return err.Error()
				}
				if done != end {
					all = append(all, fmt.Sprintf("function %s is at offset %d of %d of topic %s partition %d", f.Name, max(0, done), end, at.Topic, p))
				}
			}
		}
	}
	return strings.Join(all, "; ")
}

// reasons says why partitions wait.
func (a *App) reasons() string {
	var all strings.Builder
	for _, f := range a.process.engine.Status() {
		for _, p := range f.Partitions {
			if p.Reason != "" {
				fmt.Fprintf(&all, "; function %s waits: %s", f.Function, p.Reason)
			}
		}
	}
	return all.String()
}

// Failure waits until a function stops with an error and returns it; the test fails where none does for ten seconds. The app
// is over then. An error that is not permanent stops a function when its attempts are spent; one whose policy has waits of
// its own, and is to fail here, may take longer than that, unless it is given Attempts: 1.
func (a *App) Failure() error {
	a.t.Helper()
	select {
	case <-a.process.ended:
		return a.process.err
	case <-time.After(settleTimeout):
		a.t.Fatalf("flowstest: no function failed")
		return nil
	}
}

// Crash ends the app as kill -9 does, wherever it is, and starts it anew on what the log and the store have then.
func (a *App) Crash() {
	a.t.Helper()
	a.process.kill()
	a.process = a.launch()
}

// stop ends the app with the test. What a function failed with and nobody asked for was seen by Settle, or nobody cares.
func (a *App) stop() {
	a.process.cancel()
	<-a.process.ended
}
