package runtime

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// owner runs one function on one partition for as long as the group leaves it to this process. It claims the
// partition, processes it, and when something fails that may pass, claims it again: there is one way to recover from
// everything, and it is the way of a new process after a crash.
type owner struct {
	function *Function
	options  Options
	limits   limits
	held     Held
	log      Log
	store    Store
	clock    Clock
	observer Observer
	logger   *slog.Logger
	random   rand.Source
	status   *partitionTracker
	// durable says that the store is a real one: outputs are kept until acknowledged, positions outlive the process.
	durable bool
	// reached is the highest position that this process saw committed; -1 before.
	reached int64
	// skipped is the offset to which deleted messages are passed over.
	skipped  int64
	suspects suspects
	// conflicts is how many state conflicts there were in a row.
	conflicts int
}

// Waits between attempts.
const (
	firstWait = 100 * time.Millisecond
	longWait  = 5 * time.Second
	// fencedWait is how long a fenced owner waits before it claims again, for a process that is no longer the group's
	// choice to find that out.
	fencedWait = time.Second
)

// waits are those between attempts at what is unavailable.
type waits struct {
	backoff.ExponentialBackOff
	random rand.Source
}

func newWaits(random rand.Source) *waits {
	return &waits{ExponentialBackOff: backoff.ExponentialBackOff{InitialInterval: firstWait, MaxInterval: longWait, Multiplier: 2}, random: random}
}

// next returns the next wait.
func (w *waits) next() time.Duration { return vary(w.NextBackOff(), w.random) }

// vary makes a wait up to a half shorter or longer, so that those who wait for the same do not all come back at once.
func vary(wait time.Duration, random rand.Source) time.Duration {
	return wait/2 + time.Duration(random.Uint64()%(uint64(wait)+1))
}

// anyRandom is math/rand/v2's own source.
type anyRandom struct{}

func (anyRandom) Uint64() uint64 { return rand.Uint64() }

// run processes the partition until ctx is done, which is no error, or something final fails.
func (o *owner) run(ctx context.Context) error {
	defer o.happened(PartitionReleased, 1)
	waits := newWaits(o.random)
	for {
		before := o.reached
		err := o.attempt(ctx)
		if o.reached > before {
			waits.Reset()
		}
		wait, fatal := o.judge(err, waits)
		if ctx.Err() != nil && !final(fatal) {
			return nil
		}
		if fatal != nil {
			return fatal
		}
		if !Sleep(ctx, o.clock, wait) {
			return nil
		}
	}
}

// final says that an error is worth reporting even though the partition is being given back.
func final(err error) bool {
	return err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// judge decides what to do after an attempt: wait and claim again, or give up.
func (o *owner) judge(err error, waits *waits) (wait time.Duration, fatal error) {
	var (
		message *MessageError
		refused *refusedError
	)
	switch {
	case err == nil:
		// Without an error, an attempt ends because the partition is to be given back.
		return 0, nil
	case errors.As(err, &message):
		return 0, err
	case errors.As(err, &refused):
		o.logger.Debug("looking for the message whose row is refused", "err", err, "messages", refused.messages)
		o.suspects.refused(refused)
		return 0, nil
	case errors.Is(err, ErrStoreBehind):
		// Before the errors that pass, one of which may be how that was found out.
		return 0, err
	case errors.Is(err, ErrFenced):
		o.happened(CommitFenced, 1)
		o.retrying("another process has claimed the partition", err, fencedWait)
		return fencedWait, nil
	case errors.Is(err, ErrConflict):
		o.conflicts++
		o.happened(StateConflict, 1)
		if o.conflicts == 1 {
			o.logger.Warn("a state is written by several partitions; going on with locked rows. Re-key the input through an intermediate topic to avoid this", "err", err)
		}
		return 0, nil
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrOutOfRange), errors.Is(err, ErrOutOfOrder), errors.Is(err, ErrStaleIdentity):
		// The last three are sorted out by a claim, which finds out what the log has.
		wait = waits.next()
		o.happened(Retried, 1)
		o.retrying("trying again", err, wait)
		return wait, nil
	default:
		return 0, err
	}
}

// happened tells the observer of an event of the partition, n times.
func (o *owner) happened(event Event, n int) {
	o.observer.Happened(o.function.Name, o.held.TopicPartition, event, n)
}

func (o *owner) retrying(what string, err error, wait time.Duration) {
	o.status.retrying(err.Error())
	o.logger.Warn(what, "err", err, "wait", wait)
}

// attempt claims the partition and processes it until something fails or ctx is done.
func (o *owner) attempt(ctx context.Context) error {
	o.status.enter(Claiming)
	c, err := o.take(ctx)
	if err != nil {
		return err
	}
	if err := c.process(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	return errGone
}

// errGone says that a function ended the goroutine that it was called in, as testing.T.FailNow does.
var errGone = errors.New("the function ended its goroutine (runtime.Goexit) instead of returning")
