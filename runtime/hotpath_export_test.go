package runtime

import (
	"context"
	"time"

	"github.com/kappaflows/flows/topic"
)

// HotPath is what one partition's goroutines do with every batch, between reading and the ports.
type HotPath struct {
	processor *processor
	ledger    *ledger
	batch     *batch
	// scratch is a batch that comes to nothing.
	scratch  *batch
	messages []topic.Raw
	identity Identity
}

// emptyStore has no states.
type emptyStore struct{ groupStore }

func (emptyStore) Load(context.Context, string, []string) ([]StateRow, error) { return nil, nil }

// NewHotPath returns the hot path of a function whose states are all cached.
func NewHotPath(f *Function, messages []topic.Raw) *HotPath {
	budget := newBudget(0, 0)
	r := &router{budget: budget}
	for _, spec := range f.Outputs {
		r.targets = append(r.targets, &target{spec: spec, limit: 1 << 20, doors: []door{
			{partition: TopicPartition{Topic: spec.Name}, batch: -1},
		}})
	}
	h := &HotPath{messages: messages, batch: &batch{effects: &effects{}}, scratch: &batch{ordinal: 1 << 40, effects: &effects{}}, ledger: newLedger(&Checkpoint{}, 0, TopicID{}, Identity{}, nil, "")}
	h.processor = &processor{
		function: f, options: f.Options.withDefaults(), store: emptyStore{}, clock: WallClock, random: anyRandom{}, router: r, durable: true,
	}
	h.processor.limits = limits{&h.processor.options, budget, weight(f)}
	h.processor.cache = newCache(h.processor.limits.cacheBytes)
	h.ledger.outlets = map[TopicPartition]outlet{}
	h.Batch()
	return h
}

// Batch computes a batch and the commit of it.
func (h *HotPath) Batch() {
	h.processor.router.reclaim(h.batch)
	h.processor.limits.budget.spaces.give(h.batch.states)
	h.batch.reset(h.batch.ordinal+1, nil)
	if _, failed, err := h.processor.run(context.Background(), nil, h.batch, h.messages, h.identity); failed != nil || err != nil {
		panic("the hot path failed")
	}
	h.EncodeCheckpoint()
}

// Find looks up the states of a batch.
func (h *HotPath) Find() { h.processor.find(h.messages, len(h.messages)) }

// Route puts records into a batch as outputs, and takes them back.
func (h *HotPath) Route(records topic.Records, at time.Time) {
	h.processor.router.reclaim(h.scratch)
	h.scratch.reset(h.scratch.ordinal+1, nil)
	for i := range records {
		if err := h.processor.router.add(h.scratch, &records[i], at); err != nil {
			panic(err)
		}
	}
	h.processor.router.undo(h.scratch)
}

// EncodeStates encodes the states that the last batch changed.
func (h *HotPath) EncodeStates() {
	b := h.batch
	b.writes = StateWrites{Keys: b.writes.Keys[:0], States: b.writes.States[:0], Versions: b.writes.Versions[:0], Fresh: b.writes.Fresh[:0]}
	b.states = b.states[:0]
	if err := b.encodeStates(h.processor.function.State, h.processor.cache, 1); err != nil {
		panic(err)
	}
}

// EncodePending encodes the outputs of the last batch.
func (h *HotPath) EncodePending(buf []byte) []byte {
	return h.batch.outputs.append(buf)
}

// EncodeCheckpoint makes the commit of the last batch.
func (h *HotPath) EncodeCheckpoint() *Commit {
	for s := range h.ledger.slots {
		h.ledger.slots[s] = free
	}
	return h.ledger.commit(h.batch, h.batch.pending, h.batch.ordinal, nil)
}
