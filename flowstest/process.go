package flowstest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/kappaflows/flows/runtime"
)

// process is one life of the app.
type process struct {
	engine *runtime.Engine
	cancel context.CancelFunc
	dead   atomic.Bool
	// ended is closed when the engine has returned, with err.
	ended chan struct{}
	err   error
}

func (a *App) launch() *process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{cancel: cancel, ended: make(chan struct{})}
	p.engine = runtime.New(runtime.Config{Functions: a.functions, Log: mortalLog{a.log, p}, Store: mortalStore{a.store, p}})
	go func() {
		defer close(p.ended)
		p.err = p.engine.Run(ctx)
	}()
	return p
}

// kill ends the process; from now on nothing that it does has an effect.
func (p *process) kill() {
	p.dead.Store(true)
	p.cancel()
	<-p.ended
}

// errKilled is what a process that was killed gets from everything it calls.
var errKilled = errors.New("killed")

func (p *process) alive() error {
	if p.dead.Load() {
		return errKilled
	}
	return nil
}

// mortalLog is the log as a process reaches it while it lives.
type mortalLog struct {
	runtime.Log
	process *process
}

func (l mortalLog) Send(ctx context.Context, id runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	if err := l.process.alive(); err != nil {
		return nil, err
	}
	return l.Log.Send(ctx, id, batches)
}

// mortalStore is the store as a process reaches it while it lives.
type mortalStore struct {
	runtime.Store
	process *process
}

func (s mortalStore) Claim(ctx context.Context, key runtime.CheckpointKey) (runtime.Checkpoint, error) {
	if err := s.process.alive(); err != nil {
		return runtime.Checkpoint{}, err
	}
	return s.Store.Claim(ctx, key)
}

func (s mortalStore) Commit(ctx context.Context, commit *runtime.Commit) error {
	if err := s.process.alive(); err != nil {
		return err
	}
	return s.Store.Commit(ctx, commit)
}

func (s mortalStore) CommitLocked(ctx context.Context, table string, keys []string, compute func([]runtime.StateRow) (*runtime.Commit, error)) error {
	return s.Store.CommitLocked(ctx, table, keys, func(rows []runtime.StateRow) (*runtime.Commit, error) {
		commit, err := compute(rows)
		return commit, errors.Join(err, s.process.alive())
	})
}
