package runtime

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/topic"
)

// drawOutputs draws outputs whose timestamps are near each other, as far as a record batch can have them.
func drawOutputs(t *rapid.T) []Output {
	outputs := rapid.SliceOfN(rapid.Custom(drawOutput), 0, 70).Draw(t, "outputs")
	for i := range outputs {
		outputs[i].Timestamp = rapid.Int64Range(0, math.MaxInt32).Draw(t, "time")
	}
	return outputs
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outputs := drawOutputs(t)
		var records Records
		for i := range outputs {
			before, size := len(records.Bytes), records.Size(&outputs[i])
			records.Append(&outputs[i])
			require.Equal(t, size, len(records.Bytes)-before, "the size that was told before")
			require.GreaterOrEqual(t, records.MaxTimestamp, outputs[i].Timestamp)
		}
		read, err := records.Outputs()
		require.NoError(t, err)
		require.Equal(t, len(outputs), records.Count)
		for i := range read {
			require.Equal(t, outputs[i], read[i])
		}
	})
}

// TestRecordsAreKafkas reads records with another library.
func TestRecordsAreKafkas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outputs := drawOutputs(t)
		records := Encode(outputs...)
		rest := records.Bytes
		for i := range outputs {
			length, n := kmsgVarint(rest)
			var record kmsg.Record
			require.NoError(t, record.ReadFrom(rest[:n+length]))
			rest = rest[n+length:]
			require.Equal(t, outputs[i].Key, record.Key)
			require.Equal(t, outputs[i].Value, record.Value)
			require.Equal(t, int32(i), record.OffsetDelta)
			require.Equal(t, outputs[i].Timestamp, records.FirstTimestamp+record.TimestampDelta64)
			require.Len(t, record.Headers, len(outputs[i].Headers))
			for at, h := range record.Headers {
				require.Equal(t, topic.Header{Key: h.Key, Value: h.Value}, outputs[i].Headers[at])
			}
		}
		require.Empty(t, rest)
	})
}

// kmsgVarint reads a zigzag number.
func kmsgVarint(data []byte) (value, size int) {
	var raw uint64
	for shift := 0; ; shift += 7 {
		b := data[size]
		size++
		raw |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return int(raw>>1) ^ -int(raw&1), size
		}
	}
}

func TestCutRecordsAreCorrupt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := Encode(append(drawOutputs(t), Output{})...)
		whole := records.Bytes
		records.Bytes = whole[:rapid.IntRange(0, len(whole)-1).Draw(t, "length")]
		_, err := records.Outputs()
		require.ErrorIs(t, err, errCorrupt)
		records.Bytes = append(whole, 0)
		_, err = records.Outputs()
		require.ErrorIs(t, err, errCorrupt)
	})
}

func FuzzRecords(f *testing.F) {
	some := Encode(Output{Key: []byte("a"), Timestamp: time.Hour.Milliseconds(), Headers: topic.Headers{{Key: "h", Value: []byte{}}}}, Output{Value: []byte("1")})
	f.Add(some.Count, some.FirstTimestamp, some.Bytes)
	f.Add(0, int64(0), []byte{})
	f.Fuzz(func(t *testing.T, count int, first int64, data []byte) {
		records := Records{Count: count, FirstTimestamp: first, Bytes: data}
		outputs, err := records.Outputs()
		if err != nil {
			require.ErrorIs(t, err, errCorrupt)
			return
		}
		again := Encode(outputs...)
		read, err := again.Outputs()
		require.NoError(t, err)
		require.Equal(t, outputs, read)
	})
}
