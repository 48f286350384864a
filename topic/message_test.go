package topic_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/topic"
)

func TestDecode(t *testing.T) {
	at := time.UnixMilli(1234)
	raw := &topic.Raw{
		Offset: 7, Timestamp: at, Key: []byte("tea"), Value: []byte("-12"),
		Headers: topic.Headers{{Key: "h", Value: []byte("v")}},
	}
	m, err := counts.Decode(raw, 3)
	require.NoError(t, err)
	require.Equal(t, topic.Message[string, int64]{
		Key: "tea", Value: -12, Headers: raw.Headers, Timestamp: at, Topic: "counts", Partition: 3, Offset: 7,
	}, m)
}

func TestDecodeNulls(t *testing.T) {
	m, err := counts.Decode(&topic.Raw{}, 0)
	require.NoError(t, err)
	require.True(t, m.Tombstone)
	require.Empty(t, m.Key)
	require.Zero(t, m.Value)

	b, err := blobs.Decode(&topic.Raw{Key: nil, Value: []byte{}}, 0)
	require.NoError(t, err)
	require.False(t, b.Tombstone)
	require.Nil(t, b.Key)
	require.NotNil(t, b.Value)
}

func TestDecodeError(t *testing.T) {
	for _, c := range []struct {
		key, value, message string
		want                topic.DecodeError
	}{
		{"a\xff", "1", "key is no string: invalid UTF-8 at byte 1", topic.DecodeError{Part: "key", Format: "string"}},
		{"a", "one", `value is no int64: "one": invalid syntax`, topic.DecodeError{Part: "value", Format: "int64"}},
	} {
		_, err := counts.Decode(&topic.Raw{Key: []byte(c.key), Value: []byte(c.value)}, 0)
		require.EqualError(t, err, c.message)
		decodeError, ok := errors.AsType[*topic.DecodeError](err)
		require.True(t, ok)
		require.Equal(t, c.want.Part, decodeError.Part)
		require.Equal(t, c.want.Format, decodeError.Format)
		require.Error(t, decodeError.Err)
	}
	_, err := counts.Decode(&topic.Raw{Value: []byte("one")}, 0)
	require.ErrorIs(t, err, strconv.ErrSyntax)
}

func TestShow(t *testing.T) {
	orders := topic.New("orders", format.String(), format.JSON[map[string]int]())
	key, value, err := orders.Show([]byte("o-1"), []byte(`{ "b":2, "a":1 }`))
	require.NoError(t, err)
	require.Equal(t, "o-1", key)
	require.Equal(t, `{"a":1,"b":2}`, value)

	_, value, err = orders.Show([]byte("o-1"), nil)
	require.NoError(t, err)
	require.Equal(t, "(tombstone)", value)

	key, _, err = blobs.Show(nil, []byte("x"))
	require.NoError(t, err)
	require.Equal(t, "(null)", key)

	_, _, err = orders.Show([]byte("o-1"), []byte(`{`))
	require.ErrorContains(t, err, "value is no json")
}

func TestRawSize(t *testing.T) {
	empty := topic.Raw{}
	full := topic.Raw{Key: []byte("abc"), Value: []byte("de"), Headers: topic.Headers{{Key: "f", Value: []byte("gh")}}}
	require.GreaterOrEqual(t, full.Size(), empty.Size()+8)
}

func TestRoundTrip(t *testing.T) {
	r := counts.Record("tea", 5).WithHeader("h", []byte("v"))
	m, err := counts.Decode(&topic.Raw{Key: r.Key(), Value: r.Value(), Headers: r.Headers()}, 0)
	require.NoError(t, err)
	require.Equal(t, "tea", m.Key)
	require.Equal(t, int64(5), m.Value)

	r = counts.Tombstone("tea")
	m, err = counts.Decode(&topic.Raw{Key: r.Key(), Value: r.Value()}, 0)
	require.NoError(t, err)
	require.True(t, m.Tombstone)
}
