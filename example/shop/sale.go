package main

import (
	"context"
	"time"

	"github.com/kappaflows/flows/topic"
)

// Payment is money for an order. The message's key is the bank's number.
type Payment struct {
	Order string `json:"order"`
	Cents int64  `json:"cents"`
}

// Shipment is a parcel with all of an order. The message's key is the carrier's number.
type Shipment struct {
	Order   string `json:"order"`
	Carrier string `json:"carrier"`
}

// Sale is all that is known of an order: what was ordered, what was paid, and how it was sent. These come in any order.
type Sale struct {
	Order   *Order    `json:"order,omitempty"`
	Placed  time.Time `json:"placed,omitzero"`
	Cents   int64     `json:"cents,omitempty"` // paid so far
	Carrier string    `json:"carrier,omitempty"`
}

func orderKey(in topic.Message[string, Order]) string       { return in.Key }
func paymentKey(in topic.Message[int64, Payment]) string    { return in.Value.Order }
func shipmentKey(in topic.Message[string, Shipment]) string { return in.Value.Order }

func onOrder(_ context.Context, id string, in topic.Message[string, Order], sale Sale) (Sale, topic.Records, error) {
	order := in.Value
	sale.Order, sale.Placed = &order, in.Timestamp.UTC()
	return sale, sale.records(id), nil
}

func onPayment(_ context.Context, id string, in topic.Message[int64, Payment], sale Sale) (Sale, topic.Records, error) {
	sale.Cents += in.Value.Cents
	return sale, sale.records(id), nil
}

func onShipment(_ context.Context, id string, in topic.Message[string, Shipment], sale Sale) (Sale, topic.Records, error) {
	sale.Carrier = in.Value.Carrier
	return sale, sale.records(id), nil
}

// records tells of the sale from when its order is known.
func (s Sale) records(id string) topic.Records {
	if s.Order == nil {
		return nil
	}
	return topic.Records{sales.Record(id, s)}
}

// status says in a word how far the sale is.
func (s Sale) status() string {
	paid, shipped := s.Cents >= s.Order.Total(), s.Carrier != ""
	switch {
	case paid && shipped:
		return "complete"
	case paid:
		return "paid"
	case shipped:
		return "shipped"
	default:
		return "placed"
	}
}
