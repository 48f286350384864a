package materialise_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/materialise"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Customer is a message, and CustomerRow and Address the rows made of it.
type Customer struct {
	Name   string `json:"name"`
	Street string `json:"street"`
}

type CustomerRow struct {
	ID   string `bun:"id,pk"`
	Name string
}

type Address struct {
	CustomerID string `bun:"customer_id,pk"`
	Street     string
}

var (
	customers = topic.New("customers", format.String(), format.JSON[Customer]())
	names     = materialise.TableOf[CustomerRow]()
	addresses = materialise.TableOf[Address]()
)

func keep(_ context.Context, m topic.Message[string, Customer]) (materialise.Changes, error) {
	if m.Tombstone {
		return append(names.Delete(CustomerRow{ID: m.Key}), addresses.Delete(Address{CustomerID: m.Key})...), nil
	}
	return append(
		names.Upsert(CustomerRow{ID: m.Key, Name: m.Value.Name}),
		addresses.Upsert(Address{CustomerID: m.Key, Street: m.Value.Street})...,
	), nil
}

func Example() {
	f, err := materialise.Config[string, Customer]{
		Name: "customers-table", Input: customers, Tables: materialise.Tables{names, addresses}, Function: keep,
	}.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	// What the engine does, for one message.
	in := &runtime.Input{Raw: topic.Raw{Key: []byte("c-1"), Value: []byte(`{"name":"Ann","street":"Mill Road"}`)}}
	if _, err := f.Apply(context.Background(), in, nil); err != nil {
		fmt.Println(err)
	}
	for _, change := range in.Changes {
		fmt.Printf("%T %+v\n", change.Row, change.Row)
	}
	// Output:
	// *materialise_test.CustomerRow &{ID:c-1 Name:Ann}
	// *materialise_test.Address &{CustomerID:c-1 Street:Mill Road}
}

func ExampleConfig_Compile() {
	_, err := materialise.Config[string, Customer]{
		Name: "customers-table", Input: customers, Tables: materialise.Tables{names, materialise.TableOf[string]()},
	}.Compile()
	if problems, ok := errors.AsType[*runtime.ConfigError](err); ok {
		fmt.Println(strings.Join(problems.Lines(), "\n"))
	}
	// Output:
	// materialise function "customers-table": Tables: table 2 of 2: a row is a struct, and string is none
	// materialise function "customers-table": Function: a function needs one
}
