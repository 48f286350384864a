// Package producer appends records to topics from outside any function: lines of a file, requests, generated data.
//
// A Producer keeps the order of what it is given for each partition and appends each record once, however often it has
// to send it again; that holds as long as the process lives. It makes no state and no checkpoint: what was appended
// before a crash is for its user to find out.
package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Config says what a Producer sends with.
type Config struct {
	Log runtime.Log
	// Clock and Logger are runtime.WallClock and a logger that discards unless set.
	Clock  runtime.Clock
	Logger *slog.Logger
	// BatchBytes bounds the record batch of one partition; 0 is 256 KiB. The producer holds at most two of them for
	// each partition: one that fills and one that is sent.
	BatchBytes int
	// Timeout is how long it goes on trying to send a batch while the log is unavailable; 0 is two minutes.
	Timeout time.Duration
}

const (
	defaultBatchBytes = 256 << 10
	defaultTimeout    = 2 * time.Minute
)

// ErrClosed says that the producer has been closed.
var ErrClosed = errors.New("the producer is closed")

// Producer appends records to topics. It is safe for use by many goroutines. A failure is final: it is the error of
// every call from then on.
type Producer struct {
	config   Config
	identity runtime.Identity
	stop     context.CancelFunc
	done     chan struct{}

	mu      sync.Mutex
	topics  map[string]*destination
	spread  uint32 // where records without a key go
	filling int    // records that wait to be sent
	sending int    // records that are being sent
	sent    int64  // records that are acknowledged
	err     error
	// told are who waits for the positions of what is being sent; only the goroutine that sends uses it.
	told map[runtime.TopicPartition][]ticket
	// filled has a token where something waits to be sent; changed is closed, and made anew, whenever room or err does.
	filled  chan struct{}
	changed chan struct{}
}

// New gets an identity from the log and starts the goroutine that sends; Close ends it.
func New(ctx context.Context, config Config) (*Producer, error) {
	if config.Clock == nil {
		config.Clock = runtime.WallClock
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.BatchBytes <= 0 {
		config.BatchBytes = defaultBatchBytes
	}
	if config.Timeout <= 0 {
		config.Timeout = defaultTimeout
	}
	p := &Producer{
		config:  config,
		topics:  map[string]*destination{},
		done:    make(chan struct{}),
		filled:  make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	err := p.retry(ctx, func() (err error) {
		p.identity, err = config.Log.NewIdentity(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("no producer identity: %w", err)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	go p.run(run)
	return p, nil
}

// Send queues a record for a topic and waits only where the queue of its partition is full. The record is copied. A record without a key goes to whatever partition has room; one without a timestamp gets the
// time of the call. The error is ctx's, the record's, or what stopped the producer.
func (p *Producer) Send(ctx context.Context, spec *topic.Spec, record runtime.Output) error {
	return p.queue(ctx, spec, record, nil)
}

// Append does what Send does, waits until the record is acknowledged, and returns where it is; its offset is -1 where the
// broker does not say. After an error that is ctx's the record may still be appended.
func (p *Producer) Append(ctx context.Context, spec *topic.Spec, record runtime.Output) (runtime.Position, error) {
	position := make(chan runtime.Position, 1)
	if err := p.queue(ctx, spec, record, position); err != nil {
		return runtime.Position{}, err
	}
	select {
	case at := <-position:
		return at, nil
	case <-ctx.Done():
		return runtime.Position{}, ctx.Err()
	case <-p.done:
	}
	select {
	case at := <-position: // the last that was acknowledged
		return at, nil
	default:
		return runtime.Position{}, p.Err()
	}
}

func (p *Producer) queue(ctx context.Context, spec *topic.Spec, record runtime.Output, position chan<- runtime.Position) error {
	to, err := p.destination(ctx, spec)
	if err != nil {
		return err
	}
	if record.Timestamp == 0 {
		record.Timestamp = p.config.Clock.Now().UnixMilli()
	}
	var alone runtime.Records
	if size := alone.Size(&record); size > to.limit {
		return fmt.Errorf("a record of %d bytes is too large for topic %s, which takes %d: %w", size, spec.Name, to.limit, runtime.ErrTooLarge)
	}
	for {
		full, err := p.offer(to, &record, position)
		if err != nil || full == nil {
			return err
		}
		select {
		case <-full:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// offer puts the record where there is room for it; else it returns a channel that is closed when there may be.
func (p *Producer) offer(
	to *destination, record *runtime.Output, position chan<- runtime.Position,
) (full <-chan struct{}, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	at := to.place(record.Key, p.spread)
	if !to.fits(at, record) && record.Key == nil {
		p.spread++
		at = to.place(record.Key, p.spread)
	}
	if !to.fits(at, record) {
		return p.changed, nil
	}
	to.add(at, record, position)
	p.filling++
	select {
	case p.filled <- struct{}{}:
	default:
	}
	return nil, nil
}

// Flush waits until everything that was queued is acknowledged.
func (p *Producer) Flush(ctx context.Context) error {
	for {
		p.mu.Lock()
		changed, err, waiting := p.changed, p.err, p.filling+p.sending
		p.mu.Unlock()
		if err != nil || waiting == 0 {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Sent returns how many records are acknowledged.
func (p *Producer) Sent() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// Err returns what stopped the producer, nil while it works.
func (p *Producer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Close stops sending and waits until the producer's goroutine has ended. What is not acknowledged by then may or may
// not be in the log; Flush before.
func (p *Producer) Close() {
	p.fail(ErrClosed)
	p.stop()
	<-p.done
}

// fail makes err what every call returns from now on, unless something failed before.
func (p *Producer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.announce()
}

// announce wakes whoever waits for a change; p.mu is held.
func (p *Producer) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}
