package logtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

func testTopics(t *testing.T, f *fixture) {
	require.NoError(t, f.log.Ping(f.ctx))
	name, other := unique("topic"), unique("topic")
	_, err := f.log.Describe(f.ctx, name)
	require.ErrorIs(t, err, runtime.ErrUnknownTopic)
	require.NoError(t, f.log.Create(f.ctx, []runtime.NewTopic{{Name: name, Partitions: 3}, {Name: other, Partitions: 1, Compacted: true}}))
	info, err := f.log.Describe(f.ctx, name)
	require.NoError(t, err)
	require.Equal(t, name, info.Name)
	require.EqualValues(t, 3, info.Partitions)
	require.Equal(t, 1048588, info.MaxMessageBytes)
	require.NotZero(t, info.ID)
	another, err := f.log.Describe(f.ctx, other)
	require.NoError(t, err)
	require.NotEqual(t, info.ID, another.ID)

	require.NoError(t, f.log.Create(f.ctx, []runtime.NewTopic{{Name: name, Partitions: 7}}))
	again, err := f.log.Describe(f.ctx, name)
	require.NoError(t, err)
	require.Equal(t, info, again)

	for _, missing := range []runtime.TopicPartition{{Topic: unique("topic")}, {Topic: name, Partition: 3}} {
		_, _, err = f.log.Bounds(f.ctx, missing)
		require.ErrorIs(t, err, runtime.ErrUnknownTopic)
		require.ErrorIs(t, f.send(missing, f.identity(), 0, records("a", 1)).Err, runtime.ErrUnknownTopic)
	}
}

func testRecords(t *testing.T, f *fixture) {
	p := f.topic(1)
	sent := []runtime.Output{
		{Key: nil, Value: nil, Timestamp: 0},
		{Key: []byte{}, Value: []byte{}, Timestamp: 1_700_000_000_123},
		{Key: []byte("key"), Value: nil, Timestamp: 1_600_000_000_000},
		{Key: nil, Value: []byte("value"), Timestamp: 1},
		{Key: []byte{0, 255}, Value: bytes.Repeat([]byte("x"), 100_000), Timestamp: 1_500_000_000_000},
		{Key: []byte("h"), Value: []byte("v"), Timestamp: 1_700_000_000_000, Headers: topic.Headers{
			{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "", Value: []byte{}}, {Key: "null", Value: nil},
		}},
	}
	identity := f.identity()
	require.EqualValues(t, 0, f.sent(p, identity, 0, sent))
	want := make([]topic.Raw, len(sent))
	for i, s := range sent {
		want[i] = topic.Raw{Offset: int64(i), Timestamp: time.UnixMilli(s.Timestamp), Key: s.Key, Value: s.Value, Headers: s.Headers}
	}
	// EquateEmpty is not used on purpose: null and empty differ.
	require.Empty(t, cmp.Diff(want, f.read(p, 0, len(sent)), cmpopts.EquateApproxTime(0)))
	require.Empty(t, cmp.Diff(want[2:4], f.read(p, 2, 2), cmpopts.EquateApproxTime(0)), "from the middle of a batch")
}

