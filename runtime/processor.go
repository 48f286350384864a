package runtime

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/topic"
)

// processor applies a function to the messages of one partition: loads states, calls the function in order, and makes
// batches that are ready to be committed. It is used by one goroutine.
type processor struct {
	function *Function
	options  Options
	limits   limits
	source   TopicPartition
	store    Store
	clock    Clock
	random   rand.Source
	cache    *cache
	router   *router
	// durable says that pending outputs are kept in the checkpoint.
	durable bool
	entries []*entry
	missing []string
	// statesSize is how many bytes the states of the last batch took.
	statesSize int
	// late says that the batch has taken its time. Asking a timer's channel instead costs more than most functions.
	late atomic.Bool
	// at is the index of the message that the function is being applied to, or was last, for when it or a format panics.
	at int
}

// failedAt says which message of a run of messages the function could not be applied to.
type failedAt struct {
	index int
	err   error
}

// maxBatchTime is how long messages are added to a batch, so that the results of a slow function are not held back.
const maxBatchTime = 100 * time.Millisecond

// run applies the function to as many of the messages as fit into one batch and returns how many. Where the function
// fails on one, the batch is void: failed says on which, and the states are as they were only after forget.
//
// The function is called under ctx; the batch is cut short when stop is closed.
func (p *processor) run(ctx context.Context, stop <-chan struct{}, b *batch, messages []topic.Raw, identity Identity) (n int, failed *failedAt, err error) {
	start := p.clock.Now()
	messages, err = p.load(ctx, b, messages)
	if err != nil {
		return 0, nil, err
	}
	b.stats.Load = p.clock.Now().Sub(start)
	n, failed = p.process(ctx, stop, b, messages, identity)
	return n, failed, nil
}

// runWith does the same with rows of all the messages' keys, which are locked, in place of what the cache has.
func (p *processor) runWith(ctx context.Context, stop <-chan struct{}, b *batch, messages []topic.Raw, keys []string, rows []StateRow, identity Identity) (n int, failed *failedAt, err error) {
	for _, key := range keys {
		if e := p.cache.entries[key]; e != nil {
			p.cache.drop(e)
		}
	}
	p.find(messages, len(messages))
	if err := p.fill(rows); err != nil {
		return 0, nil, err
	}
	n, failed = p.process(ctx, stop, b, messages, identity)
	return n, failed, nil
}

// process applies the function to messages whose states are loaded, and encodes what came of it.
func (p *processor) process(ctx context.Context, stop <-chan struct{}, b *batch, messages []topic.Raw, identity Identity) (n int, failed *failedAt) {
	start := p.clock.Now()
	p.at = 0
	// What is evicted from the cache until the next batch must not be held here.
	defer clear(p.entries)
	defer func() {
		if v := recover(); v != nil {
			failed = &failedAt{index: p.at, err: &PanicError{Value: v, Stack: debug.Stack()}}
		}
	}()
	n, failed = p.apply(ctx, stop, b, messages)
	if failed == nil {
		b.from, b.next, b.oldest = messages[0].Offset, messages[n-1].Offset+1, messages[0].Timestamp
		failed = p.encode(b, messages[:n], identity)
	}
	b.stats.In, b.stats.Compute = n, p.clock.Now().Sub(start)
	return n, failed
}

// load finds the states of the messages' keys: in the cache, else with one query. It returns the messages from the first on
// whose states could be afforded.
func (p *processor) load(ctx context.Context, b *batch, messages []topic.Raw) ([]topic.Raw, error) {
	if p.function.State == nil {
		return messages, nil
	}
	messages = p.find(messages, p.affordable())
	b.stats.CacheMisses = len(p.missing)
	b.stats.CacheHits = len(messages) - len(p.missing)
	if len(p.missing) == 0 {
		return messages, nil
	}
	rows, err := p.store.Load(ctx, p.function.State.Table.Name, p.missing)
	if err != nil {
		return nil, fmt.Errorf("load states: %w", err)
	}
	return messages, p.fill(rows)
}

