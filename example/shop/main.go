// Command shop takes orders over HTTP, checks them, keeps the stock, brings each order together with its payment and its
// shipment, and keeps tables of all orders for people to query. It has a function of every kind.
package main

import (
	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/join"
	"github.com/kappaflows/flows/materialise"
	"github.com/kappaflows/flows/router"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

var (
	// Orders come in by HTTP. Payments come from the bank, shipments from the warehouse, and so do the deliveries among the
	// movements.
	orders    = topic.New("orders", format.String(), format.JSON[Order]())
	payments  = topic.New("payments", format.Int64(), format.JSON[Payment]())
	shipments = topic.New("shipments", format.String(), format.JSON[Shipment]())
	movements = topic.New("movements", format.String(), format.JSON[Movement]())

	accepted = topic.New("accepted", format.String(), format.JSON[Order]())
	rejected = topic.New("rejected", format.String(), format.JSON[Rejection]())
	stocks   = topic.New("stock", format.String(), format.JSON[Stock](), topic.Compacted())
	sales    = topic.New("sales", format.String(), format.JSON[Sale]())
)

func shop() *flows.App {
	return flows.New(
		router.Config[Order, string, Order]{Name: "accept", Route: "POST /orders", Output: orders, Function: accept},
		stateless.Config[string, Order]{Name: "check", Input: orders, Outputs: topic.List{accepted, rejected, movements}, Function: check},
		stateful.Config[string, Movement, Stock]{
			Name: "stock", Input: movements, Outputs: topic.List{stocks},
			State: format.JSON[Stock](), Table: "stock", Function: move,
		},
		join.Config[string, Sale]{
			Name: "sell", Key: format.String(), State: format.JSON[Sale](), Table: "sales", Outputs: topic.List{sales},
			Sides: []join.Side[string, Sale]{
				join.From(accepted, orderKey, onOrder),
				join.From(payments, paymentKey, onPayment),
				join.From(shipments, shipmentKey, onShipment),
			},
		},
		materialise.Config[string, Sale]{Name: "tables", Input: sales, Tables: materialise.Tables{orderRows, lineRows}, Function: toRows},
	)
}

func main() { shop().With(demo, newGenerate()).Main() }
