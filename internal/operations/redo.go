package operations

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Redoing is what is to become of dead letters.
type Redoing struct {
	Function *runtime.Function
	// Decision is for those that are chosen; the others in front of them go to the end of their topic.
	Decision runtime.Decision
	// Chosen and Total are how many are chosen, and how many there are.
	Chosen, Total int

	chosen map[Place]bool
	// ends are, for each partition with chosen ones, where to stop.
	ends map[runtime.TopicPartition]int64
}

// PlanRedo chooses dead letters and says what is to be done with them. Nothing has changed yet.
func (o Operator) PlanRedo(ctx context.Context, f *runtime.Function, selection Selection, decision runtime.Decision) (*Redoing, error) {
	r := &Redoing{Function: f, Decision: decision, chosen: map[Place]bool{}, ends: map[runtime.TopicPartition]int64{}}
	letters := runtime.DeadLetterTopic(f.Name).Name
	total, err := o.Letters(ctx, f, selection, func(l *Letter) error {
		r.chosen[Place{l.Partition, l.Offset}] = true
		r.ends[runtime.TopicPartition{Topic: letters, Partition: l.Partition}] = l.Offset + 1
		return nil
	})
	r.Chosen, r.Total = len(r.chosen), total
	return r, err
}

// Redone is what became of dead letters.
type Redone struct {
	// DeadAgain is how many of those that were tried again are dead letters again.
	DeadAgain int
}

// Redo does what was planned. It ends when all chosen letters are dealt with. When it is interrupted, by whatever, each
// letter has been dealt with once or not at all, and those that were not are dead letters as before.
func (o Operator) Redo(ctx context.Context, r *Redoing) (Redone, error) {
	if r.Chosen == 0 {
		return Redone{}, nil
	}
	redo := redone(r.Function, func(letter *topic.Raw, partition int32) runtime.Decision {
		if r.chosen[Place{partition, letter.Offset}] {
			return r.Decision
		}
		return runtime.Keep
	})
	counts := &deaths{Observer: runtime.NoObserver}
	engine := runtime.New(runtime.Config{
		Functions: []*runtime.Function{redo}, Log: bounded{o.Log, r.ends}, Store: o.Store, Observer: counts, Logger: o.Logger,
	})
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(running) }()
	o.awaitRedone(ctx, redo, r.ends, ended)
	stop()
	err := <-ended
	if err == nil {
		err = ctx.Err()
	}
	return Redone{DeadAgain: int(counts.count.Load())}, err
}

// redonePause is how often the positions are looked at.
const redonePause = 200 * time.Millisecond

// awaitRedone waits until the positions are at the ends. An engine that ended before puts its error back.
func (o Operator) awaitRedone(ctx context.Context, redo *runtime.Function, ends map[runtime.TopicPartition]int64, ended chan error) {
	for {
		positions, err := o.Positions(ctx, redo)
		if err != nil && ctx.Err() == nil {
			o.Logger.Warn("looking at the positions again", "err", err)
		}
		if err == nil && reached(positions, ends) {
			return
		}
		select {
		case err := <-ended:
			ended <- err
			return
		case <-ctx.Done():
			return
		case <-time.After(redonePause):
		}
	}
}

func reached(positions []Position, ends map[runtime.TopicPartition]int64) bool {
	left := len(ends)
	for _, p := range positions {
		if end, waited := ends[p.TopicPartition]; waited && max(p.Next, p.Start) >= end {
			left--
		}
	}
	return left == 0
}

// deaths counts messages that became dead letters again.
type deaths struct {
	runtime.Observer
	count atomic.Int64
}

func (d *deaths) Happened(_ string, _ runtime.TopicPartition, event runtime.Event, n int) {
	if event == runtime.MessageDeadLettered {
		d.count.Add(int64(n))
	}
}

// bounded is a log whose readers do not go beyond the ends: letters that come back to the end of their topic must not
// be read again and again.
type bounded struct {
	runtime.Log
	ends map[runtime.TopicPartition]int64
}

// Open implements runtime.Log.
func (b bounded) Open(ctx context.Context, from runtime.Position, limits runtime.ReadLimits) (runtime.Reader, error) {
	reader, err := b.Log.Open(ctx, from, limits)
	if err != nil {
		return nil, err
	}
	return &boundedReader{Reader: reader, next: from.Offset, end: b.ends[from.TopicPartition]}, nil
}

type boundedReader struct {
	runtime.Reader
	next, end int64
}

// Read implements runtime.Reader. At the end it waits like at the end of a partition.
func (r *boundedReader) Read(ctx context.Context, dst []topic.Raw, limit int) ([]topic.Raw, error) {
	if r.next >= r.end {
		<-ctx.Done()
		return dst, ctx.Err()
	}
	before := len(dst)
	dst, err := r.Reader.Read(ctx, dst, limit)
	for i := before; i < len(dst); i++ {
		if dst[i].Offset >= r.end {
			r.next, dst = r.end, dst[:i]
			if i == before && err == nil { // nothing is left below the end
				return r.Read(ctx, dst, limit)
			}
			return dst, err
		}
		r.next = dst[i].Offset + 1
	}
	return dst, err
}

// String says in a few words what is to be done.
func (r *Redoing) String() string {
	if r.Decision == runtime.Drop {
		return fmt.Sprintf("drop %s of function %s", r.letters(), r.Function.Name)
	}
	return fmt.Sprintf("apply function %s again to %s", r.Function.Name, r.letters())
}

func (r *Redoing) letters() string {
	switch {
	case r.Total == 1:
		return "the only dead letter"
	case r.Chosen == r.Total:
		return "all " + Count(r.Total, "dead letter")
	default:
		return fmt.Sprintf("%d of %s", r.Chosen, Count(r.Total, "dead letter"))
	}
}

// Count says how many there are of something.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
