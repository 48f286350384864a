package format_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/format"
)

type order struct {
	ID    string            `json:"id"`
	Lines []line            `json:"lines,omitempty"`
	Tags  map[string]string `json:"tags,omitempty"`
	Paid  *time.Time        `json:"paid,omitempty"`
}

type line struct {
	Product string `json:"product"`
	Count   int    `json:"count"`
}

func TestNamesAndKinds(t *testing.T) {
	type named interface {
		Name() string
		Kind() format.Kind
	}
	for _, c := range []struct {
		format named
		name   string
		kind   format.Kind
	}{
		{format.Bytes(), "bytes", format.Binary},
		{format.Borrowed(), "bytes", format.Binary},
		{format.None(), "none", format.Binary},
		{format.String(), "string", format.Text},
		{format.Bool(), "bool", format.Text},
		{format.Int(), "int", format.Text},
		{format.Int32(), "int32", format.Text},
		{format.Int64(), "int64", format.Text},
		{format.Uint32(), "uint32", format.Text},
		{format.Uint64(), "uint64", format.Text},
		{format.Float64(), "float64", format.Text},
		{format.JSON[order](), "json", format.Document},
		{format.Protobuf[*wrapperspb.StringValue](), "protobuf google.protobuf.StringValue", format.Binary},
	} {
		require.Equal(t, c.name, c.format.Name())
		require.Equal(t, c.kind, c.format.Kind(), c.name)
	}
}

// sample is a value and its bytes, which must lead to each other.
type sample[T any] struct {
	value T
	bytes string
	shown string
}

func checkSamples[T any](t *testing.T, f format.Format[T], samples ...sample[T]) {
	t.Helper()
	for _, s := range samples {
		encoded, err := f.Append([]byte("before"), s.value)
		require.NoError(t, err)
		require.Equal(t, "before"+s.bytes, string(encoded))
		decoded, err := f.Decode([]byte(s.bytes))
		require.NoError(t, err)
		require.Equal(t, s.value, decoded)
		require.Equal(t, s.shown, f.Show(s.value))
	}
}

func TestSamples(t *testing.T) {
	checkSamples(t, format.Borrowed(), sample[[]byte]{[]byte{}, "", `""`}, sample[[]byte]{[]byte("a\x00\xff"), "a\x00\xff", `"a\x00\xff"`})
	checkSamples(t, format.Bytes(), sample[[]byte]{[]byte{}, "", `""`}, sample[[]byte]{[]byte("a\x00\xff"), "a\x00\xff", `"a\x00\xff"`})
	checkSamples(t, format.None(), sample[struct{}]{struct{}{}, "", "(null)"})
	checkSamples(t, format.String(), sample[string]{"", "", ""}, sample[string]{"né", "né", "né"},
		sample[string]{"a\x00b", "a\x00b", `"a\x00b"`}, sample[string]{"\x1b[2J", "\x1b[2J", `"\x1b[2J"`}, sample[string]{"\uFFFD", "\uFFFD", "\uFFFD"})
	checkSamples(t, format.Bool(), sample[bool]{true, "true", "true"}, sample[bool]{false, "false", "false"})
	checkSamples(t, format.Int(), sample[int]{-7, "-7", "-7"})
	checkSamples(t, format.Int32(), sample[int32]{math.MinInt32, "-2147483648", "-2147483648"})
	checkSamples(t, format.Int64(), sample[int64]{math.MinInt64, "-9223372036854775808", "-9223372036854775808"},
		sample[int64]{0, "0", "0"})
	checkSamples(t, format.Uint32(), sample[uint32]{math.MaxUint32, "4294967295", "4294967295"})
	checkSamples(t, format.Uint64(), sample[uint64]{math.MaxUint64, "18446744073709551615", "18446744073709551615"})
	checkSamples(t, format.Float64(), sample[float64]{0, "0", "0"}, sample[float64]{0.1, "0.1", "0.1"},
		sample[float64]{1e6, "1000000", "1000000"}, sample[float64]{1e21, "1e+21", "1e+21"}, sample[float64]{-1e-7, "-1e-07", "-1e-07"},
		sample[float64]{math.Inf(-1), "-Inf", "-Inf"}, sample[float64]{math.MaxFloat64, "1.7976931348623157e+308", "1.7976931348623157e+308"},
		sample[float64]{math.SmallestNonzeroFloat64, "5e-324", "5e-324"})
	document := `{"id":"a<b>&c","lines":[{"product":"tea","count":2}]}`
	checkSamples(t, format.JSON[order](), sample[order]{order{ID: "a<b>&c", Lines: []line{{"tea", 2}}}, document, document})
	checkSamples(t, format.JSON[*order](), sample[*order]{nil, "null", "null"})
}

