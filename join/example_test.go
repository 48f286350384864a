package join_test

import (
	"context"
	"fmt"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/join"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

func Example() {
	pay := join.Config[string, order]{
		Name: "pay", Key: format.String(), State: format.JSON[order](), Table: "pay", Outputs: topic.List{paid},
		Sides: []join.Side[string, order]{
			join.From(orders, orderKey, onOrder),
			join.From(payments, paymentKey, onPayment),
		},
	}
	f, err := pay.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, part := range f.Parts {
		fmt.Printf("%s: %s -> %s\n", part.Name, part.Inputs[0].Name, part.Outputs[0].Name)
	}
	fmt.Printf("%s: %s -> %s\n", f.Name, f.Inputs[0].Name, f.Outputs[0].Name)
	// Output:
	// pay.orders: orders -> pay.intermediate
	// pay.payments: payments -> pay.intermediate
	// pay: pay.intermediate -> paid
}

// through applies a join to messages one after the other, as the engine does it for one key.
func through(made join.Function, messages ...message) {
	f, err := made.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	state := f.State.New()
	for _, m := range messages {
		side, err := f.Parts[m.side].Apply(context.Background(), &runtime.Input{Raw: topic.Raw{Key: []byte("c-1"), Value: m.value}}, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		in := &runtime.Input{Raw: topic.Raw{Key: side[0].Key(), Value: side[0].Value()}}
		records, err := f.Apply(context.Background(), in, state)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, r := range records {
			key, value, _ := r.Spec().Show(r.Key(), r.Value())
			fmt.Println(key, value)
		}
	}
}

// message is one for a side of a join; a nil value is a tombstone.
type message struct {
	side  int
	value []byte
}

func ExampleInner() {
	made := join.Inner("person", names, cities, people, func(_, name, city string) string { return name + " of " + city })
	through(made, message{0, []byte("Ann")}, message{1, []byte("Rome")}, message{1, []byte("Oslo")}, message{1, nil})
	// Output:
	// c-1 Ann of Rome
	// c-1 Ann of Oslo
	// c-1 (tombstone)
}

func ExampleLeft() {
	made := join.Left("person", names, cities, people, func(_, name string, city *string) string {
		if city == nil {
			return name
		}
		return name + " of " + *city
	})
	through(made, message{0, []byte("Ann")}, message{1, []byte("Rome")}, message{1, nil}, message{0, nil})
	// Output:
	// c-1 Ann
	// c-1 Ann of Rome
	// c-1 Ann
	// c-1 (tombstone)
}

func ExampleOuter() {
	made := join.Outer("person", names, cities, people, func(_ string, name, city *string) string {
		return fmt.Sprint(name != nil, " ", city != nil)
	})
	through(made, message{1, []byte("Rome")}, message{0, []byte("Ann")}, message{1, nil}, message{0, nil})
	// Output:
	// c-1 false true
	// c-1 true true
	// c-1 true false
	// c-1 (tombstone)
}

func ExampleEnrich() {
	visits := topic.New("visits", format.String(), format.String())
	enrich := func(_ context.Context, visit topic.Message[string, string], name *string) (topic.Records, error) {
		if name == nil {
			return nil, nil // nobody is known who it could be
		}
		return topic.Records{people.Record(visit.Key, *name+" at "+visit.Value)}, nil
	}
	byVisitor := func(visit topic.Message[string, string]) string { return visit.Key }
	made := join.Enrich("greet", join.By(visits, byVisitor), names, topic.List{people}, enrich)
	through(made, message{0, []byte("9:00")}, message{1, []byte("Ann")}, message{0, []byte("9:05")})
	// Output:
	// c-1 Ann at 9:05
}