// affordable is how many states may be loaded for one batch: as many as the cache, or a buffer, may hold, going by what
// those in the cache take.
func (p *processor) affordable() int {
	const unknown = 1 << 10
	mean := unknown
	if n := len(p.cache.ring); n > 0 {
		mean = p.cache.bytes / n
	}
	return max(1, max(p.limits.cacheBytes(), p.limits.batchBytes())/mean)
}

// find sets entries to those of the messages, and missing to the keys whose states are not known, at most so many. It returns
// the messages whose entries there are.
func (p *processor) find(messages []topic.Raw, most int) []topic.Raw {
	p.entries, p.missing = p.entries[:0], p.missing[:0]
	for i := range messages {
		if len(p.missing) == most && p.cache.entries[string(messages[i].Key)] == nil {
			return messages[:i]
		}
		e := p.cache.find(messages[i].Key)
		if !e.loaded && !e.used {
			// used marks an entry that is asked for already.
			e.used = true
			p.miss(e)
		}
		p.entries = append(p.entries, e)
	}
	return messages
}

// miss notes that the state of a key must be loaded. A key that is text and that no database takes as text has none; it
// is the function's to refuse.
func (p *processor) miss(e *entry) {
	if !p.storable(e.key) {
		e.state, e.loaded = p.function.State.New(), true
		return
	}
	p.missing = append(p.missing, e.key)
}

// storable says whether the table can have a row for the key.
func (p *processor) storable(key string) bool {
	return p.function.State.Table.Key != format.Text || (strings.IndexByte(key, 0) < 0 && utf8.ValidString(key))
}

// fill sets the entries of the missing keys from their rows; a key without one has the zero state.
func (p *processor) fill(rows []StateRow) error {
	for i := range rows {
		e := p.cache.entries[rows[i].Key]
		if e == nil {
			return errors.New("load states: the store returned a key that was not asked for")
		}
		state, err := p.function.State.Decode(rows[i].State)
		if err != nil {
			return fmt.Errorf("table %s: state of key %s: %w", p.function.State.Table.Name, showKey([]byte(e.key)), err)
		}
		e.state, e.version, e.stored, e.loaded = state, rows[i].Version, true, true
		p.cache.resize(e, len(rows[i].State))
	}
	for _, key := range p.missing {
		if e := p.cache.entries[key]; !e.loaded {
			e.state, e.version, e.stored, e.loaded = p.function.State.New(), 0, false, true
		}
	}
	return nil
}

// apply calls the function on the messages in order until one fails, the batch is full, or its time is up.
func (p *processor) apply(ctx context.Context, stop <-chan struct{}, b *batch, messages []topic.Raw) (n int, failed *failedAt) {
	p.late.Store(false)
	most := size{inputs: p.limits.batchBytes(), outputs: p.limits.outputBytes(), states: mostStates}
	defer p.clock.AfterFunc(maxBatchTime, func() { p.late.Store(true) })()
	in := &Input{}
	var changes []Change
	for i := range messages {
		if i > 0 && p.full(b, most, stop) {
			return i, nil
		}
		p.at = i
		*in = p.input(&messages[i])
		in.Changes = changes
		if err := p.one(ctx, b, in, i); err != nil {
			return i, &failedAt{index: i, err: err}
		}
		changes = in.Changes[:0]
	}
	return len(messages), nil
}

// size is what a batch holds in bytes.
type size struct{ inputs, outputs, states int }

// mostStates bounds the states that one commit writes, however large the cache is that they come from: a database takes
// no message of a gigabyte.
const mostStates = 64 << 20

