package main

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// customers play all that the shop has to do with: those who order, the bank and the warehouse. What they do depends on
// the seed alone.
type customers struct {
	random *rand.Rand
	seed   uint64
	// orders is how many are ordered; below zero it does not end.
	orders int
	// bad is the part of the messages that are cut off in the middle, 0 to 1.
	bad float64
	// due is what has happened so far, where it is known.
	due Totals
}

// event is a message for the shop.
type event struct {
	spec   *topic.Spec
	output runtime.Output
	// request says that it is an order as it can also be sent by HTTP.
	request bool
}

// underway is how many messages are on their way at a time; they arrive in any order.
const underway = 30

func newCustomers(seed uint64, orders int, bad float64) *customers {
	return &customers{random: rand.New(rand.NewPCG(seed, 0)), seed: seed, orders: orders, bad: bad}
}

// events returns what happens: the stock is filled, then orders, payments and shipments arrive in random order.
func (c *customers) events() iter.Seq[event] {
	return func(yield func(event) bool) {
		for _, p := range products {
			if !yield(eventOf(movements.Record(p.name, Movement{Quantity: p.stock}))) {
				return
			}
		}
		var waiting []event
		for n := 0; n != c.orders; n++ {
			for waiting = append(waiting, c.order(n)...); len(waiting) > underway; {
				if !yield(c.next(&waiting)) {
					return
				}
			}
		}
		for len(waiting) > 0 {
			if !yield(c.next(&waiting)) {
				return
			}
		}
	}
}

func (c *customers) next(waiting *[]event) event {
	i := c.random.IntN(len(*waiting))
	taken := (*waiting)[i]
	*waiting = slices.Delete(*waiting, i, i+1)
	return taken
}

// order is all that happens with one order.
func (c *customers) order(n int) []event {
	order := Order{ID: fmt.Sprintf("%d-%05d", c.seed, n+1), Customer: pick(c.random, names)}
	for range 1 + c.random.IntN(3) {
		p := pick(c.random, products)
		order.Lines = append(order.Lines, Line{Product: p.name, Quantity: 1 + c.random.Int64N(4), Cents: p.cents})
	}
	if c.random.IntN(50) == 0 {
		order.Lines[0].Quantity = 0
		ordered, whole := c.spoil(orders.Record(order.ID, order))
		c.due.reject(whole)
		return []event{ordered}
	}
	// One in ten is paid late, and one in five is sent late: not while we look.
	events := make([]event, 0, 3)
	ordered, taken := c.spoil(orders.Record(order.ID, order))
	events = append(events, ordered)
	paid, shipped := false, false
	if c.random.IntN(10) > 0 {
		var payment event
		payment, paid = c.spoil(payments.Record(int64(n+1), Payment{Order: order.ID, Cents: order.Total()}))
		events = append(events, payment)
	}
	if c.random.IntN(5) > 0 {
		var shipment event
		shipment, shipped = c.spoil(shipments.Record(fmt.Sprintf("parcel-%d", n+1), Shipment{Order: order.ID, Carrier: pick(c.random, carriers)}))
		events = append(events, shipment)
	}
	if taken {
		c.due.take(order, paid, shipped)
	}
	return events
}

// spoil makes an event of a record, and says whether it is whole.
func (c *customers) spoil(record topic.Record) (e event, whole bool) {
	e = eventOf(record)
	if c.random.Float64() >= c.bad {
		return e, true
	}
	c.due.Letters++
	e.output.Value, e.request = e.output.Value[:len(e.output.Value)/2], false
	return e, false
}

func eventOf(record topic.Record) event {
	return event{
		spec: record.Spec(), output: runtime.Output{Key: record.Key(), Value: record.Value()}, request: record.Spec() == orders.Spec(),
	}
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

type product struct {
	name         string
	cents, stock int64
}

var (
	products = []product{
		{"apron", 1900, 300},
		{"bowl", 1250, 300},
		{"cup", 800, 300},
		{"jug", 2450, 220},
		{"kettle", 3900, 250},
		{"pan", 4500, 300},
		{"plate", 950, 300},
		{"spoon", 350, 300},
		{"teapot", 3200, 220},
		{"towel", 700, 300},
	}
	names    = []string{"Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jun", "Kim", "Lea"}
	carriers = []string{"bike", "post", "van"}
)
