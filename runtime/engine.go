package runtime

import (
	"context"
	"log/slog"
)

// Config is what an Engine runs and with what.
type Config struct {
	Functions []*Function
	Log       Log
	// Store may be nil where no function needs one.
	Store Store
	// Clock, Observer and Logger are WallClock, NoObserver and a logger that discards unless set.
	Clock    Clock
	Observer Observer
	Logger   *slog.Logger
}

// Engine runs functions.
type Engine struct {
	config Config
}

// New returns an engine; it does nothing until Run.
func New(config Config) *Engine { return &Engine{config: config} }

// Run runs the functions until ctx is done, then drains and returns nil; or until one of them fails, which is the
// error. It owns every goroutine that it starts. It expects topics and tables to be there (see Store.Migrate).
func (e *Engine) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Status returns what each function is doing now, in the order of Config.Functions. It may be called at any time.
func (e *Engine) Status() []Status { return nil }
