package runtime

import (
	"slices"
	"strings"
	"time"
)

// batch is some messages of a partition on their way through compute, commit and send.
type batch struct {
	// ordinal numbers the batches of a claim from where the checkpoint's pending ones ended.
	ordinal int64
	// from is the offset of the first message, next the one behind the last.
	from, next int64
	// outputs is what is sent, with the sequences taken for it.
	outputs pending
	writes  StateWrites
	deletes StateDeletes
	changes []Change
	// states is what the writes' states lie in, kept for its space.
	states  []byte
	pending []byte
	dirty   []*entry
	// locked is set where the batch is computed while its rows are locked.
	locked   *lockedJob
	discards discards
	stats    BatchStats
	// oldest is the earliest timestamp of the inputs, in milliseconds.
	oldest time.Time
}

// reset makes the batch an empty one that keeps the space it has.
func (b *batch) reset(ordinal int64) {
	clear(b.dirty)
	clear(b.changes)
	clear(b.writes.Keys)
	clear(b.deletes.Keys)
	*b = batch{
		ordinal: ordinal,
		outputs: pending{ordinal: ordinal, sections: b.outputs.sections[:0]},
		writes: StateWrites{
			Keys: b.writes.Keys[:0], States: b.writes.States[:0], Versions: b.writes.Versions[:0], Fresh: b.writes.Fresh[:0],
		},
		deletes: StateDeletes{Keys: b.deletes.Keys[:0], Versions: b.deletes.Versions[:0]},
		changes: b.changes[:0],
		states:  b.states[:0],
		pending: b.pending[:0],
		dirty:   b.dirty[:0],
	}
}

// section starts one more record batch for a partition, in space that an earlier batch used where there is some.
func (b *batch) section(partition TopicPartition, sequence int32) int {
	sections := b.outputs.sections
	n := len(sections)
	if n < cap(sections) {
		sections = sections[:n+1]
		sections[n].TopicPartition, sections[n].Sequence = partition, sequence
		sections[n].Records.truncate()
	} else {
		sections = append(sections, RecordBatch{TopicPartition: partition, Sequence: sequence})
	}
	b.outputs.sections = sections
	return n
}

// encodeStates fills writes and deletes from the entries that the batch changed. stamp is the version of rows that are
// new: a row that was deleted and made again must not look like the one it was.
func (b *batch) encodeStates(state *State, c *cache, stamp int64) error {
	slices.SortFunc(b.dirty, func(x, y *entry) int { return strings.Compare(x.key, y.key) })
	ends := make([]int, 0, len(b.dirty))
	for _, e := range b.dirty {
		before := len(b.states)
		data, zero, err := state.Append(b.states, e.state)
		if err != nil {
			return &stateError{key: e.key, err: err}
		}
		if zero {
			b.remove(e)
			c.resize(e, 0)
			continue
		}
		b.states = data
		ends = append(ends, len(data))
		b.write(e, stamp)
		c.resize(e, len(data)-before)
	}
	start := 0
	for _, end := range ends {
		b.writes.States = append(b.writes.States, b.states[start:end:end])
		start = end
	}
	return nil
}

func (b *batch) write(e *entry, stamp int64) {
	fresh := !e.stored
	if fresh {
		b.writes.FreshRows++
		e.version = stamp
	} else {
		e.version++
	}
	e.stored = true
	b.writes.Keys = append(b.writes.Keys, e.key)
	b.writes.Versions = append(b.writes.Versions, e.version)
	b.writes.Fresh = append(b.writes.Fresh, fresh)
}

func (b *batch) remove(e *entry) {
	if !e.stored {
		return
	}
	e.stored = false
	b.deletes.Keys = append(b.deletes.Keys, e.key)
	b.deletes.Versions = append(b.deletes.Versions, e.version)
}

// stateError says that the state of a key could not be encoded.
type stateError struct {
	key string
	err error
}

func (e *stateError) Error() string { return "state: " + e.err.Error() }
func (e *stateError) Unwrap() error { return e.err }

// discards counts the messages of a batch that the function was not applied to, and keeps one of them to tell of.
type discards struct {
	deadLetters, skips int
	offset             int64
	reason             error
}

func (d *discards) add(action Action, offset int64, reason error) {
	if d.reason == nil {
		d.offset, d.reason = offset, reason
	}
	if action == Skip {
		d.skips++
	} else {
		d.deadLetters++
	}
}
