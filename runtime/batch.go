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
	// outputs is what is sent, with the sequences taken for it. Once it is encoded, in pending, its records are parts of
	// that.
	outputs pending
	pending []byte
	*effects
	// locked is set where the batch is computed while its rows are locked.
	locked   *lockedJob
	discards discards
	stats    BatchStats
	// touched is how many bytes the states took that it may have changed.
	touched int
	// oldest is the timestamp of the first input.
	oldest time.Time
}

// effects is what a batch does to the store besides moving the checkpoint. It belongs to the batch until that is committed,
// and is emptied for another one then, which may be long in coming.
type effects struct {
	writes  StateWrites
	deletes StateDeletes
	changes []Change
	// states is what the writes' states lie in, kept for its space.
	states []byte
	dirty  []*entry
}

// reset makes the batch an empty one that keeps the space it has, and has the effects if it has none.
func (b *batch) reset(ordinal int64, of *effects) {
	if b.effects != nil {
		of = b.effects
	}
	of.reset()
	*b = batch{
		ordinal: ordinal,
		outputs: pending{ordinal: ordinal, sections: b.outputs.sections[:0]},
		effects: of,
	}
}

func (f *effects) reset() {
	clear(f.dirty)
	clear(f.changes)
	clear(f.writes.Keys)
	clear(f.writes.States)
	clear(f.deletes.Keys)
	*f = effects{
		writes: StateWrites{
			Keys: f.writes.Keys[:0], States: f.writes.States[:0], Versions: f.writes.Versions[:0], Fresh: f.writes.Fresh[:0],
		},
		deletes: StateDeletes{Keys: f.deletes.Keys[:0], Versions: f.deletes.Versions[:0]},
		changes: f.changes[:0],
		dirty:   f.dirty[:0],
	}
}

// section starts one more record batch for a partition, in the space that is given.
func (b *batch) section(partition TopicPartition, sequence int32, space []byte) int {
	b.outputs.sections = append(b.outputs.sections, RecordBatch{
		TopicPartition: partition, Sequence: sequence, Records: Records{Bytes: space},
	})
	return len(b.outputs.sections) - 1
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

// Permanent says that another attempt makes the same state.
func (e *stateError) Permanent() bool { return true }

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