func (p *processor) full(b *batch, most size, stop <-chan struct{}) bool {
	if b.stats.InBytes >= most.inputs || b.stats.OutBytes >= most.outputs || b.touched >= most.states || p.late.Load() {
		return true
	}
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

func (p *processor) input(message *topic.Raw) Input {
	return Input{Raw: *message, Topic: p.source.Topic, Partition: p.source.Partition}
}

func (p *processor) one(ctx context.Context, b *batch, in *Input, i int) error {
	b.stats.InBytes += in.Size()
	var state any
	if p.function.State != nil {
		e := p.entries[i]
		if e.batch != b.ordinal {
			e.batch = b.ordinal
			b.dirty = append(b.dirty, e)
			b.touched += e.size
		}
		state = e.state
	}
	records, err := p.function.Apply(ctx, in, state)
	if err != nil {
		return p.refuse(b, in, err)
	}
	for r := range records {
		if err := p.router.add(b, &records[r], in.Timestamp); err != nil {
			return err
		}
	}
	b.changes = append(b.changes, in.Changes...)
	return nil
}

// refuse deals with a message that the user's function was not even called for, without ending the batch: nothing has
// changed yet. Any other failure is the batch's.
func (p *processor) refuse(b *batch, in *Input, err error) error {
	var undecodable *topic.DecodeError
	if action := p.options.Errors.Permanent; !errors.As(err, &undecodable) || action == Stop {
		return err
	}
	return p.discard(b, in, p.options.Errors.Permanent, firstAttempt, err)
}

// firstAttempt is the number of a message's first attempt.
const firstAttempt = 1

// discard goes on without a message: it skips it or puts it into the batch as a dead letter.
func (p *processor) discard(b *batch, in *Input, action Action, attempt int, reason error) error {
	b.discards.add(action, in.Offset, reason)
	if action == Skip {
		return nil
	}
	if p.source.Topic == p.function.DeadLetter.Name {
		attempt += attemptsOf(in)
		revive(in)
	}
	letter := deadLetter(p.function.origin(), in, attempt, reason, p.clock.Now())
	if err := p.router.addOutput(b, p.function.DeadLetter, letter); err != nil {
		return fmt.Errorf("%w; and it cannot be kept as a dead letter: %w", reason, err)
	}
	return nil
}

// discardOne makes a batch of one message that the function is not applied to.
func (p *processor) discardOne(b *batch, message *topic.Raw, action Action, attempt int, reason error, identity Identity) error {
	in := p.input(message)
	b.from, b.next, b.oldest, b.stats.In, b.stats.InBytes = in.Offset, in.Offset+1, in.Timestamp, 1, in.Size()
	if err := p.discard(b, &in, action, attempt, reason); err != nil {
		return err
	}
	if failed := p.encode(b, nil, identity); failed != nil {
		return failed.err
	}
	return nil
}

// encode makes the bytes that the store gets.
func (p *processor) encode(b *batch, messages []topic.Raw, identity Identity) *failedAt {
	if p.function.State != nil {
		b.states = p.limits.budget.spaces.take(withMargin(p.statesSize))
		if err := b.encodeStates(p.function.State, p.cache, newStamp(p.random)); err != nil {
			return blame(err, messages)
		}
		p.statesSize = len(b.states)
	}
	b.outputs.identity = identity
	if p.durable && len(b.outputs.sections) > 0 {
		p.router.keep(b)
	}
	return nil
}

// newStamp returns a version for new rows that no row is likely to have had, with room to count up.
func newStamp(random rand.Source) int64 { return int64(random.Uint64()>>2) + 1 }

// blame finds the message that made a state what cannot be encoded: the last one of its key.
func blame(err error, messages []topic.Raw) *failedAt {
	if s, ok := errors.AsType[*stateError](err); ok {
		for i, message := range slices.Backward(messages) {
			if string(message.Key) == s.key {
				return &failedAt{index: i, err: err}
			}
		}
	}
	return &failedAt{index: len(messages) - 1, err: err}
}

// forget takes back what a batch that is void has done to the states and the sequences. Batches before it must be
// committed, since the states are read from the store again.
func (p *processor) forget(b *batch) {
	p.router.undo(b)
	p.router.reclaim(b)
	for _, e := range b.dirty {
		p.cache.drop(e)
	}
}
