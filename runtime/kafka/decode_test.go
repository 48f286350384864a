package kafka

import (
	"bytes"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// tape gives a fuzzer's bytes one after the other, zeros behind their end.
type tape struct{ data []byte }

func (b *tape) next() byte {
	if len(b.data) == 0 {
		return 0
	}
	first := b.data[0]
	b.data = b.data[1:]
	return first
}

func (b *tape) flag() bool { return b.next()&1 == 1 }

// number is a small number, seldom a negative or a large one.
func (b *tape) number() int64 {
	switch n := b.next(); n {
	case 255:
		return -int64(b.next())
	case 254:
		return int64(b.next()) << 55
	default:
		return int64(n)
	}
}

// text is some bytes, none or null.
func (b *tape) text() []byte {
	n := int(b.next() % 16)
	if n == 15 {
		return nil
	}
	return bytes.Repeat([]byte{b.next()}, n)
}

func (b *tape) batch() *sarama.RecordBatch {
	batch := &sarama.RecordBatch{
		FirstOffset: b.number(), LastOffsetDelta: int32(b.number()), ProducerID: b.number(), FirstTimestamp: time.UnixMilli(b.number()),
		MaxTimestamp: time.UnixMilli(b.number()), LogAppendTime: b.flag(), Control: b.flag(), IsTransactional: b.flag(),
		PartialTrailingRecord: b.next() > 250, Codec: sarama.CompressionCodec(b.next() % 5),
	}
	for range b.next() % 8 {
		record := &sarama.Record{
			OffsetDelta: b.number(), TimestampDelta: time.Duration(b.number()) * time.Millisecond, Key: b.text(), Value: b.text(),
		}
		for range b.next() % 4 {
			record.Headers = append(record.Headers, &sarama.RecordHeader{Key: b.text(), Value: b.text()})
		}
		batch.Records = append(batch.Records, record)
	}
	return batch
}

func (b *tape) answer() *sarama.FetchResponseBlock {
	answer := &sarama.FetchResponseBlock{HighWaterMarkOffset: b.number(), Partial: b.flag()}
	for range b.next() % 3 {
		answer.AbortedTransactions = append(answer.AbortedTransactions, &sarama.AbortedTransaction{ProducerID: b.number(), FirstOffset: b.number()})
	}
	for range b.next() % 5 {
		set := &sarama.Records{}
		if b.next() < 250 {
			set.RecordBatch = b.batch()
		}
		answer.RecordsSet = append(answer.RecordsSet, set)
	}
	return answer
}

// FuzzDecoding makes messages of whatever a broker may answer. Nothing before the position is a message, the position
// never goes back, what was answered is left as it is, and messages that are detached say the same without it.
func FuzzDecoding(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{9, 0, 0, 1, 1, 3, 2, 7, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 3, 'k', 4, 'v', 1, 2, 'h', 15})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &tape{data: data}
		from, answer := b.number(), b.answer()
		d := decoding{from: from, next: from}
		if err := d.run(answer); err != nil {
			require.ErrorIs(t, err, errOldFormat)
			return
		}
		require.GreaterOrEqual(t, d.next, from)
		size := 0
		for _, m := range d.messages {
			require.GreaterOrEqual(t, m.Offset, from)
			size += m.Size()
		}
		require.Equal(t, size, d.bytes)
		require.LessOrEqual(t, d.shared, d.bytes)
		again := decoding{from: from, next: from}
		require.NoError(t, again.run(answer))
		require.Equal(t, d.messages, again.messages)
		again.detach()
		require.Equal(t, d.messages, again.messages)
		for i := range again.messages {
			overwrite(d.messages[i].Key)
			overwrite(d.messages[i].Value)
		}
		fresh := decoding{from: from, next: from}
		require.NoError(t, fresh.run((&tape{data: data[min(len(data), used(data)):]}).answer()))
		require.Equal(t, fresh.messages, again.messages, "detached messages share no bytes with the answer")
	})
}

func overwrite(data []byte) {
	for i := range data {
		data[i] ^= 0xff
	}
}

// used is how many bytes the first number takes.
func used(data []byte) int {
	b := &tape{data: data}
	b.number()
	return len(data) - len(b.data)
}

// TestWhatIsAskedForFollowsWhatAnswersTake gives a reader answers whose messages take eight times the bytes that they were
// sent as, but for the first, which ends soon, within a batch that is thrown away.
func TestWhatIsAskedForFollowsWhatAnswersTake(t *testing.T) {
	const limit, grown = 1 << 20, 8
	r := &reader{limit: func() int { return limit }, fetch: leastFetch}
	r.sized(leastFetch/100, true)
	require.EqualValues(t, 2*leastFetch, r.fetch, "one answer does not make it ask for much more")
	for range 3 {
		r.sized(grown*int(r.fetch), true)
		require.EqualValues(t, max(leastFetch, limit/2/grown), r.fetch)
	}
	for range 10 {
		r.sized(int(r.fetch)/grown, true)
	}
	require.EqualValues(t, limit/2*grown, r.fetch)
	r.sized(1, false)
	require.EqualValues(t, limit/2*grown, r.fetch, "an answer that has all there is tells nothing")
}
