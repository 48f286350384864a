package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// taskCommand is the command by which this program runs itself as a contender.
const taskCommand = "task"

// task is what a contender in a process of its own is to do.
type task struct {
	// Work is a key of workers.
	Work string
	// Name is of groups, functions and checkpoints.
	Name     string
	Brokers  []string
	Database string
	Inputs   []string
	Outputs  []string
	Settings settings
	// Endless runs until its standard input is closed, whatever has been handled.
	Endless bool
	// AtLeastOnce needs no database. Again says that rows come again, and Insert that none does.
	AtLeastOnce, Again, Insert bool
	// Instance makes it a static member of its group.
	Instance string
	Profile  string
}

// Events that a contender tells of.
const (
	given = "given" // by the group
	first = "first" // batch is acknowledged
	half  = "half"  // of the messages are handled
	done  = "done"
)

// event is a line that a contender prints.
type event struct {
	What string
	At   time.Time
	// Took is the time of the work, from its first message to the last acknowledgement, for done.
	Took time.Duration
	// Figures are what was counted by then.
	Figures figures
}

// workers do the work of tasks; tell prints an event.
var workers = map[string]func(ctx context.Context, t task, tell func(event)) error{
	"count":     workCount,
	"map":       workMap,
	"join":      workJoin,
	"rows":      workRows,
	"padded":    workPadded,
	"sarama":    workSarama,
	"in-memory": workInMemory,
	"franz-go":  workFranz,
}

// runTask does the work of one task. It ends when that is done, and when whoever started it is gone.
func runTask(ctx context.Context, arguments []string) error {
	if len(arguments) != 1 {
		return errors.New("a task is started by measure")
	}
	var t task
	if err := json.Unmarshal([]byte(arguments[0]), &t); err != nil {
		return err
	}
	work, ok := workers[t.Work]
	if !ok {
		return fmt.Errorf("there is no work %q", t.Work)
	}
	// An interrupt goes to all of the terminal's processes; this one has to wait for its parent.
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var mutex sync.Mutex
	out := json.NewEncoder(os.Stdout)
	err := work(ctx, t, func(e event) {
		mutex.Lock()
		defer mutex.Unlock()
		if e.At.IsZero() {
			e.At = time.Now()
		}
		if err := out.Encode(e); err != nil {
			cancel() // Nobody listens any more.
		}
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
