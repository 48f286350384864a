package join

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	flowsv1 "github.com/kappaflows/flows/proto/flows/v1"
	"github.com/kappaflows/flows/topic"
)

// generated is what the generated code makes of the same envelope.
func generated(e envelope) *flowsv1.Envelope {
	g := &flowsv1.Envelope{
		Side: e.side, Topic: e.topic, Partition: e.partition, Offset: e.offset, Timestamp: e.timestamp, Key: e.key, Value: e.value,
	}
	for _, h := range e.headers {
		g.Headers = append(g.Headers, &flowsv1.Header{Key: []byte(h.Key), Value: h.Value})
	}
	return g
}

// handmade is the envelope that the generated code read.
func handmade(g *flowsv1.Envelope) envelope {
	e := envelope{
		side: g.Side, topic: g.Topic, partition: g.Partition, offset: g.Offset, timestamp: g.Timestamp, key: g.Key, value: g.Value,
	}
	for _, h := range g.Headers {
		e.headers = append(e.headers, topic.Header{Key: string(h.Key), Value: h.Value})
	}
	return e
}

var sameEnvelope = cmp.AllowUnexported(envelope{})

func drawBytes(t *rapid.T, label string) []byte {
	if rapid.Bool().Draw(t, label+" is null") {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, label)
}

func drawEnvelope(t *rapid.T) envelope {
	e := envelope{
		side: rapid.String().Draw(t, "side"), topic: rapid.String().Draw(t, "topic"), partition: rapid.Int32().Draw(t, "partition"),
		offset: rapid.Int64().Draw(t, "offset"), timestamp: rapid.Int64().Draw(t, "timestamp"),
		key: drawBytes(t, "key"), value: drawBytes(t, "value"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "headers") {
		e.headers = append(e.headers, topic.Header{Key: string(drawBytes(t, "header")), Value: drawBytes(t, "header value")})
	}
	return e
}

// What is written is what the generated code reads, and the other way round; null and empty stay apart.
func TestEnvelopeIsTheGeneratedOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEnvelope(t)
		data, err := envelopes{}.Append([]byte("before"), e)
		require.NoError(t, err)
		require.Equal(t, "before", string(data[:6]))
		data = data[6:]
		g := &flowsv1.Envelope{}
		require.NoError(t, proto.Unmarshal(data, g))
		require.Empty(t, cmp.Diff(generated(e), g, protocmp.Transform()))

		again, err := envelopes{names: map[string]string{e.side: e.side}}.Decode(data)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(e, again, sameEnvelope))

		data, err = proto.Marshal(g)
		require.NoError(t, err)
		again, err = envelopes{}.Decode(data)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(e, again, sameEnvelope))
	})
}

// Any bytes are read, or refused, as the generated code does it.
func FuzzEnvelope(f *testing.F) {
	whole, err := envelopes{}.Append(nil, sample)
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		g := &flowsv1.Envelope{}
		want := proto.Unmarshal(data, g)
		e, err := envelopes{}.Decode(data)
		require.Equal(t, want == nil, err == nil, "generated code: %v; here: %v", want, err)
		if err != nil {
			require.Empty(t, cmp.Diff(envelope{}, e, sameEnvelope))
			return
		}
		require.Empty(t, cmp.Diff(handmade(g), e, sameEnvelope, cmpopts.EquateEmpty()))
		require.Equal(t, g.Key == nil, e.key == nil)
		require.Equal(t, g.Value == nil, e.value == nil)
		_ = envelopes{}.Show(e)
	})
}

func TestEnvelopeIsShown(t *testing.T) {
	shown := envelopes{}.Show(envelope{side: "orders-2", topic: "orders", partition: 1, offset: 7, key: []byte("o\n")})
	require.Equal(t, `orders-2: orders partition 1 offset 7 key "o\n" value (null)`, shown)
	require.Equal(t, "protobuf flows.v1.Envelope", envelopes{}.Name())
}

var sample = envelope{
	side: "orders", topic: "orders", partition: 3, offset: 1 << 30, timestamp: 1 << 40, key: []byte("o-4711"), value: make([]byte, 100),
	headers: topic.Headers{{Key: "trace", Value: make([]byte, 16)}},
}

// Only headers cost memory of their own.
func TestEnvelopeAllocations(t *testing.T) {
	f := envelopes{names: map[string]string{"orders": "orders"}}
	plain := sample
	plain.headers = nil
	buf, err := f.Append(nil, plain)
	require.NoError(t, err)
	require.InDelta(t, 0, testing.AllocsPerRun(100, func() {
		buf, _ = f.Append(buf[:0], plain)
		_, _ = f.Decode(buf)
	}), 0)
}

func BenchmarkEnvelope(b *testing.B) {
	f := envelopes{names: map[string]string{"orders": "orders"}}
	b.Run("handmade", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf, _ = f.Append(buf[:0], sample)
			_, _ = f.Decode(buf)
		}
	})
	b.Run("generated", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		var g flowsv1.Envelope
		for b.Loop() {
			buf, _ = proto.MarshalOptions{}.MarshalAppend(buf[:0], generated(sample))
			_ = proto.Unmarshal(buf, &g)
		}
	})
}
