package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

const (
	defaultQueueBytes = 4 << 20
	// leastFetch and mostFetch bound what is asked for at once for one partition.
	leastFetch, mostFetch = 64 << 10, 4 << 20
	// unknownPatience is how long a topic may be unknown to the brokers before its reader gives up: one that has just
	// started may not have heard of all topics.
	unknownPatience = 5 * time.Second
)

// reader is a runtime.Reader. A lane fills its queue, and asks for no more while it is full.
type reader struct {
	runtime.TopicPartition
	readers *readers
	limit   func() int
	end     atomic.Int64
	arrived chan struct{}

	// These belong to whoever has the reader: a lane, or the search for one. fetch is how many bytes are asked for at once,
	// and growth how many each of them takes in memory. lost says that a broker refused it and nothing was read since,
	// unknown since when brokers say that there is no such topic.
	next    int64
	fetch   int32
	growth  float64
	epoch   int32
	lost    bool
	unknown time.Time

	mu     sync.Mutex
	lane   *lane
	blocks []block
	queued int
	// sated is what the lane was told last: that nothing more is wanted. It may have gone to sleep by that, and the limit may
	// have grown since.
	sated bool
	// final ends reading, trouble is told once.
	final, trouble error
	closed         bool
}

// block is what one fetch brought.
type block struct {
	messages []topic.Raw
	bytes    int
	// whole is all messages that were fetched, those that are taken already included.
	whole []topic.Raw
}

// spaces are for the messages of blocks to come: those of a block are copied when they are read.
var spaces sync.Pool

// newSpace returns room for n messages.
func newSpace(n int) []topic.Raw {
	if n == 0 {
		return nil
	}
	if space, ok := spaces.Get().(*[]topic.Raw); ok && cap(*space) >= n {
		return (*space)[:0]
	}
	return make([]topic.Raw, 0, n)
}

// release gives the block's space away.
func (b *block) release() {
	whole := b.whole
	clear(whole)
	spaces.Put(&whole)
}

// Open implements runtime.Log.
func (l *Log) Open(ctx context.Context, from runtime.Position, limits runtime.ReadLimits) (runtime.Reader, error) {
	r := &reader{
		TopicPartition: from.TopicPartition, readers: l.readers, limit: limits.Bytes,
		next: from.Offset, arrived: make(chan struct{}, 1),
	}
	if r.limit == nil {
		r.limit = func() int { return defaultQueueBytes }
	}
	// The first answer tells how much larger messages are than what is sent of them.
	r.fetch = leastFetch
	r.end.Store(-1)
	if from.Offset < 0 {
		return nil, classify(at("open", from.TopicPartition), sarama.ErrOffsetOutOfRange)
	}
	_, err := await(ctx, l, func() (struct{}, error) { return struct{}{}, l.readers.place(r) })
	if err != nil {
		return nil, errors.Join(classify(at("open", from.TopicPartition), err), r.Close())
	}
	return r, nil
}

// sized sets how much is asked for next, after an answer whose messages take so many bytes: what fills half of the queue.
// Messages take more bytes than they are sent as, many more where they are compressed. more says that the broker had more
// than it was asked for.
//
// An answer ends within a batch that is thrown away, and where that is a large one there is little else, so that messages seem
// to grow little. The next answer begins with that batch, whole, and tells; until then no more than twice as much is asked for.
func (r *reader) sized(bytes int, more bool) {
	if more {
		r.growth = float64(bytes) / float64(r.fetch)
	}
	if r.growth > 0 {
		wanted := min(float64(r.limit()/2)/r.growth, 2*float64(r.fetch))
		r.fetch = int32(min(mostFetch, max(leastFetch, wanted)))
	}
}

// Read implements runtime.Reader.
func (r *reader) Read(ctx context.Context, dst []topic.Raw, limit int) ([]topic.Raw, error) {
	for {
		read, err := r.take(dst, limit)
		if err != nil || len(read) > len(dst) {
			return read, err
		}
		select {
		case <-r.arrived:
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
}

// take appends what is queued, or else returns what there is to tell.
func (r *reader) take(dst []topic.Raw, limit int) ([]topic.Raw, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.blocks) == 0 {
		err := r.final
		if err == nil {
			err, r.trouble = r.trouble, nil
		}
		return dst, err
	}
	room := r.limit()
	for len(r.blocks) > 0 && limit > 0 {
		head := &r.blocks[0]
		n := min(limit, len(head.messages))
		dst, limit = append(dst, head.messages[:n]...), limit-n
		if n < len(head.messages) {
			head.messages = head.messages[n:]
			break
		}
		r.queued -= head.bytes
		head.release()
		r.blocks[0] = block{}
		r.blocks = r.blocks[1:]
	}
	if r.sated && r.queued < room && r.lane != nil {
		r.sated = false
		r.lane.poke()
	}
	return dst, nil
}

// End implements runtime.Reader.
func (r *reader) End() int64 { return r.end.Load() }

// Close implements runtime.Reader.
func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed, r.blocks, r.queued, r.final = true, nil, 0, errClosedReader
	if r.lane != nil {
		r.lane.poke()
	}
	return nil
}

var errClosedReader = errors.New("kafka: reader is closed")

// append queues what was fetched.
func (r *reader) append(b block) {
	r.mu.Lock()
	if !r.closed && len(b.messages) > 0 {
		b.whole = b.messages
		r.blocks = append(r.blocks, b)
		r.queued += b.bytes
	}
	r.mu.Unlock()
	r.tell()
}

// fail tells the caller of an error; reading goes on where it is one that passes.
func (r *reader) fail(err error) {
	err = classify(at("read", r.TopicPartition), err)
	r.mu.Lock()
	if errors.Is(err, runtime.ErrUnavailable) {
		r.trouble = err
	} else if r.final == nil {
		r.final = err
	}
	r.mu.Unlock()
	r.tell()
}

// tell wakes the caller, if it waits.
func (r *reader) tell() {
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

// state says whether nothing more is to be fetched, done, or nothing for now, full.
func (r *reader) state() (done, full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sated = r.queued >= r.limit()
	return r.closed || r.final != nil, r.sated
}

func (r *reader) moveTo(l *lane) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lane = l
}
