package runtime

import (
	"context"
	"time"
)

// Clock is the engine's source of time, so that tests decide how it passes.
type Clock interface {
	Now() time.Time
	// After returns a channel that gets the time once d has passed, and a function that gives up on it.
	After(d time.Duration) (<-chan time.Time, func())
	// AfterFunc calls f in a goroutine of its own once d has passed, unless the function that it returns is called before.
	AfterFunc(d time.Duration, f func()) func()
}

// WallClock is the clock of the machine.
var WallClock Clock = wallClock{}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

func (wallClock) AfterFunc(d time.Duration, f func()) func() {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// Sleep waits for d by the clock or until ctx is done, and says whether d has passed.
func Sleep(ctx context.Context, clock Clock, d time.Duration) bool {
	after, stop := clock.After(d)
	defer stop()
	select {
	case <-after:
		return true
	case <-ctx.Done():
		return false
	}
}
