package topic_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/topic"
)

var (
	counts = topic.New("counts", format.String(), format.Int64())
	blobs  = topic.New("blobs", format.Bytes(), format.Bytes())
	events = topic.New("events", format.None(), format.String())
)

func TestRecord(t *testing.T) {
	r := counts.Record("tea", -12)
	require.NoError(t, r.Err())
	require.Same(t, counts.Spec(), r.Spec())
	require.Equal(t, "tea", string(r.Key()))
	require.Equal(t, "-12", string(r.Value()))
	require.Nil(t, r.Headers())
	require.Nil(t, r.OwnHeaders())
	require.True(t, r.Timestamp().IsZero())
	require.Equal(t, len(r.Key()), cap(r.Key()))
	require.Equal(t, len(r.Value()), cap(r.Value()))

	var zero topic.Record
	require.Nil(t, zero.Spec())
	require.NoError(t, zero.Err())
}

func TestRecordsOfBorrowedBytesAreThoseBytes(t *testing.T) {
	plain := topic.New("plain", format.Borrowed(), format.Borrowed())
	require.True(t, plain.Spec().Borrowed)
	key, value := []byte("tea"), []byte("hot")
	r := plain.Record(key, value)
	require.NoError(t, r.Err())
	require.Same(t, &key[0], &r.Key()[0])
	require.Same(t, &value[0], &r.Value()[0])
	r = plain.Record(nil, []byte{})
	require.Nil(t, r.Key())
	require.NotNil(t, r.Value())
	mixed := topic.New("mixed", format.String(), format.Borrowed())
	r = mixed.Record("tea", value)
	require.True(t, mixed.Spec().Borrowed)
	require.NotSame(t, &value[0], &r.Value()[0])
	require.False(t, counts.Spec().Borrowed)
}

func TestNullAndEmptyDiffer(t *testing.T) {
	empty := blobs.Record([]byte{}, []byte{})
	require.NotNil(t, empty.Key())
	require.NotNil(t, empty.Value())
	null := blobs.Record(nil, nil)
	require.Nil(t, null.Key())
	require.Nil(t, null.Value())
	keyless := events.Record(struct{}{}, "")
	require.Nil(t, keyless.Key())
	require.NotNil(t, keyless.Value())
}

// forgetful is a format that gives nil for nothing.
type forgetful struct{ format.Format[string] }

func (forgetful) Append(dst []byte, value string) ([]byte, error) {
	if len(dst)+len(value) == 0 {
		return nil, nil
	}
	return append(dst, value...), nil
}

func TestFormatCannotMakeNullByAccident(t *testing.T) {
	odd := topic.New[string, string]("odd", forgetful{format.String()}, forgetful{format.String()})
	r, tombstone := odd.Record("", ""), odd.Tombstone("")
	require.NotNil(t, r.Key())
	require.NotNil(t, r.Value())
	require.NotNil(t, tombstone.Key())
}

func TestTombstone(t *testing.T) {
	r := counts.Tombstone("tea")
	require.NoError(t, r.Err())
	require.Equal(t, "tea", string(r.Key()))
	require.Nil(t, r.Value())
	r = blobs.Tombstone(nil)
	require.Nil(t, r.Key())
	r = blobs.Tombstone([]byte{})
	require.NotNil(t, r.Key())
}

func TestRecordThatCannotBeEncoded(t *testing.T) {
	words := topic.New("words", format.String(), format.String())
	r := words.Record("a\xff", "b")
	require.EqualError(t, r.Err(), "topic words: key cannot be written as string: invalid UTF-8 at byte 1")
	r = words.Record("a", "b\xff")
	require.EqualError(t, r.Err(), "topic words: value cannot be written as string: invalid UTF-8 at byte 1")
	r = words.Tombstone("a\xff").WithHeader("h", nil).At(time.UnixMilli(1)).WithHeadersOf(topic.Headers{{Key: "i"}})
	require.ErrorContains(t, r.Err(), "key cannot be written")
	next := words.Record("still", "works")
	require.Equal(t, "still", string(next.Key()))
}

func TestRefinedRecordsDoNotShare(t *testing.T) {
	base := counts.Record("tea", 1).WithHeader("a", []byte("1"))
	left, right := base.WithHeader("b", []byte("2")), base.WithHeader("c", []byte("3"))
	timed := base.At(time.UnixMilli(5))
	require.Equal(t, topic.Headers{{"a", []byte("1")}}, base.Headers())
	require.Equal(t, topic.Headers{{"a", []byte("1")}, {"b", []byte("2")}}, left.Headers())
	require.Equal(t, topic.Headers{{"a", []byte("1")}, {"c", []byte("3")}}, right.Headers())
	require.True(t, base.Timestamp().IsZero())
	require.Equal(t, int64(5), timed.Timestamp().UnixMilli())
	require.Equal(t, base.Headers(), timed.Headers())
	value, ok := left.Headers().Last("b")
	require.True(t, ok)
	require.Equal(t, "2", string(value))
	_, ok = right.Headers().Last("b")
	require.False(t, ok)
	repeated := left.WithHeader("a", nil)
	value, ok = repeated.Headers().Last("a")
	require.True(t, ok)
	require.Nil(t, value)
}

func TestHeadersHandedOn(t *testing.T) {
	in := append(make(topic.Headers, 0, 8), topic.Header{Key: "flows-reason"}, topic.Header{Key: "trace"})
	own := counts.Record("tea", 1).WithHeader("mine", nil)
	require.Equal(t, own.OwnHeaders(), own.Headers())
	for _, r := range []topic.Record{own.WithHeadersOf(in), counts.Record("tea", 1).WithHeadersOf(in).WithHeader("mine", nil)} {
		require.Equal(t, topic.Headers{{Key: "flows-reason"}, {Key: "trace"}, {Key: "mine"}}, r.Headers())
		require.Equal(t, topic.Headers{{Key: "mine"}}, r.OwnHeaders())
	}
	twice := own.WithHeadersOf(in[:1]).WithHeadersOf(in[1:])
	require.Equal(t, topic.Headers{{Key: "flows-reason"}, {Key: "trace"}, {Key: "mine"}}, twice.Headers())
	require.Equal(t, topic.Headers{{Key: "mine"}}, twice.OwnHeaders())
	require.Empty(t, in[:8][2].Key, "the input's headers were written to")
	none := counts.Record("tea", 1).WithHeadersOf(nil)
	require.Nil(t, none.Headers())
}

func TestPassed(t *testing.T) {
	raw := &topic.Raw{Key: []byte("k"), Headers: topic.Headers{{Key: "flows-a", Value: []byte("1")}}}
	r := blobs.Passed(raw)
	require.Equal(t, "k", string(r.Key()))
	require.Nil(t, r.Value())
	require.Equal(t, raw.Headers, r.Headers())
	require.Empty(t, r.OwnHeaders())
	require.Same(t, blobs.Spec(), r.Spec())
}

func TestFormatErrorIsWrapped(t *testing.T) {
	cause := errors.New("no")
	refusing := topic.New[string, string]("refusing", refuser{format.String(), cause}, format.String())
	r := refusing.Record("a", "b")
	require.ErrorIs(t, r.Err(), cause)
}

type refuser struct {
	format.Format[string]
	err error
}

func (f refuser) Append(dst []byte, _ string) ([]byte, error) { return append(dst, "partly"...), f.err }
