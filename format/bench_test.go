package format_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kappaflows/flows/format"
)

// BenchmarkFormats encodes and decodes a value of each format.
func BenchmarkFormats(b *testing.B) {
	bench(b, "bytes", format.Bytes(), []byte(strings.Repeat("x", 100)))
	bench(b, "string", format.String(), strings.Repeat("x", 100))
	bench(b, "int64", format.Int64(), 123_456_789)
	bench(b, "float64", format.Float64(), 1234.5)
	bench(b, "json", format.JSON[order](), order{ID: "order-17"})
	bench(b, "protobuf", format.Protobuf[*wrapperspb.StringValue](), wrapperspb.String(strings.Repeat("x", 100)))
}

func bench[T any](b *testing.B, name string, f format.Format[T], value T) {
	encoded, err := f.Append(nil, value)
	if err != nil {
		b.Fatal(err)
	}
	b.Run(name+"/encode", func(b *testing.B) {
		buf := make([]byte, 0, len(encoded))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.Append(buf, value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"/decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.Decode(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}