func TestDecodeRefuses(t *testing.T) {
	refuses(t, format.None(), "x", "there are bytes where none are declared")
	refuses(t, format.String(), "ab\xffc", "invalid UTF-8 at byte 2")
	refuses(t, format.String(), "né\xed\xa0\x80", "invalid UTF-8 at byte 3") // half a surrogate pair
	refuses(t, format.Bool(), "True", `"True": neither true nor false`)
	refuses(t, format.Bool(), "", `"": neither true nor false`)
	for _, bad := range []string{"", " 1", "1 ", "1_000", "0x10", "1.0", "1e3", "--1", "٣"} {
		refuses(t, format.Int64(), bad, "invalid syntax")
		refuses(t, format.Uint64(), bad, "invalid syntax")
	}
	refuses(t, format.Int64(), "9223372036854775808", `"9223372036854775808": value out of range`)
	refuses(t, format.Int32(), "2147483648", `"2147483648": value out of range`)
	refuses(t, format.Uint32(), "4294967296", `"4294967296": value out of range`)
	refuses(t, format.Uint64(), "-1", `"-1": invalid syntax`)
	refuses(t, format.Int(), strings.Repeat("9", 1000), `"99999999999999999999999999999999"...: value out of range`)
	for _, bad := range []string{"", " 1", "0x1p-2", "1_0", "1,5", "one"} {
		refuses(t, format.Float64(), bad, "invalid syntax")
	}
	refuses(t, format.Float64(), "1e999", `"1e999": value out of range`)
}

func refuses[T any](t *testing.T, f format.Format[T], data, message string) {
	t.Helper()
	value, err := f.Decode([]byte(data))
	require.ErrorContains(t, err, message)
	var zero T
	require.Equal(t, zero, value)
}

func TestDecodeIsLenient(t *testing.T) {
	n, err := format.Int64().Decode([]byte("+007"))
	require.NoError(t, err)
	require.Equal(t, int64(7), n)
	x, err := format.Float64().Decode([]byte("1E3"))
	require.NoError(t, err)
	require.InDelta(t, 1000, x, 0)
	o, err := format.JSON[order]().Decode([]byte(` {"id": "a", "unknown": [1]} ` + "\n"))
	require.NoError(t, err)
	require.Equal(t, order{ID: "a"}, o)
}

func TestNull(t *testing.T) {
	isNull := format.NullOf(format.Bytes())
	require.True(t, isNull(nil))
	require.False(t, isNull([]byte{}))
	null, err := format.Bytes().Decode(nil)
	require.NoError(t, err)
	require.Nil(t, null)
	empty, err := format.Bytes().Decode([]byte{})
	require.NoError(t, err)
	require.NotNil(t, empty)
	require.Equal(t, "(null)", format.Bytes().Show(nil))

	require.True(t, format.NullOf(format.None())(struct{}{}))
	require.Nil(t, format.NullOf(format.String()))
	require.Nil(t, format.NullOf(format.JSON[*order]()))

	noKey, err := format.String().Decode(nil)
	require.NoError(t, err)
	require.Empty(t, noKey)
	_, err = format.Int64().Decode(nil)
	require.Error(t, err)
	_, err = format.JSON[order]().Decode(nil)
	require.Error(t, err)
}

func TestDecodeKeepsNothing(t *testing.T) {
	data := []byte("abc")
	kept, err := format.Bytes().Decode(data)
	require.NoError(t, err)
	word, err := format.String().Decode(data)
	require.NoError(t, err)
	document := []byte(`{"id":"abc"}`)
	o, err := format.JSON[order]().Decode(document)
	require.NoError(t, err)
	copy(data, "xyz")
	clear(document)
	require.Equal(t, "abc", string(kept))
	require.Equal(t, "abc", word)
	require.Equal(t, "abc", o.ID)
}

func TestStringAppendRefusesInvalidText(t *testing.T) {
	out, err := format.String().Append([]byte("kept"), "ab\xff")
	require.EqualError(t, err, "invalid UTF-8 at byte 2")
	require.Equal(t, "kept", string(out))
}

func TestJSONRefuses(t *testing.T) {
	refuses(t, format.JSON[order](), `{"id":"a"} {}`, "at byte 12: invalid character '{' after top-level value")
	refuses(t, format.JSON[order](), `{"id":"a"`, "unexpected end of JSON input")
	refuses(t, format.JSON[order](), ``, "unexpected end of JSON input")
	refuses(t, format.JSON[order](), "{\"id\":\"a\xff\"}", "invalid UTF-8 at byte 8")
	refuses(t, format.JSON[order](), `{"id":"a","lines":7}`, "cannot unmarshal number into Go struct field order.lines")
	refuses(t, format.JSON[any](), strings.Repeat("[", 1_000_000), "exceeded max depth")
	refuses(t, format.JSON[order](), strings.Repeat(`{"lines":`, 1_000_000), "exceeded max depth")
	refuses(t, format.JSON[map[string]any](), strings.Repeat(`{"a":`, 10_001)+"1"+strings.Repeat("}", 10_001), "exceeded max depth")
}

func TestJSONErrorsAreShort(t *testing.T) {
	_, err := format.JSON[line]().Decode([]byte(`{"count":` + strings.Repeat("9", 1<<20) + `}`))
	require.Error(t, err)
	require.Less(t, len(err.Error()), 400)
}

