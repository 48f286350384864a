package main

import (
	"context"

	"github.com/kappaflows/flows/topic"
)

// Movement is pieces of a product that come into the stock or, below zero, leave it. The product is the message's key.
type Movement struct {
	Quantity int64 `json:"quantity"`
	// Order is the order that the pieces leave for.
	Order string `json:"order,omitempty"`
}

// Stock is how many pieces of a product there are, and how many were sold. One that is below zero is owed to customers.
type Stock struct {
	Pieces int64 `json:"pieces"`
	Sold   int64 `json:"sold"`
}

// move keeps the stock of a product.
func move(_ context.Context, in topic.Message[string, Movement], stock Stock) (Stock, topic.Records, error) {
	stock.Pieces += in.Value.Quantity
	if in.Value.Order != "" {
		stock.Sold -= in.Value.Quantity
	}
	return stock, topic.Records{stocks.Record(in.Key, stock)}, nil
}
