package ingress

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/producer"
	"github.com/kappaflows/flows/topic"
)

// appender appends the records of requests without a key, in batches with those of others.
type appender struct {
	log    runtime.Log
	clock  runtime.Clock
	logger *slog.Logger

	mutex sync.Mutex
	// current is the producer; nil before the first request, and after one that failed.
	current *producer.Producer
}

// appendTimeout is how long a batch is sent again while the log is away; the requests in it have given up before.
const appendTimeout = 10 * time.Second

func (a *appender) append(ctx context.Context, spec *topic.Spec, output runtime.Output) (runtime.Position, error) {
	p, err := a.producer(ctx)
	if err != nil {
		return runtime.Position{}, err
	}
	at, err := p.Append(ctx, spec, output)
	if p.Err() != nil {
		a.failed(p)
	}
	return at, err
}

// producer returns the producer, or starts one.
func (a *appender) producer(ctx context.Context) (*producer.Producer, error) {
	a.mutex.Lock()
	current := a.current
	a.mutex.Unlock()
	if current != nil {
		return current, nil
	}
	started, err := producer.New(ctx, producer.Config{Log: a.log, Clock: a.clock, Logger: a.logger, Timeout: appendTimeout})
	if err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.current == nil {
		a.current = started
		return started, nil
	}
	// Somebody else was faster.
	started.Close()
	return a.current, nil
}

// failed forgets a producer, whose failures are final.
func (a *appender) failed(p *producer.Producer) {
	a.mutex.Lock()
	mine := a.current == p
	if mine {
		a.current = nil
	}
	a.mutex.Unlock()
	if mine {
		p.Close()
	}
}

func (a *appender) close() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.current != nil {
		a.current.Close()
		a.current = nil
	}
}
