package runtime

import (
	"crypto/rand"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/topic"
)

func drawPartition(t *rapid.T) TopicPartition {
	return TopicPartition{
		Topic:     rapid.SampledFrom([]string{"words", "counts", "a.b-c_d", ""}).Draw(t, "topic"),
		Partition: rapid.Int32Range(0, math.MaxInt32).Draw(t, "partition"),
	}
}

// drawBytes draws bytes of which nil and empty are two things.
func drawBytes(t *rapid.T, label string) []byte {
	if rapid.IntRange(0, 4).Draw(t, label+" is null") == 0 {
		return nil
	}
	return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, label)...)
}

func drawOutput(t *rapid.T) Output {
	output := Output{Key: drawBytes(t, "key"), Value: drawBytes(t, "value"), Timestamp: rapid.Int64().Draw(t, "timestamp")}
	for range rapid.IntRange(0, 2).Draw(t, "headers") {
		output.Headers = append(output.Headers, topic.Header{Key: rapid.String().Draw(t, "name"), Value: drawBytes(t, "header")})
	}
	return output
}

func drawSection(t *rapid.T) RecordBatch {
	section := RecordBatch{TopicPartition: drawPartition(t), Sequence: rapid.Int32Range(0, maxSequence).Draw(t, "sequence")}
	for range rapid.IntRange(0, 5).Draw(t, "records") {
		output := drawOutput(t)
		section.Records.Append(&output)
	}
	return section
}

func drawPending(t *rapid.T) *pending {
	p := &pending{
		ordinal:  rapid.Int64().Draw(t, "ordinal"),
		identity: Identity{ProducerID: rapid.Int64().Draw(t, "producer"), Epoch: rapid.Int16().Draw(t, "epoch")},
	}
	for range rapid.IntRange(0, 5).Draw(t, "sections") {
		p.sections = append(p.sections, drawSection(t))
	}
	return p
}

// sameEncoding compares what encodings keep apart: null and empty bytes differ, no records and nil records don't.
var sameEncoding = cmp.Options{
	cmp.AllowUnexported(pending{}),
	cmp.Transformer("records", func(b RecordBatch) map[string]any {
		if len(b.Records.Bytes) == 0 {
			b.Records.Bytes = nil
		}
		return map[string]any{"partition": b.TopicPartition, "sequence": b.Sequence, "records": b.Records}
	}),
}

func TestPendingIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPending(t)
		read, err := decodePending(p.append(nil))
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(p, read, sameEncoding))
	})
}

func TestCompressedPendingIsReadAsItWasWritten(t *testing.T) {
	space := new(spaces)
	rapid.Check(t, func(t *rapid.T) {
		p := drawPending(t)
		for range rapid.IntRange(0, 300).Draw(t, "more") {
			p.sections = append(p.sections, RecordBatch{TopicPartition: TopicPartition{Topic: "counts"}})
		}
		data := p.append(nil)
		packed := space.pack(data)
		if len(data) < packedFrom {
			require.Nil(t, packed)
			return
		}
		require.Less(t, len(packed), len(data))
		read, err := decodePending(packed)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(p, read, sameEncoding))
		_, err = decodePending(packed[:rapid.IntRange(1, len(packed)-1).Draw(t, "length")])
		require.ErrorIs(t, err, errCorrupt)
	})
}

func TestPendingThatCannotBeCompressedStaysAsItIs(t *testing.T) {
	noise := make([]byte, 4*packedFrom)
	_, err := rand.Read(noise)
	require.NoError(t, err)
	require.Nil(t, new(spaces).pack(noise))
}

func TestPendingIsReadInOrderWhateverTheSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Int64Range(1, math.MaxInt64-Slots).Draw(t, "first")
		var slots [Slots][]byte
		n := rapid.IntRange(0, Slots).Draw(t, "batches")
		for i, slot := range rapid.Permutation([]int{0, 1, 2, 3}).Draw(t, "slots")[:n] {
			slots[slot] = (&pending{ordinal: first + int64(i)}).append(nil)
		}
		batches, err := decodeSlots(slots)
		require.NoError(t, err)
		require.Len(t, batches, n)
		for i, p := range batches {
			require.Equal(t, first+int64(i), p.ordinal)
		}
	})
}

func TestCutPendingIsCorrupt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := drawPending(t).append(nil)
		_, err := decodePending(data[:rapid.IntRange(0, len(data)-1).Draw(t, "length")])
		require.ErrorIs(t, err, errCorrupt)
		_, err = decodePending(append(data, 0))
		require.ErrorIs(t, err, errCorrupt)
	})
}

func TestOutletsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outlets := map[TopicPartition]outlet{}
		for range rapid.IntRange(0, 9).Draw(t, "outlets") {
			outlets[drawPartition(t)] = outlet{
				next: rapid.Int32Range(0, maxSequence).Draw(t, "next"), acked: rapid.Int64Min(-1).Draw(t, "acked"),
			}
		}
		data := encodeOutlets(outlets)
		read, err := decodeOutlets(data)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(outlets, read, cmp.AllowUnexported(outlet{}), cmpopts.EquateEmpty()))
		require.Equal(t, data, encodeOutlets(read), "equal outlets give equal bytes")
		_, err = decodeOutlets(data[:rapid.IntRange(1, len(data)-1).Draw(t, "length")])
		require.ErrorIs(t, err, errCorrupt)
	})
}

func TestNoOutletsAreNoBytes(t *testing.T) {
	outlets, err := decodeOutlets(nil)
	require.NoError(t, err)
	require.Empty(t, outlets)
}

func FuzzPending(f *testing.F) {
	f.Add([]byte{})
	f.Add(new(spaces).pack((&pending{sections: make([]RecordBatch, packedFrom)}).append(nil)))
	f.Add((&pending{ordinal: 7, identity: Identity{ProducerID: 4, Epoch: 2}, sections: []RecordBatch{{
		TopicPartition: TopicPartition{Topic: "counts", Partition: 3}, Sequence: maxSequence, Records: Encode(
			Output{Key: []byte("a"), Value: nil, Timestamp: 5, Headers: topic.Headers{{Key: "h", Value: []byte{}}}}, Output{Value: []byte("1")},
		),
	}}}).append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodePending(data)
		if err != nil {
			require.ErrorIs(t, err, errCorrupt)
			return
		}
		again, err := decodePending(p.append(nil))
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(p, again, sameEncoding))
	})
}

func FuzzOutlets(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeOutlets(map[TopicPartition]outlet{
		{Topic: "counts", Partition: 0}: {next: 5, acked: -1}, {Topic: "counts", Partition: 1}: {next: maxSequence, acked: math.MaxInt64},
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		outlets, err := decodeOutlets(data)
		if err != nil {
			require.ErrorIs(t, err, errCorrupt)
			return
		}
		again, err := decodeOutlets(encodeOutlets(outlets))
		require.NoError(t, err)
		require.Equal(t, outlets, again)
	})
}

// FuzzKeyedRecord reads the record of a request as the store has it.
func FuzzKeyedRecord(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendOutput(nil, &Output{}))
	f.Add(AppendOutput(nil, &Output{
		Key: []byte("k"), Value: []byte("{}"), Timestamp: 1 << 40, Headers: topic.Headers{{Key: "h", Value: []byte{}}, {Key: "", Value: nil}},
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		output, err := DecodeOutput(data)
		if err != nil {
			require.ErrorIs(t, err, errCorrupt)
			return
		}
		again, err := DecodeOutput(AppendOutput(nil, &output))
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(output, again, sameEncoding))
	})
}
