package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ShopOrder is what is ordered. This is what the messages of the shop look like to somebody else.
type ShopOrder struct {
	ID       string     `json:"id"`
	Customer string     `json:"customer"`
	Lines    []ShopLine `json:"lines"`
}

// ShopLine is one product of an order.
type ShopLine struct {
	Product  string `json:"product"`
	Quantity int64  `json:"quantity"`
	Cents    int64  `json:"cents"`
}

// ShopPayment is money for an order.
type ShopPayment struct {
	Order string `json:"order"`
	Cents int64  `json:"cents"`
}

// ShopShipment is a parcel with all of an order.
type ShopShipment struct {
	Order   string `json:"order"`
	Carrier string `json:"carrier"`
}

// ShopMovement is pieces that come into the stock or, below zero, leave it.
type ShopMovement struct {
	Quantity int64  `json:"quantity"`
	Order    string `json:"order,omitempty"`
}

// shopRejection is an order that the shop does not take.
type shopRejection struct {
	Order  ShopOrder `json:"order"`
	Reason string    `json:"reason"`
}

// Good says whether the shop takes the order.
func (o ShopOrder) Good() bool { return o.reason() == "" }

// reason is why the shop does not take the order; empty where it does.
func (o ShopOrder) reason() string {
	if o.Customer == "" {
		return "nobody has ordered"
	}
	if len(o.Lines) == 0 {
		return "nothing is ordered"
	}
	for i, l := range o.Lines {
		if l.Product == "" {
			return fmt.Sprintf("line %d has no product", i+1)
		}
		if l.Quantity <= 0 || l.Cents <= 0 {
			return fmt.Sprintf("line %d: quantity %d, %d cents; both are 1 or more", i+1, l.Quantity, l.Cents)
		}
	}
	return ""
}

// Total is what the order costs.
func (o ShopOrder) Total() (cents int64) {
	for _, l := range o.Lines {
		cents += l.Quantity * l.Cents
	}
	return cents
}

// shop is what the shop should have done, of nothing but what came into its topics from outside.
type shop struct {
	oracle Oracle
	// Orders that are taken and that are not.
	accepted, rejected Copying
	// What leaves the stock for orders, of each product in the order of the partition that the orders came in; and then the
	// stock, of each product in the order of the movements.
	movements, stock              Following
	stocks, states, orders, lines Latest
	sales                         joined
	// from are the partitions that orders came in.
	from    map[string]int32
	letters Letters
	places  Placing
}

