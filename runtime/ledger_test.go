package runtime

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestLedgerKeepsWhatIsNotAcknowledged applies commits to a row as a store does, and looks that the row always holds every
// batch that is committed and not acknowledged.
func TestLedgerKeepsWhatIsNotAcknowledged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLedger(&Checkpoint{Epoch: 3}, 0, TopicID{}, Identity{ProducerID: 1}, map[TopicPartition]outlet{}, "t")
		first := int64(settled + 1)
		acked, committed := first, first
		var row [Slots][]byte
		next := int64(0)
		apply := func(c *Commit) {
			require.Equal(t, next, c.From)
			require.Equal(t, int64(3), c.Epoch)
			next = c.Next
			for s, put := range c.Put {
				if put != nil {
					row[s] = put
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				if !l.room(acked) {
					t.Skip("no room")
				}
				b := &batch{effects: &effects{}, ordinal: committed, from: next, next: next + 5, outputs: pending{ordinal: committed}}
				if rapid.Bool().Draw(t, "outputs") {
					b.outputs.sections = []RecordBatch{{TopicPartition: TopicPartition{Topic: "o"}, Sequence: int32(committed)}}
					b.pending = b.outputs.append(nil)
				}
				apply(l.commit(b, b.pending, acked, nil))
				committed++
			},
			"acknowledge": func(*rapid.T) { acked = min(acked+1, committed) },
			"clear": func(*rapid.T) {
				if l.clearable(acked) {
					apply(l.commit(nil, nil, acked, nil))
					require.False(t, l.clearable(acked))
				}
			},
			"": func(t *rapid.T) {
				kept := map[int64]bool{}
				batches, err := decodeSlots(row)
				require.NoError(t, err)
				for _, p := range batches {
					kept[p.ordinal] = true
				}
				require.Equal(t, len(batches) > 0, l.occupied())
				for s, ordinal := range l.slots {
					require.Equal(t, len(row[s]) > 0, ordinal != free, "the ledger knows its row")
					if ordinal >= acked {
						require.True(t, kept[ordinal], "batch %d is committed and not acknowledged", ordinal)
					}
				}
			},
		})
	})
}

func TestLedgerTakesOverSettledBatches(t *testing.T) {
	cp := &Checkpoint{Pending: [Slots][]byte{1: (&pending{ordinal: 9}).append(nil)}}
	l := newLedger(cp, 0, TopicID{}, Identity{}, map[TopicPartition]outlet{}, "")
	require.True(t, l.occupied())
	require.True(t, l.clearable(10))
	c := l.commit(nil, nil, 10, nil)
	require.Equal(t, [Slots][]byte{1: clears}, c.Put)
	require.False(t, l.occupied())
}

func TestLedgerFollowsOutlets(t *testing.T) {
	o := TopicPartition{Topic: "o"}
	l := newLedger(&Checkpoint{}, 0, TopicID{}, Identity{}, map[TopicPartition]outlet{}, "")
	b := &batch{effects: &effects{}, ordinal: 1, next: 4, outputs: pending{sections: []RecordBatch{
		{TopicPartition: o, Sequence: maxSequence, Records: Records{Count: 1}},
		{TopicPartition: o, Sequence: 0, Records: Records{Count: 2}},
	}}}
	outlets, err := decodeOutlets(l.commit(b, b.pending, 1, nil).Sequences)
	require.NoError(t, err)
	require.Equal(t, map[TopicPartition]outlet{o: {next: 2, acked: -1}}, outlets)
	outlets, err = decodeOutlets(l.commit(nil, nil, 2, map[TopicPartition]int64{o: 77}).Sequences)
	require.NoError(t, err)
	require.Equal(t, map[TopicPartition]outlet{o: {next: 2, acked: 77}}, outlets)
}
