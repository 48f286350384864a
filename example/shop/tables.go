package main

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/kappaflows/flows/materialise"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// OrderRow is an order as people query it.
type OrderRow struct {
	bun.BaseModel `bun:"table:orders"`

	ID       string    `bun:"id,pk"`
	Customer string    `bun:"customer,notnull"`
	Placed   time.Time `bun:"placed,notnull"`
	Cents    int64     `bun:"cents,notnull"`
	Paid     int64     `bun:"paid,notnull"`
	Carrier  string    `bun:"carrier,notnull"`
	Status   string    `bun:"status,notnull"`
}

// LineRow is a line of an order.
type LineRow struct {
	bun.BaseModel `bun:"table:order_lines"`

	OrderID  string `bun:"order_id,pk"`
	Number   int    `bun:"number,pk"`
	Product  string `bun:"product,notnull"`
	Quantity int64  `bun:"quantity,notnull"`
	Cents    int64  `bun:"cents,notnull"`
}

var (
	orderRows = materialise.TableOf[OrderRow]()
	lineRows  = materialise.TableOf[LineRow]()
)

// toRows makes rows of a sale. Each message has all of it, so the last one decides.
func toRows(_ context.Context, in topic.Message[string, Sale]) (materialise.Changes, error) {
	sale := in.Value
	if sale.Order == nil {
		return nil, runtime.Permanent(errors.New("the sale has no order"))
	}
	changes := orderRows.Upsert(OrderRow{
		ID: in.Key, Customer: sale.Order.Customer, Placed: sale.Placed, Cents: sale.Order.Total(), Paid: sale.Cents,
		Carrier: sale.Carrier, Status: sale.status(),
	})
	for i, line := range sale.Order.Lines {
		changes = append(changes, lineRows.Upsert(LineRow{
			OrderID: in.Key, Number: i + 1, Product: line.Product, Quantity: line.Quantity, Cents: line.Cents,
		})...)
	}
	return changes, nil
}
