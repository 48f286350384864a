package logtest

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

func testIdentities(t *testing.T, f *fixture) {
	seen := map[int64]bool{}
	for range 5 {
		identity := f.identity()
		require.GreaterOrEqual(t, identity.ProducerID, int64(0))
		require.False(t, seen[identity.ProducerID], "an identity was given twice")
		seen[identity.ProducerID] = true
	}
}

// testRepeated sends each of the last five batches again: acknowledged where it was, nothing appended.
func testRepeated(t *testing.T, f *fixture) {
	p, identity := f.topic(1), f.identity()
	for i := range 5 {
		require.EqualValues(t, 10*i, f.sent(p, identity, int32(10*i), records("a", 10)))
		require.EqualValues(t, 10*i, f.sent(p, identity, int32(10*i), records("a", 10)), "sent again at once")
	}
	for _, i := range []int{0, 4, 2, 1, 3, 0} {
		require.EqualValues(t, 10*i, f.sent(p, identity, int32(10*i), records("a", 10)))
	}
	require.EqualValues(t, 50, f.end(p))
	require.EqualValues(t, 50, f.sent(p, identity, 50, records("a", 10)), "the next one")
	// The sixth from the end is forgotten.
	f.refused(p, identity, 0, records("a", 10), runtime.ErrOutOfOrder)
	require.EqualValues(t, 10, f.sent(p, identity, 10, records("a", 10)))
}

func testOutOfOrder(_ *testing.T, f *fixture) {
	p, identity := f.topic(1), f.identity()
	f.sent(p, identity, 0, records("a", 10))
	f.refused(p, identity, 20, records("a", 10), runtime.ErrOutOfOrder) // a gap
	f.refused(p, identity, 0, records("a", 5), runtime.ErrOutOfOrder)   // the same start, another count
	f.refused(p, identity, 5, records("a", 10), runtime.ErrOutOfOrder)  // partly known
	f.sent(p, identity, 10, records("a", 1))
}

func testProducerStates(t *testing.T, f *fixture) {
	f.need(ProducerStates, "producer states")
	p, identity := f.topic(1), f.identity()
	state := func() runtime.ProducerState {
		state, err := f.log.Producer(f.ctx, p, identity.ProducerID)
		require.NoError(t, err)
		return state
	}
	require.False(t, state().Known)
	f.sent(p, identity, 0, records("a", 10))
	require.Equal(t, runtime.ProducerState{Known: true, Epoch: identity.Epoch, LastSequence: 9}, state())
	identity.Epoch++
	f.sent(p, identity, 0, records("a", 2))
	require.Equal(t, runtime.ProducerState{Known: true, Epoch: identity.Epoch, LastSequence: 1}, state())
}

func testEpochs(t *testing.T, f *fixture) {
	p, identity := f.topic(1), f.identity()
	f.sent(p, identity, 0, records("a", 10))
	next := runtime.Identity{ProducerID: identity.ProducerID, Epoch: identity.Epoch + 1}
	f.refused(p, next, 10, records("b", 1), runtime.ErrOutOfOrder) // a new epoch begins at 0
	require.EqualValues(t, 10, f.sent(p, next, 0, records("b", 2)))
	require.EqualValues(t, 10, f.sent(p, next, 0, records("b", 2)), "sent again")
	f.refused(p, identity, 10, records("a", 10), runtime.ErrStaleIdentity)
	f.refused(p, identity, 0, records("a", 10), runtime.ErrStaleIdentity)
}

// testUnknownIdentity shows why a batch that is old must be looked for: an identity that is unknown begins anywhere.
func testUnknownIdentity(t *testing.T, f *fixture) {
	f.need(AnyFirstSequence, "an unknown identity may begin anywhere")
	p, identity := f.topic(1), f.identity()
	require.EqualValues(t, 0, f.sent(p, identity, 12345, records("a", 2)))
	require.EqualValues(t, 0, f.sent(p, identity, 12345, records("a", 2)))
	require.EqualValues(t, 2, f.sent(p, identity, 12347, records("a", 1)))
}

