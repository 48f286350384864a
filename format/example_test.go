package format_test

import (
	"fmt"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kappaflows/flows/format"
)

func ExampleString() {
	data, err := format.String().Append(nil, "tea")
	fmt.Printf("%q %v\n", data, err)
	_, err = format.String().Decode([]byte("te\xff"))
	fmt.Println(err)
	// Output:
	// "tea" <nil>
	// invalid UTF-8 at byte 2
}

func ExampleInt64() {
	n, err := format.Int64().Decode([]byte("-12"))
	fmt.Println(n, err)
	_, err = format.Int64().Decode([]byte("twelve"))
	fmt.Println(err)
	// Output:
	// -12 <nil>
	// "twelve": invalid syntax
}

func ExampleFloat64() {
	fmt.Println(format.Float64().Show(0.1), format.Float64().Show(1e6), format.Float64().Show(1e21))
	// Output: 0.1 1000000 1e+21
}

func ExampleBool() {
	_, err := format.Bool().Decode([]byte("yes"))
	fmt.Println(err)
	// Output: "yes": neither true nor false
}

func ExampleJSON() {
	type Order struct {
		ID    string `json:"id"`
		Total int    `json:"total"`
	}
	orders := format.JSON[Order]()
	fmt.Println(orders.Show(Order{ID: "o-1", Total: 3}))
	_, err := orders.Decode([]byte(`{"id":"o-1"} and more`))
	fmt.Println(err)
	// Output:
	// {"id":"o-1","total":3}
	// at byte 14: invalid character 'a' after top-level value
}

func ExampleProtobuf() {
	words := format.Protobuf[*wrapperspb.StringValue]()
	data, err := words.Append(nil, wrapperspb.String("tea"))
	fmt.Printf("%s: %q %v\n", words.Name(), data, err)
	// Output: protobuf google.protobuf.StringValue: "\n\x03tea" <nil>
}

func ExampleBytes() {
	isNull := format.NullOf(format.Bytes())
	fmt.Println(isNull(nil), isNull([]byte{}))
	// Output: true false
}

// A filter that looks into bytes and hands them on needs no copy of them.
func ExampleBorrowed() {
	message := []byte("tea")
	value, _ := format.Borrowed().Decode(message)
	fmt.Println(&value[0] == &message[0])
	// Output: true
}

func ExampleNone() {
	_, err := format.None().Decode([]byte("a key"))
	fmt.Println(err)
	// Output: there are bytes where none are declared
}
