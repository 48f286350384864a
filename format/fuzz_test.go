package format_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kappaflows/flows/format"
)

// checkBytes decodes any bytes, which must not panic; what can be decoded must be written in a form that stays.
func checkBytes[T any](t *testing.T, f format.Format[T], data []byte) {
	t.Helper()
	before := bytes.Clone(data)
	value, err := f.Decode(data)
	if !bytes.Equal(before, data) {
		t.Fatalf("Decode changed its input %q to %q", before, data)
	}
	if err != nil {
		if len(err.Error()) > 500 {
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
		return
	}
	f.Show(value)
	first, err := f.Append([]byte("before"), value)
	if err != nil || !bytes.HasPrefix(first, []byte("before")) {
		t.Fatalf("%q was read from %q and cannot be written: %q, %v", f.Show(value), data, first, err)
	}
	first = first[len("before"):]
	again, err := f.Decode(first)
	if err != nil {
		t.Fatalf("%q was written and cannot be read: %v", first, err)
	}
	second, err := f.Append(nil, again)
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("%q became %q (%v)", first, second, err)
	}
}

// checkValue writes a value, which must be read again as it is.
func checkValue[T any](t *testing.T, f format.Format[T], value T, equal func(a, b T) bool) {
	t.Helper()
	data, err := f.Append([]byte{}, value)
	if err != nil {
		t.Fatalf("cannot write %v: %v", value, err)
	}
	again, err := f.Decode(data)
	if err != nil || !equal(value, again) {
		t.Fatalf("%v became %v by %q (%v)", value, again, data, err)
	}
}

func same[T comparable](a, b T) bool { return a == b }

func FuzzBytes(f *testing.F) {
	f.Add([]byte("a\x00\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkBytes(t, format.Bytes(), data)
		checkBytes(t, format.None(), data)
		if data != nil {
			checkValue(t, format.Bytes(), data, func(a, b []byte) bool { return b != nil && bytes.Equal(a, b) })
		}
	})
}

func FuzzString(f *testing.F) {
	f.Add([]byte("né\xed\xa0\x80"))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkBytes(t, format.String(), data)
		if text, err := format.String().Decode(data); err == nil {
			checkValue(t, format.String(), text, same)
		} else if _, err := format.String().Append(nil, string(data)); err == nil {
			t.Fatalf("%q is written and not read", data)
		}
	})
}

func FuzzBool(f *testing.F) {
	f.Add([]byte("true"))
	f.Add([]byte("false"))
	f.Fuzz(func(t *testing.T, data []byte) { checkBytes(t, format.Bool(), data) })
}

func FuzzInteger(f *testing.F) {
	for _, n := range []int64{0, -1, math.MinInt64, math.MaxInt64, math.MaxInt32 + 1} {
		f.Add([]byte("+0"), n)
	}
	f.Fuzz(func(t *testing.T, data []byte, n int64) {
		checkBytes(t, format.Int(), data)
		checkBytes(t, format.Int32(), data)
		checkBytes(t, format.Int64(), data)
		checkBytes(t, format.Uint32(), data)
		checkBytes(t, format.Uint64(), data)
		checkValue(t, format.Int(), int(n), same)
		checkValue(t, format.Int32(), int32(n), same)
		checkValue(t, format.Int64(), n, same)
		checkValue(t, format.Uint32(), uint32(n), same)
		checkValue(t, format.Uint64(), uint64(n), same)
	})
}

func FuzzFloat(f *testing.F) {
	for _, x := range []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), 1e21, 9.999999e-7, math.MaxFloat64} {
		f.Add([]byte("infinity"), x)
	}
	f.Fuzz(func(t *testing.T, data []byte, x float64) {
		checkBytes(t, format.Float64(), data)
		checkValue(t, format.Float64(), x, func(a, b float64) bool {
			return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
		})
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"id":"a","lines":[{"product":"<tea>","count":2}],"paid":"2006-01-02T15:04:05Z"}`), "k", 1.5)
	f.Add([]byte(`[1e400, -0, "\ud800", "\u0000", {"a":{}}]`), "", 0.0)
	f.Fuzz(func(t *testing.T, data []byte, key string, x float64) {
		checkBytes(t, format.JSON[any](), data)
		checkBytes(t, format.JSON[order](), data)
		checkBytes(t, format.JSON[*order](), data)
		checkBytes(t, format.JSON[map[string]int](), data)
		checkBytes(t, format.JSON[json.RawMessage](), data)
		if _, err := format.String().Append(nil, key); err == nil && !math.IsNaN(x) && !math.IsInf(x, 0) {
			equal := func(a, b map[string]any) bool { return reflect.DeepEqual(a, b) }
			checkValue(t, format.JSON[map[string]any](), map[string]any{key: []any{x, key, nil, true}}, equal)
		}
	})
}

func FuzzProtobuf(f *testing.F) {
	seed, err := format.Protobuf[*structpb.Struct]().Append(nil, &structpb.Struct{Fields: map[string]*structpb.Value{
		"a": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewNullValue()}}),
		"b": structpb.NewNumberValue(math.NaN()),
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		checkBytes(t, format.Protobuf[*structpb.Struct](), data)
		checkBytes(t, format.Protobuf[*structpb.Value](), data)
	})
}
