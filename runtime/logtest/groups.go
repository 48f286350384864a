package logtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

// holders says who holds what. Holding what another one holds fails the test.
type holders struct {
	t       *testing.T
	mu      sync.Mutex
	held    map[runtime.TopicPartition]string
	changed chan struct{}
}

func newHolders(t *testing.T) *holders {
	return &holders{t: t, held: map[runtime.TopicPartition]string{}, changed: make(chan struct{})}
}

func (h *holders) set(p runtime.TopicPartition, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other, ok := h.held[p]; ok && name != "" {
		h.t.Errorf("%s got %s/%d while %s had it", name, p.Topic, p.Partition, other)
	}
	if name == "" {
		delete(h.held, p)
	} else {
		h.held[p] = name
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// until waits until what is held fulfils a condition.
func (h *holders) until(ctx context.Context, what string, condition func(held map[runtime.TopicPartition]string) bool) {
	h.t.Helper()
	for {
		h.mu.Lock()
		held, changed := maps.Clone(h.held), h.changed
		h.mu.Unlock()
		if condition(held) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			require.FailNow(h.t, "never: "+what, "held: %v", held)
		}
	}
}

func count(held map[runtime.TopicPartition]string, name string) (n int) {
	for _, holder := range held {
		if holder == name {
			n++
		}
	}
	return n
}

// hold is an own that holds a partition until it is to be given back, and a moment longer.
func (h *holders) hold(name string) func(context.Context, runtime.Held) error {
	return func(ctx context.Context, held runtime.Held) error {
		h.set(held.TopicPartition, name)
		<-ctx.Done()
		time.Sleep(50 * time.Millisecond)
		h.set(held.TopicPartition, "")
		return ctx.Err()
	}
}

// joined is a Join under way.
type joined struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func (f *fixture) join(log runtime.Log, group runtime.Group, own func(context.Context, runtime.Held) error) *joined {
	ctx, cancel := context.WithCancel(f.ctx)
	j := &joined{t: f.t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(j.done)
		j.err = log.Join(ctx, group, own)
	}()
	f.t.Cleanup(func() {
		cancel()
		<-j.done
	})
	return j
}

// leave ends the Join, which is no error.
func (j *joined) leave() {
	j.t.Helper()
	j.cancel()
	<-j.done
	require.NoError(j.t, j.err)
}

func testAlone(t *testing.T, f *fixture) {
	p, h := f.topic(4), newHolders(t)
	assigned := make(chan int, 100)
	group := runtime.Group{Name: unique("group"), Topics: []string{p.Topic}, Assigned: func(n int) { assigned <- n }}
	j := f.join(f.log, group, h.hold("one"))
	h.until(f.ctx, "all partitions held", func(held map[runtime.TopicPartition]string) bool { return len(held) == 4 })
	for n := range assigned {
		if n == 4 {
			break
		}
	}
	j.leave()
	require.Empty(t, h.held)
}

// testShare has members come and go; a partition never has two holders, and in the end always one.
func testShare(t *testing.T, f *fixture) {
	p, h := f.topic(4), newHolders(t)
	group := runtime.Group{Name: unique("group"), Topics: []string{p.Topic}}
	one := f.join(f.log, group, h.hold("one"))
	h.until(f.ctx, "one has all", func(held map[runtime.TopicPartition]string) bool { return count(held, "one") == 4 })
	two := f.join(f.log, group, h.hold("two"))
	h.until(f.ctx, "both have two", func(held map[runtime.TopicPartition]string) bool {
		return count(held, "one") == 2 && count(held, "two") == 2
	})
	three := f.join(f.log, group, h.hold("three"))
	h.until(f.ctx, "all have some", func(held map[runtime.TopicPartition]string) bool {
		return len(held) == 4 && count(held, "one") > 0 && count(held, "two") > 0 && count(held, "three") > 0
	})
	one.leave()
	h.until(f.ctx, "two of three have all", func(held map[runtime.TopicPartition]string) bool {
		return count(held, "two") == 2 && count(held, "three") == 2
	})
	two.leave()
	h.until(f.ctx, "three has all", func(held map[runtime.TopicPartition]string) bool { return count(held, "three") == 4 })
	three.leave()
	require.Empty(t, h.held)
}

func testMemberFails(t *testing.T, f *fixture) {
	p, h := f.topic(3), newHolders(t)
	group := runtime.Group{Name: unique("group"), Topics: []string{p.Topic}}
	broken := errors.New("broken")
	var all sync.WaitGroup
	all.Add(3)
	hold := h.hold("one")
	j := f.join(f.log, group, func(ctx context.Context, held runtime.Held) error {
		all.Done()
		if held.Partition == 1 {
			all.Wait()
			return broken
		}
		return hold(ctx, held)
	})
	<-j.done
	require.ErrorIs(t, j.err, broken)
	require.Empty(t, h.held, "Join returned while a partition was held")
	// The others of the group go on.
	next := f.join(f.log, group, h.hold("two"))
	h.until(f.ctx, "the next member has all", func(held map[runtime.TopicPartition]string) bool { return count(held, "two") == 3 })
	next.leave()
}

// testMemberIdle shows that returning is no way to give a partition back.
func testMemberIdle(t *testing.T, f *fixture) {
	p, h := f.topic(2), newHolders(t)
	group := runtime.Group{Name: unique("group"), Topics: []string{p.Topic}}
	hold := h.hold("one")
	idle := make(chan struct{})
	calls := 0
	j := f.join(f.log, group, func(ctx context.Context, held runtime.Held) error {
		if held.Partition == 0 {
			calls++
			close(idle)
			return nil
		}
		return hold(ctx, held)
	})
	<-idle
	h.until(f.ctx, "the other partition held", func(held map[runtime.TopicPartition]string) bool { return len(held) == 1 })
	select {
	case <-j.done:
		require.FailNow(t, "Join ended", "%v", j.err)
	case <-time.After(300 * time.Millisecond):
	}
	j.leave()
	require.Equal(t, 1, calls)
}

// testRelease has an own that goes on for longer than the group waits for it.
func testRelease(t *testing.T, f *fixture) {
	p, h := f.topic(1), newHolders(t)
	group := runtime.Group{Name: unique("group"), Topics: []string{p.Topic}, Release: 300 * time.Millisecond}
	begun, end := make(chan struct{}), make(chan struct{})
	stubborn := f.join(f.log, group, func(context.Context, runtime.Held) error {
		close(begun)
		<-end
		return nil
	})
	<-begun
	stubborn.cancel()
	next := f.join(f.log, group, h.hold("two"))
	h.until(f.ctx, "the next member has it", func(held map[runtime.TopicPartition]string) bool { return len(held) == 1 })
	select {
	case <-stubborn.done:
		require.FailNow(t, "Join returned before own")
	default:
	}
	close(end)
	stubborn.leave()
	next.leave()
}

func testMarks(t *testing.T, f *fixture) {
	p := f.topic(2)
	f.sent(p, f.identity(), 0, records("a", 20))
	group := runtime.Group{Name: unique("group"), Topics: []string{p.Topic}}
	committed := func() int64 {
		var offset int64
		f.eventually(func() (err error) {
			offset, err = f.log.Committed(f.ctx, group.Name, p)
			return err
		})
		return offset
	}
	require.EqualValues(t, -1, committed())
	for _, marks := range [][]int64{{3, 5, 7}, {12}, {1_000_000}, {4}} {
		marked := make(chan struct{})
		j := f.join(f.log, group, func(ctx context.Context, held runtime.Held) error {
			if held.Partition == 0 {
				for _, offset := range marks {
					held.Mark(offset)
				}
				close(marked)
			}
			<-ctx.Done()
			return nil
		})
		<-marked
		j.leave()
		require.Equal(t, marks[len(marks)-1], committed(), "left without committing")
	}
	offset, err := f.log.Committed(f.ctx, group.Name, runtime.TopicPartition{Topic: p.Topic, Partition: 1})
	require.NoError(t, err)
	require.EqualValues(t, -1, offset)

	mark := make(chan int64)
	j := f.join(f.log, group, func(ctx context.Context, held runtime.Held) error {
		for held.Partition == 0 && ctx.Err() == nil {
			select {
			case offset := <-mark:
				held.Mark(offset)
			case <-ctx.Done():
			}
		}
		<-ctx.Done()
		return nil
	})
	mark <- 15
	require.Eventually(t, func() bool { return committed() == 15 }, patience, 100*time.Millisecond, "not committed while held")
	j.leave()
}

func testUnknownGroup(t *testing.T, f *fixture) {
	err := f.log.Join(f.ctx, runtime.Group{Name: unique("group"), Topics: []string{unique("topic")}},
		func(context.Context, runtime.Held) error { return nil })
	require.ErrorIs(t, err, runtime.ErrUnknownTopic)
}

func testCancelled(t *testing.T, f *fixture) {
	p := f.topic(1)
	f.sent(p, f.identity(), 0, records("a", 1))
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	calls := map[string]func() error{
		"Describe": func() error { _, err := f.log.Describe(ctx, p.Topic); return err },
		"Create":   func() error { return f.log.Create(ctx, []runtime.NewTopic{{Name: unique("topic"), Partitions: 1}}) },
		"Open": func() error {
			_, err := f.log.Open(ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
			return err
		},
		"Bounds":      func() error { _, _, err := f.log.Bounds(ctx, p); return err },
		"Committed":   func() error { _, err := f.log.Committed(ctx, "g", p); return err },
		"NewIdentity": func() error { _, err := f.log.NewIdentity(ctx); return err },
		"Send": func() error {
			_, err := f.log.Send(ctx, runtime.Identity{ProducerID: 1}, []runtime.RecordBatch{{TopicPartition: p, Records: runtime.Encode(records("a", 1)...)}})
			return err
		},
		"Producer": func() error { _, err := f.log.Producer(ctx, p, 1); return err },
		"Batches": func() error {
			return f.log.Batches(ctx, runtime.Position{TopicPartition: p}, func(runtime.BatchHeader) bool { return true })
		},
		"Ping": func() error { return f.log.Ping(ctx) },
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		require.ErrorIs(t, calls[name](), context.Canceled, name)
	}
	require.EqualValues(t, 1, f.end(p))
	// A member that is called off at once is no error either.
	require.NoError(t, f.log.Join(ctx, runtime.Group{Name: unique("group"), Topics: []string{p.Topic}},
		func(ctx context.Context, _ runtime.Held) error { <-ctx.Done(); return nil }))
}