func testOffsets(t *testing.T, f *fixture) {
	p, identity := f.topic(2), f.identity()
	start, end, err := f.log.Bounds(f.ctx, p)
	require.NoError(t, err)
	require.Zero(t, start)
	require.Zero(t, end)
	require.EqualValues(t, 0, f.sent(p, identity, 0, records("a", 3)))
	require.EqualValues(t, 3, f.sent(p, identity, 3, records("b", 2)))
	require.EqualValues(t, 5, f.end(p))
	require.EqualValues(t, 0, f.end(runtime.TopicPartition{Topic: p.Topic, Partition: 1}))

	reader, err := f.log.Open(f.ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
	require.NoError(t, err)
	messages := f.take(reader, 5)
	require.EqualValues(t, 5, reader.End())
	for i, m := range messages {
		require.EqualValues(t, i, m.Offset)
	}
	require.NoError(t, reader.Close())
}

// testEndOfAFullReader: how far behind somebody is who does not take what was read for him, is known.
func testEndOfAFullReader(t *testing.T, f *fixture) {
	p, identity := f.topic(1), f.identity()
	f.sent(p, identity, 0, records("a", 100))
	reader, err := f.log.Open(f.ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{Bytes: func() int { return 1 }})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	f.take(reader, 1)
	f.sent(p, identity, 100, records("b", 20))
	require.Eventually(t, func() bool { return reader.End() == 120 }, patience, 50*time.Millisecond)
}

// testManyRecords reads more than fits into a queue, in small pieces, and checks that nothing is missing.
func testManyRecords(t *testing.T, f *fixture) {
	const batches, size = 40, 500
	p, identity := f.topic(1), f.identity()
	value := bytes.Repeat([]byte("0123456789"), 20)
	for b := range batches {
		batch := make([]runtime.Output, size)
		for i := range batch {
			batch[i] = runtime.Output{Key: binary.BigEndian.AppendUint32(nil, uint32(b*size+i)), Value: value}
		}
		f.sent(p, identity, int32(b*size), batch)
	}
	reader, err := f.log.Open(f.ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{Bytes: func() int { return 100_000 }})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	for next := 0; next < batches*size; {
		messages := f.take(reader, min(77, batches*size-next))
		for _, m := range messages {
			require.EqualValues(t, next, m.Offset)
			require.EqualValues(t, next, binary.BigEndian.Uint32(m.Key))
			require.Equal(t, value, m.Value)
			next++
		}
	}
}

// testSlowReader has a reader that takes nothing while another one of the same topic must get everything.
func testSlowReader(t *testing.T, f *fixture) {
	const batches = 30
	p, identity := f.topic(4), f.identity()
	var readers []runtime.Reader
	for i := range int32(4) {
		at := runtime.TopicPartition{Topic: p.Topic, Partition: i}
		for b := range int32(batches) {
			f.sent(at, identity, b, []runtime.Output{{Value: make([]byte, 100_000)}})
		}
		reader, err := f.log.Open(f.ctx, runtime.Position{TopicPartition: at}, runtime.ReadLimits{Bytes: func() int { return 200_000 }})
		require.NoError(t, err)
		defer func() { require.NoError(t, reader.Close()) }()
		readers = append(readers, reader)
	}
	for _, reader := range readers {
		require.Len(t, f.take(reader, 1), 1)
	}
	for _, reader := range readers[2:] {
		require.EqualValues(t, batches-1, f.take(reader, batches-1)[batches-2].Offset)
	}
	require.Len(t, f.take(readers[0], batches-1), batches-1)
}

func testReaders(t *testing.T, f *fixture) {
	p, identity := f.topic(1), f.identity()
	f.sent(p, identity, 0, records("a", 10))
	var readers []runtime.Reader
	for range 6 {
		reader, err := f.log.Open(f.ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
		require.NoError(t, err)
		readers = append(readers, reader)
	}
	for _, reader := range readers {
		require.Len(t, f.take(reader, 10), 10)
	}
	require.NoError(t, readers[0].Close())
	f.sent(p, identity, 10, records("b", 1))
	for _, reader := range readers[1:] {
		require.EqualValues(t, 10, f.take(reader, 1)[0].Offset)
		require.NoError(t, reader.Close())
	}
}

func testReadingWaits(t *testing.T, f *fixture) {
	p, identity := f.topic(1), f.identity()
	reader, err := f.log.Open(f.ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	ctx, cancel := context.WithTimeout(f.ctx, 200*time.Millisecond)
	defer cancel()
	messages, err := reader.Read(ctx, nil, 10)
	for errors.Is(err, runtime.ErrUnavailable) {
		messages, err = reader.Read(ctx, nil, 10)
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, messages)

	got := make(chan []topic.Raw)
	go func() {
		messages, err := reader.Read(f.ctx, []topic.Raw{{Offset: -7}}, 10)
		if err != nil {
			t.Error(err)
		}
		got <- messages
	}()
	f.sent(p, identity, 0, records("a", 1))
	messages = <-got
	require.Len(t, messages, 2, "Read appends")
	require.EqualValues(t, -7, messages[0].Offset)
	require.EqualValues(t, 0, messages[1].Offset)
}

func testOutOfRange(t *testing.T, f *fixture) {
	p := f.topic(1)
	f.sent(p, f.identity(), 0, records("a", 3))
	reader, err := f.log.Open(f.ctx, runtime.Position{TopicPartition: p, Offset: 100}, runtime.ReadLimits{})
	if err == nil {
		defer func() { require.NoError(t, reader.Close()) }()
		_, err = reader.Read(f.ctx, nil, 1)
	}
	require.ErrorIs(t, err, runtime.ErrOutOfRange)
	require.ErrorIs(t, f.log.Batches(f.ctx, runtime.Position{TopicPartition: p, Offset: 100},
		func(runtime.BatchHeader) bool { return true }), runtime.ErrOutOfRange)

	_, err = f.log.Open(f.ctx, runtime.Position{TopicPartition: runtime.TopicPartition{Topic: unique("topic")}}, runtime.ReadLimits{})
	require.ErrorIs(t, err, runtime.ErrUnknownTopic)
}

func testTooLarge(t *testing.T, f *fixture) {
	p, identity := f.topic(1), f.identity()
	info, err := f.log.Describe(f.ctx, p.Topic)
	require.NoError(t, err)
	large := []runtime.Output{{Key: []byte("k"), Value: make([]byte, info.MaxMessageBytes)}}
	f.refused(p, identity, 0, large, runtime.ErrTooLarge)
	// It cost no sequence. One that just fits comes back, whatever a reader asks for at once.
	large[0].Value = large[0].Value[:info.MaxMessageBytes-200]
	require.EqualValues(t, 0, f.sent(p, identity, 0, large))
	f.sent(p, identity, 1, records("a", 1))
	reader, err := f.log.Open(f.ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{Bytes: func() int { return 1000 }})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	messages := f.take(reader, 2)
	require.Len(t, messages[0].Value, info.MaxMessageBytes-200)
	require.EqualValues(t, 1, messages[1].Offset)
}
