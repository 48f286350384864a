package flows

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	// stopTimeout is how long the process may take to end in order once it was told to; with the rest of ending it stays
	// within the ten seconds that orchestrators leave before they kill.
	stopTimeout = 9 * time.Second
	// statusKilled is the status of a process that a second signal ended.
	statusKilled = 130
)

// untilSignal returns a context that is done at the first SIGTERM or SIGINT. After it the process has stopTimeout to
// end in order; a second signal ends it at once. release gives the signals back.
func untilSignal(stderr io.Writer, name string) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-signals:
		case <-done:
			return
		}
		cancel()
		late := time.NewTimer(stopTimeout)
		defer late.Stop()
		select {
		case <-signals:
			os.Exit(statusKilled)
		case <-late.C:
			_, _ = fmt.Fprintf(stderr, "%s: not stopped in order within %s; what was not committed is done at the next start\n", name, stopTimeout)
			os.Exit(1)
		case <-done:
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		watching.Wait()
		cancel()
	}
}