type ring struct{ Next *ring }

func TestJSONAppendRefuses(t *testing.T) {
	var endless ring
	endless.Next = &endless
	for _, bad := range []any{math.NaN(), make(chan int), &endless} {
		out, err := format.JSON[any]().Append([]byte("kept"), bad)
		require.Error(t, err)
		require.Equal(t, "kept", string(out))
		require.Contains(t, format.JSON[any]().Show(bad), "(json: ")
	}
}

func TestProtobuf(t *testing.T) {
	f := format.Protobuf[*wrapperspb.StringValue]()
	isNull := format.NullOf(f)

	encoded, err := f.Append([]byte("x"), wrapperspb.String("tea"))
	require.NoError(t, err)
	require.Equal(t, "x\n\x03tea", string(encoded))
	decoded, err := f.Decode(encoded[1:])
	require.NoError(t, err)
	require.Equal(t, "tea", decoded.GetValue())
	require.Equal(t, `"tea"`, f.Show(decoded))

	require.True(t, isNull(nil))
	null, err := f.Append([]byte("x"), nil)
	require.NoError(t, err)
	require.Equal(t, "x", string(null))
	require.Equal(t, "(null)", f.Show(nil))
	decoded, err = f.Decode(nil)
	require.NoError(t, err)
	require.True(t, isNull(decoded))

	require.False(t, isNull(&wrapperspb.StringValue{}))
	decoded, err = f.Decode([]byte{})
	require.NoError(t, err)
	require.NotNil(t, decoded)

	out, err := f.Append([]byte("kept"), wrapperspb.String("\xff"))
	require.ErrorContains(t, err, "UTF-8")
	require.Equal(t, "kept", string(out))
	_, err = f.Decode([]byte("\n\xff"))
	require.Error(t, err)
}

func TestProtobufShowsOneLine(t *testing.T) {
	value, err := structpb.NewStruct(map[string]any{"a": "b\nc", "d": []any{1.0, true}})
	require.NoError(t, err)
	require.JSONEq(t, `{"a":"b\nc","d":[1,true]}`, format.Protobuf[*structpb.Struct]().Show(value))
}

// Keys must be equal where messages are, so the order of a map must not matter.
func TestProtobufIsDeterministic(t *testing.T) {
	f := format.Protobuf[*structpb.Struct]()
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.MapOfN(rapid.String(), rapid.Float64(), 2, 20).Draw(t, "fields")
		message := func() *structpb.Struct {
			m := &structpb.Struct{Fields: map[string]*structpb.Value{}}
			for k, v := range fields {
				m.Fields[k] = structpb.NewNumberValue(v)
			}
			return m
		}
		a, errA := f.Append(nil, message())
		b, errB := f.Append(nil, message())
		if errA != nil || errB != nil || !cmp.Equal(a, b) {
			t.Fatalf("%x differs from %x (%v, %v)", a, b, errA, errB)
		}
	})
}

func TestProtobufOfAnInterface(t *testing.T) {
	f := format.Protobuf[proto.Message]()
	_, err := f.Decode([]byte("x"))
	require.ErrorContains(t, err, "is no generated message type")
	out, err := f.Append(nil, nil)
	require.NoError(t, err)
	require.Empty(t, out)
}

func TestAllocations(t *testing.T) {
	buf := make([]byte, 0, 64)
	cost := func(want float64, f func() error) {
		t.Helper()
		require.InDelta(t, want, testing.AllocsPerRun(100, func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		}), 0)
	}
	text, number, word, digits := format.String(), format.Int64(), "a word of some length, more than thirty-two bytes", []byte("-123456789")
	cost(0, func() error { _, err := text.Append(buf, word); return err })
	cost(0, func() error { _, err := number.Append(buf, math.MinInt64); return err })
	cost(0, func() error { _, err := number.Decode(digits); return err })
	cost(0, func() error { _, err := format.Float64().Append(buf, 0.1); return err })
	cost(0, func() error { _, err := format.Float64().Decode(digits); return err })
	cost(0, func() error { _, err := format.Bool().Append(buf, true); return err })
	data := []byte(word)
	cost(1, func() error { _, err := text.Decode(data); return err })
	cost(1, func() error { _, err := format.Bytes().Decode(data); return err })
}

func TestBorrowedBytesAreTheMessagesOwn(t *testing.T) {
	data := []byte("tea time")
	got, err := format.Borrowed().Decode(data[:3])
	require.NoError(t, err)
	require.Equal(t, "tea", string(got))
	require.Same(t, &data[0], &got[0])
	require.Equal(t, 3, cap(got), "what is appended must not run into the next message")
	require.Same(t, &got[0], &format.BorrowOf(format.Borrowed())(got)[0])
	null, err := format.Borrowed().Decode(nil)
	require.NoError(t, err)
	require.Nil(t, null)
	require.Nil(t, format.BorrowOf(format.Bytes()))
}