// testWrap goes from the last sequence to 0, inside a batch too.
func testWrap(t *testing.T, f *fixture) {
	f.need(AnyFirstSequence, "an unknown identity may begin anywhere")
	p, identity := f.topic(1), f.identity()
	f.sent(p, identity, math.MaxInt32-7, records("a", 5)) // to 2147483644
	require.EqualValues(t, 5, f.sent(p, identity, math.MaxInt32-2, records("b", 5)))
	require.EqualValues(t, 10, f.sent(p, identity, 2, records("c", 5)))
	require.EqualValues(t, 5, f.sent(p, identity, math.MaxInt32-2, records("b", 5)))
	require.EqualValues(t, 10, f.sent(p, identity, 2, records("c", 5)))
	require.EqualValues(t, 15, f.end(p))

	other := runtime.TopicPartition{Topic: f.topic(1).Topic}
	f.sent(other, identity, math.MaxInt32-4, records("a", 5)) // exactly to the last
	require.EqualValues(t, 5, f.sent(other, identity, 0, records("b", 1)))
}

func testWithoutIdentity(t *testing.T, f *fixture) {
	p := f.topic(1)
	nobody := runtime.Identity{ProducerID: -1}
	require.EqualValues(t, 0, f.sent(p, nobody, 0, records("a", 2)))
	require.EqualValues(t, 2, f.sent(p, nobody, 0, records("a", 2)))
}

// testManyPartitions sends to many partitions of two topics in one call; one that is refused does not hold up others.
func testManyPartitions(t *testing.T, f *fixture) {
	a, b, identity := f.topic(4), f.topic(2), f.identity()
	var batches []runtime.RecordBatch
	for i := range int32(4) {
		batches = append(batches, runtime.RecordBatch{TopicPartition: runtime.TopicPartition{Topic: a.Topic, Partition: i}, Records: runtime.Encode(records("a", int(i)+1)...)})
	}
	batches = append(batches, runtime.RecordBatch{TopicPartition: b, Records: runtime.Encode(records("b", 3)...)},
		runtime.RecordBatch{TopicPartition: runtime.TopicPartition{Topic: b.Topic, Partition: 1}, Records: runtime.Encode(runtime.Output{Value: make([]byte, 2<<20)})})
	acks, err := f.log.Send(f.ctx, identity, batches)
	require.NoError(t, err)
	require.Len(t, acks, len(batches))
	for i, ack := range acks[:5] {
		require.NoError(t, ack.Err)
		require.EqualValues(t, 0, ack.Offset)
		require.EqualValues(t, batches[i].Records.Count, f.end(batches[i].TopicPartition))
	}
	require.ErrorIs(t, acks[5].Err, runtime.ErrTooLarge)
}

func testBatches(t *testing.T, f *fixture) {
	p, one, two := f.topic(1), f.identity(), f.identity()
	f.sent(p, one, 0, records("a", 3))
	f.sent(p, two, 7, records("b", 2))
	f.sent(p, one, 3, records("c", 1))
	want := []runtime.BatchHeader{
		{Identity: one, Sequence: 0, Offset: 0, Records: 3},
		{Identity: two, Sequence: 7, Offset: 3, Records: 2},
		{Identity: one, Sequence: 3, Offset: 5, Records: 1},
	}
	visit := func(from int64, stop int) (got []runtime.BatchHeader) {
		err := f.log.Batches(f.ctx, runtime.Position{TopicPartition: p, Offset: from}, func(h runtime.BatchHeader) bool {
			got = append(got, h)
			return len(got) < stop
		})
		require.NoError(t, err)
		return got
	}
	require.Equal(t, want, visit(0, 100))
	require.Equal(t, want[:2], visit(0, 2))
	require.Equal(t, want[1:], visit(3, 100))
	require.Equal(t, want[1:], visit(4, 100), "from within a batch")
	require.Empty(t, visit(6, 100))
}
