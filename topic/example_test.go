package topic_test

import (
	"fmt"
	"time"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/topic"
)

func Example() {
	stock := topic.New("stock", format.String(), format.Int64(), topic.Partitions(4), topic.Compacted())

	// What a function returns: the compiler checks that the key is a string and the value an int64.
	out := topic.Records{
		stock.Record("tea", 12).WithHeader("reason", []byte("delivery")).At(time.UnixMilli(0)),
		stock.Tombstone("coffee"),
	}
	for _, r := range out {
		key, value, err := stock.Show(r.Key(), r.Value())
		fmt.Println(r.Spec().Name, key, value, err)
	}
	// Output:
	// stock tea 12 <nil>
	// stock coffee (tombstone) <nil>
}

func ExampleTopic_Decode() {
	stock := topic.New("stock", format.String(), format.Int64())
	_, err := stock.Decode(&topic.Raw{Key: []byte("tea"), Value: []byte("a few")}, 0)
	fmt.Println(err)
	// Output: value is no int64: "a few": invalid syntax
}

func ExampleMurmur2() {
	fmt.Println(topic.Murmur2([]byte("tea"), 4), topic.Murmur2([]byte("coffee"), 4))
	// Output: 2 0
}