// Shop judges the shop: orders that are taken or not, the stock in its order, the join of orders, payments and
// shipments, its states, the tables of orders, and the dead letters, each the very bytes of a malformed message.
func (o Oracle) Shop(ctx context.Context) (map[string]Report, error) {
	s := &shop{oracle: o, from: map[string]int32{}}
	for _, step := range []func(context.Context) error{
		s.readOrders, s.readMovements, s.readOutputs, s.readPayments, s.readShipments, s.passSides, s.readSales, s.readTables, s.readLetters,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return map[string]Report{
		"accepted": s.accepted.Report(), "rejected": s.rejected.Report(), "movements": s.movements.Report(),
		"stock": s.stock.Report(), "table stock": s.stocks.Report(), "sell.intermediate": s.sales.intermediate.Report(),
		"sales": s.sales.sales.Report(), "table sales": s.states.Report(),
		"table orders": s.orders.Report(), "table order_lines": s.lines.Report(), "dead letters": s.letters.Report(),
		partitionsOfKeys: s.places.Report(),
	}, nil
}

// each reads one topic. What is malformed must be a dead letter of a function, byte for byte; where that is empty,
// the topic is the shop's own, and must have nothing else than what is known.
func each[T any](ctx context.Context, s *shop, topic, function string, visit func(r *kgo.Record, value T)) error {
	read := json.Unmarshal
	if function == "" {
		read = strictly
	}
	var malformed error
	err := s.oracle.written(ctx, topic, &s.places, func(r *kgo.Record) {
		var value T
		err := read(r.Value, &value)
		switch {
		case err == nil && utf8.Valid(r.Value):
			visit(r, value)
		case function == "":
			malformed = fmt.Errorf("topic %s partition %d offset %d is malformed: %w", topic, r.Partition, r.Offset, err)
		default:
			s.letters.Input(function, r)
		}
	})
	if err != nil {
		return err
	}
	return malformed
}

// text is a message of the shop: its key, what its value says, and its timestamp.
func text(key []byte, value any, at time.Time) string {
	said, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s: %s at %d", key, said, at.UnixMilli())
}

func (s *shop) readOrders(ctx context.Context) error {
	return each(ctx, s, "orders", "check", func(r *kgo.Record, order ShopOrder) {
		if reason := order.reason(); reason != "" {
			s.rejected.Input(text(r.Key, shopRejection{order, reason}, r.Timestamp))
			return
		}
		s.accepted.Input(text(r.Key, order, r.Timestamp))
		s.from[order.ID] = r.Partition
		for _, line := range order.Lines {
			taken := ShopMovement{Quantity: -line.Quantity, Order: order.ID}
			s.movements.Expect(s.lane(line.Product, order.ID), text([]byte(line.Product), taken, r.Timestamp))
		}
	})
}

// lane is what stays in order: a product, as far as orders of one partition take it.
func (s *shop) lane(product, order string) string {
	from, known := s.from[order]
	if !known {
		return product + " for nobody"
	}
	return fmt.Sprintf("%s for orders of partition %d", product, from)
}

func (s *shop) readPayments(ctx context.Context) error {
	return each(ctx, s, "payments", "sell.payments", func(r *kgo.Record, payment ShopPayment) { s.sales.side(payment.Order, r) })
}

func (s *shop) readShipments(ctx context.Context) error {
	return each(ctx, s, "shipments", "sell.shipments", func(r *kgo.Record, shipment ShopShipment) { s.sales.side(shipment.Order, r) })
}

// readMovements follows each product through its movements, in their order.
func (s *shop) readMovements(ctx context.Context) error {
	levels := map[string]level{}
	err := each(ctx, s, "movements", "", func(r *kgo.Record, m ShopMovement) {
		product := string(r.Key)
		now := levels[product]
		now.Pieces += m.Quantity
		if m.Order != "" {
			now.Sold -= m.Quantity
			s.movements.Output(s.lane(product, m.Order), text(r.Key, m, r.Timestamp))
		}
		levels[product] = now
		s.stock.Expect(product, text(r.Key, now, r.Timestamp))
	})
	for product, now := range levels {
		s.stocks.Set(product, now.String())
	}
	return err
}

// level is how many pieces of a product there are, and how many were sold.
type level struct{ Pieces, Sold int64 }

func (l level) String() string { return fmt.Sprint(l.Pieces, " ", l.Sold) }

func (s *shop) readOutputs(ctx context.Context) error {
	err := each(ctx, s, "accepted", "", func(r *kgo.Record, order ShopOrder) {
		s.accepted.Output(text(r.Key, order, r.Timestamp))
		s.sales.side(string(r.Key), r)
	})
	if err != nil {
		return err
	}
	err = each(ctx, s, "rejected", "", func(r *kgo.Record, rejection shopRejection) { s.rejected.Output(text(r.Key, rejection, r.Timestamp)) })
	if err != nil {
		return err
	}
	return each(ctx, s, "stock", "", func(r *kgo.Record, now level) { s.stock.Output(string(r.Key), text(r.Key, now, r.Timestamp)) })
}

func (s *shop) readSales(ctx context.Context) error {
	err := each(ctx, s, "sales", "", s.sales.output)
	for id, final := range s.sales.known {
		s.states.Set(id, final.String())
		s.expectRows(id, final)
	}
	return err
}

// expectRows tells what the tables must have of a sale.
func (s *shop) expectRows(id string, final sale) {
	if final.Order == nil {
		return
	}
	s.orders.Set(id, fmt.Sprintf("%s|%d|%d|%d|%s|%s", final.Order.Customer, final.Placed.UnixMilli(), final.Order.Total(), final.Cents,
		final.Carrier, final.status()))
	for i, l := range final.Order.Lines {
		s.lines.Set(id+"/"+strconv.Itoa(i+1), fmt.Sprintf("%s|%d|%d", l.Product, l.Quantity, l.Cents))
	}
}

func (s *shop) readTables(ctx context.Context) error {
	for _, table := range []struct {
		query string
		visit func(key, value string)
	}{
		{`select key, concat(state->>'pieces', ' ', state->>'sold') from stock`, s.stocks.Row},
		{`select key, state::text from sales`, func(key, row string) { s.states.Row(key, state(row)) }},
		{`select id, concat_ws('|', customer, (extract(epoch from placed) * 1000)::bigint, cents, paid, carrier, status) from orders`, s.orders.Row},
		{`select concat(order_id, '/', number), concat_ws('|', product, quantity, cents) from order_lines`, s.lines.Row},
	} {
		if err := s.oracle.rows(ctx, table.query, table.visit); err != nil {
			return err
		}
	}
	return nil
}

func (s *shop) readLetters(ctx context.Context) error {
	return s.oracle.letters(ctx, &s.letters, &s.places, "check", "stock", "sell", "sell.accepted", "sell.payments", "sell.shipments", "tables")
}
