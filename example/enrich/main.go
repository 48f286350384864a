// Command enrich writes to each order who ordered: a join of a stream with a table.
//
// Customers are a table: the last message of a key is what is known of that customer. Orders have keys of their own and
// name the customer. An order whose customer is not known goes to a topic of its own.
package main

import (
	"context"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/join"
	"github.com/kappaflows/flows/topic"
)

// Order is what is ordered, by whom.
type Order struct {
	Customer string `json:"customer"`
	Item     string `json:"item"`
}

// Customer is what is known of a customer.
type Customer struct {
	Name string `json:"name"`
	City string `json:"city"`
}

// Shipment is an order with what is needed to send it.
type Shipment struct {
	Item string   `json:"item"`
	To   Customer `json:"to"`
}

var (
	orders    = topic.New("orders", format.String(), format.JSON[Order]())
	customers = topic.New("customers", format.String(), format.JSON[Customer](), topic.Compacted())
	shipments = topic.New("shipments", format.String(), format.JSON[Shipment]())
	strangers = topic.New("strangers", format.String(), format.JSON[Order]())
)

func customerOf(order topic.Message[string, Order]) string { return order.Value.Customer }

func ship(_ context.Context, order topic.Message[string, Order], customer *Customer) (topic.Records, error) {
	if customer == nil {
		return topic.Records{strangers.Record(order.Key, order.Value)}, nil
	}
	return topic.Records{shipments.Record(order.Key, Shipment{Item: order.Value.Item, To: *customer})}, nil
}

func shipping() join.Function {
	return join.Enrich("ship", join.By(orders, customerOf), customers, topic.List{shipments, strangers}, ship)
}

func main() { flows.Main(shipping()) }
