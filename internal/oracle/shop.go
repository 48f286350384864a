package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
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

// Good says whether the shop takes the order.
func (o ShopOrder) Good() bool {
	good := o.Customer != "" && len(o.Lines) > 0
	for _, l := range o.Lines {
		good = good && l.Product != "" && l.Quantity > 0 && l.Cents > 0
	}
	return good
}

// Total is what the order costs.
func (o ShopOrder) Total() (cents int64) {
	for _, l := range o.Lines {
		cents += l.Quantity * l.Cents
	}
	return cents
}

func (o ShopOrder) equal(other ShopOrder) bool {
	return o.ID == other.ID && o.Customer == other.Customer && slices.Equal(o.Lines, other.Lines)
}

// shop is what the shop should have done, of nothing but what came into its topics from outside.
type shop struct {
	oracle Oracle
	// Orders that are taken and that are not, and what leaves the stock for those.
	accepted, rejected, movements Copying
	stock                         Following
	stocks, states, orders, lines Latest
	sales                         joined
	// good are the orders that are taken.
	good    map[string]bool
	letters Copying
}

// Shop judges the shop: orders that are taken or not, the stock in its order, the join of orders, payments and
// shipments, its states, the tables of orders, and the dead letters, each the very bytes of a malformed message.
func (o Oracle) Shop(ctx context.Context) (map[string]Report, error) {
	s := &shop{oracle: o, good: map[string]bool{}}
	for _, step := range []func(context.Context) error{
		s.readOrders, s.readPayments, s.readShipments, s.readMovements, s.readOutputs, s.readSales, s.readTables, s.readLetters,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return map[string]Report{
		"accepted": s.accepted.Report(), "rejected": s.rejected.Report(), "movements": s.movements.Report(),
		"stock": s.stock.Report(), "table stock": s.stocks.Report(), "sales": s.sales.report(), "table sales": s.states.Report(),
		"table orders": s.orders.Report(), "table order_lines": s.lines.Report(), "dead letters": s.letters.Report(),
	}, nil
}

// each reads one topic. What is malformed must be a dead letter of a function, byte for byte; where that is empty,
// nothing may be.
func each[T any](ctx context.Context, s *shop, topic, function string, visit func(r *kgo.Record, value T)) error {
	var malformed error
	err := s.oracle.Each(ctx, topic, func(r *kgo.Record) {
		var value T
		err := json.Unmarshal(r.Value, &value)
		switch {
		case err == nil && utf8.Valid(r.Value):
			visit(r, value)
		case function == "":
			malformed = fmt.Errorf("topic %s partition %d offset %d is malformed: %w", topic, r.Partition, r.Offset, err)
		default:
			s.letters.Input(letter(function, place(topic, r.Partition, r.Offset), r))
		}
	})
	if err != nil {
		return err
	}
	return malformed
}

func place(topic string, partition int32, offset int64) string {
	return fmt.Sprintf("%s/%d/%d", topic, partition, offset)
}

// letter is all that a dead letter must keep of a message.
func letter(function, place string, r *kgo.Record) string {
	text := fmt.Sprintf("%s of %s: %q %q %d", function, place, r.Key, r.Value, r.Timestamp.UnixMilli())
	if from := header(r, "from"); from != "" {
		text += fmt.Sprintf(" from %q", from)
	}
	return text
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func (s *shop) readOrders(ctx context.Context) error {
	return each(ctx, s, "orders", "check", func(r *kgo.Record, order ShopOrder) {
		if !order.Good() {
			s.rejected.Input(order.ID)
			return
		}
		s.accepted.Input(order.ID)
		s.good[order.ID] = true
		s.sales.placed(order, r.Timestamp)
		for _, line := range order.Lines {
			s.movements.Input(movement(line.Product, ShopMovement{-line.Quantity, order.ID}))
		}
	})
}

func movement(product string, m ShopMovement) string {
	return fmt.Sprint(m.Order, " ", product, " ", m.Quantity)
}

func (s *shop) readPayments(ctx context.Context) error {
	return each(ctx, s, "payments", "sell.payments", func(_ *kgo.Record, payment ShopPayment) { s.sales.paid(payment.Order, payment.Cents) })
}

func (s *shop) readShipments(ctx context.Context) error {
	return each(ctx, s, "shipments", "sell.shipments", func(_ *kgo.Record, shipment ShopShipment) { s.sales.shipped(shipment.Order, shipment.Carrier) })
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
			s.movements.Output(movement(product, m))
		}
		levels[product] = now
		s.stock.Expect(product, now.String())
	})
	for product, now := range levels {
		s.stocks.Set(product, now.String())
	}
	return err
}

// level is how many pieces of a product there are, and how many were sold. No two levels of a product are the same.
type level struct{ Pieces, Sold int64 }

func (l level) String() string { return fmt.Sprint(l.Pieces, " ", l.Sold) }

func (s *shop) readOutputs(ctx context.Context) error {
	if err := s.oracle.Each(ctx, "accepted", func(r *kgo.Record) { s.accepted.Output(string(r.Key)) }); err != nil {
		return err
	}
	if err := s.oracle.Each(ctx, "rejected", func(r *kgo.Record) { s.rejected.Output(string(r.Key)) }); err != nil {
		return err
	}
	return each(ctx, s, "stock", "", func(r *kgo.Record, l level) { s.stock.Output(string(r.Key), l.String()) })
}

func (s *shop) readSales(ctx context.Context) error {
	err := each(ctx, s, "sales", "", func(r *kgo.Record, told sale) { s.sales.output(string(r.Key), told) })
	for id, o := range s.sales.orders {
		if final := o.final; o.orders+o.payments+o.shipments > 0 {
			s.states.Set(id, fmt.Sprint(final.Cents, " ", final.Carrier))
			s.expectRows(id, final)
		}
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
		{`select key, concat(coalesce(state->>'cents', '0'), ' ', state->>'carrier') from sales`, s.states.Row},
		{`select id, concat_ws('|', customer, (extract(epoch from placed) * 1000)::bigint, cents, paid, carrier, status) from orders`, s.orders.Row},
		{`select concat(order_id, '/', number), concat_ws('|', product, quantity, cents) from order_lines`, s.lines.Row},
	} {
		if err := s.oracle.rows(ctx, table.query, table.visit); err != nil {
			return err
		}
	}
	return nil
}

// readLetters holds the dead letters of all functions against the malformed messages.
func (s *shop) readLetters(ctx context.Context) error {
	for _, function := range []string{"check", "stock", "sell", "sell.accepted", "sell.payments", "sell.shipments", "tables"} {
		err := s.oracle.Each(ctx, function+".dead-letter", func(r *kgo.Record) {
			text := letter(header(r, "flows-function"), place(header(r, "flows-topic"), number(header(r, "flows-partition")), int64(number(header(r, "flows-offset")))), r)
			if header(r, "flows-reason") == "" {
				text += " without a reason"
			}
			s.letters.Output(text)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// number is a small one; -1 where the text is none.
func number(text string) int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return -1
	}
	return int32(n)
}
