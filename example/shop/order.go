package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/kappaflows/flows/router"
	"github.com/kappaflows/flows/topic"
)

// Order is what a customer wants to have. Its ID is the key of its messages.
type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Lines    []Line `json:"lines"`
}

// Line is one product of an order.
type Line struct {
	Product  string `json:"product"`
	Quantity int64  `json:"quantity"`
	// Cents is the price of one piece.
	Cents int64 `json:"cents"`
}

// Rejection is an order that the shop does not take.
type Rejection struct {
	Order  Order  `json:"order"`
	Reason string `json:"reason"`
}

// Total is what the order costs, in cents.
func (o Order) Total() (cents int64) {
	for _, line := range o.Lines {
		cents += line.Quantity * line.Cents
	}
	return cents
}

// problem says why the shop does not take the order, nothing where it does.
func (o Order) problem() string {
	switch {
	case o.Customer == "":
		return "nobody has ordered"
	case len(o.Lines) == 0:
		return "nothing is ordered"
	}
	for i, line := range o.Lines {
		switch {
		case line.Product == "":
			return fmt.Sprintf("line %d has no product", i+1)
		case line.Quantity < 1 || line.Cents < 1:
			return fmt.Sprintf("line %d: quantity %d, %d cents; both are 1 or more", i+1, line.Quantity, line.Cents)
		}
	}
	return ""
}

// accept takes an order from a request. Whether it is a good one is found out later: a customer who sent it is sure that
// it is kept.
func accept(_ context.Context, _ *http.Request, order Order) (topic.Record, error) {
	if order.ID == "" {
		return topic.Record{}, &router.Problem{Status: http.StatusBadRequest, Field: "id", Detail: "an order has an id"}
	}
	return orders.Record(order.ID, order), nil
}

// check takes or rejects an order. The pieces of one that is taken leave the stock.
func check(_ context.Context, in topic.Message[string, Order]) (topic.Records, error) {
	order := in.Value
	if reason := order.problem(); reason != "" {
		return topic.Records{rejected.Record(in.Key, Rejection{Order: order, Reason: reason})}, nil
	}
	out := topic.Records{accepted.Record(in.Key, order)}
	for _, line := range order.Lines {
		out = append(out, movements.Record(line.Product, Movement{Quantity: -line.Quantity, Order: in.Key}))
	}
	return out, nil
}
