package main

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/router"
	"github.com/kappaflows/flows/topic"
)

func TestAppIsValid(t *testing.T) {
	require.NoError(t, shop().With(demo, newGenerate()).Validate())
}

var mug = Order{ID: "o-1", Customer: "Ann", Lines: []Line{{Product: "mug", Quantity: 2, Cents: 500}, {Product: "lid", Quantity: 1, Cents: 50}}}

func TestAnOrderNeedsAnID(t *testing.T) {
	record, err := accept(t.Context(), nil, mug)
	require.NoError(t, err)
	require.Equal(t, "o-1", string(record.Key()))
	_, err = accept(t.Context(), nil, Order{})
	var problem *router.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, 400, problem.Status)
	require.Equal(t, "id", problem.Field)
}

func TestGoodOrdersTakePiecesAndBadOnesDoNot(t *testing.T) {
	out, err := check(t.Context(), topic.Message[string, Order]{Key: "o-1", Value: mug})
	require.NoError(t, err)
	require.Equal(t, []string{"accepted o-1", "movements mug", "movements lid"}, texts(out))
	require.JSONEq(t, `{"quantity":-2,"order":"o-1"}`, string(out[1].Value()))

	change := func(how func(*Order)) Order {
		order := mug
		order.Lines = slices.Clone(order.Lines)
		how(&order)
		return order
	}
	for reason, order := range map[string]Order{
		"nobody has ordered":                                change(func(o *Order) { o.Customer = "" }),
		"nothing is ordered":                                change(func(o *Order) { o.Lines = nil }),
		"line 2 has no product":                             change(func(o *Order) { o.Lines[1].Product = "" }),
		"line 1: quantity 0, 500 cents; both are 1 or more": change(func(o *Order) { o.Lines[0].Quantity = 0 }),
		"line 2: quantity 1, -1 cents; both are 1 or more":  change(func(o *Order) { o.Lines[1].Cents = -1 }),
	} {
		out, err := check(t.Context(), topic.Message[string, Order]{Key: "o-1", Value: order})
		require.NoError(t, err)
		require.Equal(t, []string{"rejected o-1"}, texts(out))
		require.Contains(t, string(out[0].Value()), reason)
	}
}

func texts(records topic.Records) (all []string) {
	for _, r := range records {
		all = append(all, r.Spec().Name+" "+string(r.Key()))
	}
	return all
}

func TestStock(t *testing.T) {
	var stock Stock
	for _, m := range []Movement{{Quantity: 5}, {Quantity: -3, Order: "o-1"}, {Quantity: -4, Order: "o-2"}, {Quantity: 1}} {
		var err error
		stock, _, err = move(t.Context(), topic.Message[string, Movement]{Key: "mug", Value: m}, stock)
		require.NoError(t, err)
	}
	require.Equal(t, Stock{Pieces: -1, Sold: 7}, stock)
}

// However order, payment and shipment arrive, the sale ends the same, and nothing is told of an unknown order.
func TestSalesComeTogetherInAnyOrder(t *testing.T) {
	placed := time.UnixMilli(1).UTC()
	steps := map[string]func(Sale) (Sale, topic.Records, error){
		"order": func(s Sale) (Sale, topic.Records, error) {
			return onOrder(t.Context(), "o-1", topic.Message[string, Order]{Key: "o-1", Value: mug, Timestamp: placed}, s)
		},
		"payment": func(s Sale) (Sale, topic.Records, error) {
			return onPayment(t.Context(), "o-1", topic.Message[int64, Payment]{Value: Payment{Order: "o-1", Cents: 1050}}, s)
		},
		"shipment": func(s Sale) (Sale, topic.Records, error) {
			return onShipment(t.Context(), "o-1", topic.Message[string, Shipment]{Value: Shipment{Order: "o-1", Carrier: "van"}}, s)
		},
	}
	for _, names := range [][]string{
		{"order", "payment", "shipment"},
		{"order", "shipment", "payment"},
		{"payment", "order", "shipment"},
		{"shipment", "order", "payment"},
		{"payment", "shipment", "order"},
		{"shipment", "payment", "order"},
	} {
		var sale Sale
		told := 0
		for _, name := range names {
			var out topic.Records
			var err error
			sale, out, err = steps[name](sale)
			require.NoError(t, err)
			told += len(out)
		}
		require.Empty(t, cmp.Diff(Sale{Order: &mug, Placed: placed, Cents: 1050, Carrier: "van"}, sale))
		require.Equal(t, "complete", sale.status())
		require.Equal(t, 3-slices.Index(names, "order"), told)
	}
}

func TestRowsOfASale(t *testing.T) {
	changes, err := toRows(t.Context(), topic.Message[string, Sale]{Key: "o-1", Value: Sale{Order: &mug, Cents: 3, Carrier: "van"}})
	require.NoError(t, err)
	require.Len(t, changes, 3)
	require.Equal(t, &OrderRow{ID: "o-1", Customer: "Ann", Cents: 1050, Paid: 3, Carrier: "van", Status: "shipped"}, changes[0].Row)
	require.Equal(t, &LineRow{OrderID: "o-1", Number: 2, Product: "lid", Quantity: 1, Cents: 50}, changes[2].Row)
	_, err = toRows(t.Context(), topic.Message[string, Sale]{Key: "o-1"})
	require.ErrorContains(t, err, "no order")
}

func TestCustomersDoTheSameWithTheSameSeed(t *testing.T) {
	first, second, other := newCustomers(7, 500, 0.1), newCustomers(7, 500, 0.1), newCustomers(8, 500, 0.1)
	sent := outputs(first)
	require.Equal(t, sent, outputs(second))
	require.Equal(t, first.due, second.due)
	require.NotEqual(t, sent, outputs(other))
	require.Positive(t, first.due.Letters)
	require.Positive(t, first.due.Rejected)
	require.Less(t, first.due.Paid, first.due.Orders)
}

func outputs(c *customers) (all []string) {
	for e := range c.events() {
		all = append(all, e.spec.Name+" "+string(e.output.Key)+" "+string(e.output.Value))
	}
	return all
}
