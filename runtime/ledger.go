package runtime

import "maps"

// ledger is what the checkpoint row says as of the last commit, and makes the next commit of it. It is used by one
// goroutine.
type ledger struct {
	key      CheckpointKey
	epoch    int64
	next     int64
	topicID  TopicID
	identity Identity
	outlets  map[TopicPartition]outlet
	// slots holds the ordinal of the batch in each slot, -1 where it is free.
	slots [Slots]int64
	table string
}

// free is the ordinal of no batch.
const free = -1

// clears is what frees a slot: see Commit.Put.
var clears = []byte{}

// newLedger returns the ledger of a checkpoint whose pending batches are all in the log.
func newLedger(cp *Checkpoint, next int64, id TopicID, identity Identity, outlets map[TopicPartition]outlet, table string) *ledger {
	l := &ledger{key: cp.CheckpointKey, epoch: cp.Epoch, next: next, topicID: id, identity: identity, outlets: maps.Clone(outlets), table: table}
	for s := range l.slots {
		l.slots[s] = free
		if len(cp.Pending[s]) > 0 {
			l.slots[s] = settled
		}
	}
	return l
}

// settled is the ordinal of batches of earlier claims: lower than any of this claim.
const settled = 0

// room says whether a slot is free or holds an acknowledged batch. Batches below acked are acknowledged.
func (l *ledger) room(acked int64) bool { return l.slot(acked) >= 0 }

func (l *ledger) slot(acked int64) int {
	for s, ordinal := range l.slots {
		if ordinal < acked {
			return s
		}
	}
	return -1
}

// occupied says whether a slot holds a batch, acknowledged or not.
func (l *ledger) occupied() bool {
	for _, ordinal := range l.slots {
		if ordinal != free {
			return true
		}
	}
	return false
}

// clearable says whether a slot holds a batch that is acknowledged.
func (l *ledger) clearable(acked int64) bool {
	for _, ordinal := range l.slots {
		if ordinal != free && ordinal < acked {
			return true
		}
	}
	return false
}

// commit returns what the store is told of a batch, or of none to free the slots of acknowledged batches. kept is what the
// checkpoint keeps of its outputs; the batch needs room.
func (l *ledger) commit(b *batch, kept []byte, acked int64, offsets map[TopicPartition]int64) *Commit {
	c := &Commit{CheckpointKey: l.key, Epoch: l.epoch, From: l.next, Next: l.next, TopicID: l.topicID, Identity: l.identity}
	for s, ordinal := range l.slots {
		if ordinal != free && ordinal < acked {
			c.Put[s], l.slots[s] = clears, free
		}
	}
	for key, offset := range offsets {
		o := l.outlets[key]
		o.acked = max(o.acked, offset)
		l.outlets[key] = o
	}
	if b != nil {
		l.enter(c, b, kept, acked)
	}
	c.Sequences = encodeOutlets(l.outlets)
	l.next = c.Next
	return c
}

func (l *ledger) enter(c *Commit, b *batch, kept []byte, acked int64) {
	c.Next, c.Table, c.Writes, c.Deletes, c.Changes = b.next, l.table, b.writes, b.deletes, b.changes
	if len(kept) > 0 {
		s := l.slot(acked)
		c.Put[s], l.slots[s] = kept, b.ordinal
	}
	for i := range b.outputs.sections {
		section := &b.outputs.sections[i]
		o, ok := l.outlets[section.TopicPartition]
		if !ok {
			o.acked = -1
		}
		o.next = advance(section.Sequence, section.Records.Count)
		l.outlets[section.TopicPartition] = o
	}
}
