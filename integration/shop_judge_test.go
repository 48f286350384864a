package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// shopSale is a sale as the topic has it.
type shopSale struct {
	Order   *shopOrder `json:"order"`
	Placed  time.Time  `json:"placed"`
	Cents   int64      `json:"cents"`
	Carrier string     `json:"carrier"`
}

func (s shopSale) status() string {
	paid, shipped := s.Cents >= s.Order.total(), s.Carrier != ""
	return map[[2]bool]string{{}: "placed", {true, false}: "paid", {false, true}: "shipped", {true, true}: "complete"}[[2]bool{paid, shipped}]
}

// verdict is what should be, computed of nothing but what came into the topics from outside, and what is wrong.
type verdict struct {
	t *testing.T
	s *shopRun
	// sales are the final ones by order, letters the malformed messages of each topic, by place.
	sales             map[string]shopSale
	rejected, ordered map[string]int
	letters           map[string]map[string]string
	faults            []string
}

const maxFaults = 20

func (v *verdict) fault(format string, args ...any) {
	if len(v.faults) < maxFaults {
		v.faults = append(v.faults, fmt.Sprintf(format, args...))
	}
}

// judge returns what is wrong.
func (s *shopRun) judge(t *testing.T) []string {
	t.Helper()
	v := &verdict{
		t: t, s: s, sales: map[string]shopSale{}, rejected: map[string]int{}, ordered: map[string]int{},
		letters: map[string]map[string]string{"orders": {}, "payments": {}, "shipments": {}},
	}
	v.readInputs()
	v.once("accepted", v.ordered)
	v.once("rejected", v.rejected)
	v.movements()
	v.stock()
	v.results()
	v.tables()
	for function, topic := range map[string]string{"check": "orders", "sell.payments": "payments", "sell.shipments": "shipments"} {
		v.deadLetters(function, v.letters[topic])
	}
	for _, function := range []string{"stock", "sell", "sell.accepted", "tables"} {
		v.deadLetters(function, nil)
	}
	t.Logf("%d orders, %d rejected, %d + %d + %d malformed", len(v.sales), len(v.rejected),
		len(v.letters["orders"]), len(v.letters["payments"]), len(v.letters["shipments"]))
	return v.faults
}

// read reads one input topic, and puts aside what is malformed.
func read[T any](v *verdict, topic string, visit func(r *kgo.Record, value T)) {
	v.s.oracle.each(v.t, topic, func(r *kgo.Record) {
		var value T
		if !utf8.Valid(r.Value) || json.Unmarshal(r.Value, &value) != nil {
			v.letters[topic][place(r.Topic, r.Partition, r.Offset)] = bytesOf(r)
			return
		}
		visit(r, value)
	})
}

func place(topic string, partition int32, offset int64) string {
	return fmt.Sprintf("%s/%d/%d", topic, partition, offset)
}

// bytesOf is all that a dead letter must keep of a message.
func bytesOf(r *kgo.Record) string {
	text := fmt.Sprintf("%q %q %d", r.Key, r.Value, r.Timestamp.UnixMilli())
	for _, h := range r.Headers {
		if h.Key == "from" {
			text += fmt.Sprintf(" %q", h.Value)
		}
	}
	return text
}

func (v *verdict) readInputs() {
	read(v, "orders", func(r *kgo.Record, order shopOrder) {
		if !order.good() {
			v.rejected[order.ID]++
			return
		}
		v.ordered[order.ID]++
		v.sales[order.ID] = shopSale{Order: &order, Placed: r.Timestamp}
	})
	read(v, "payments", func(_ *kgo.Record, payment shopPayment) {
		if sale, ok := v.sales[payment.Order]; ok {
			sale.Cents += payment.Cents
			v.sales[payment.Order] = sale
		}
	})
	read(v, "shipments", func(_ *kgo.Record, shipment shopShipment) {
		if sale, ok := v.sales[shipment.Order]; ok {
			sale.Carrier = shipment.Carrier
			v.sales[shipment.Order] = sale
		}
	})
}

// once says which keys a topic does not have exactly once.
func (v *verdict) once(topic string, want map[string]int) {
	got := map[string]int{}
	v.s.oracle.each(v.t, topic, func(r *kgo.Record) { got[string(r.Key)]++ })
	for key := range want {
		if want[key] != 1 {
			v.fault("order %s came %d times by HTTP or from the producer", key, want[key])
		}
	}
	v.same("topic "+topic, want, got)
}

// same compares what should be with what is.
func (v *verdict) same(what string, want, got map[string]int) {
	for key, n := range want {
		if got[key] != n {
			v.fault("%s: %d times %s, not %d", what, got[key], key, n)
		}
	}
	for key, n := range got {
		if want[key] == 0 {
			v.fault("%s: %d times %s, which should not be there", what, n, key)
		}
	}
}

// movements holds what left the stock against the lines of the orders.
func (v *verdict) movements() {
	want, got := map[string]int{}, map[string]int{}
	for id, sale := range v.sales {
		for _, line := range sale.Order.Lines {
			want[fmt.Sprint(id, " ", line.Product, " ", -line.Quantity)]++
		}
	}
	v.s.oracle.each(v.t, "movements", func(r *kgo.Record) {
		var m shopMovement
		if err := json.Unmarshal(r.Value, &m); err != nil {
			v.fault("movements: %v", err)
		} else if m.Order != "" {
			got[fmt.Sprint(m.Order, " ", string(r.Key), " ", m.Quantity)]++
		}
	})
	v.same("topic movements", want, got)
}

type shopStock struct{ Pieces, Sold int64 }

// stock follows each product through its movements: every one has its level in the topic, in order, and the last level is
// in the table.
func (v *verdict) stock() {
	levels := map[string][]shopStock{}
	now := map[string]shopStock{}
	v.s.oracle.each(v.t, "movements", func(r *kgo.Record) {
		var m shopMovement
		_ = json.Unmarshal(r.Value, &m) // was looked at before
		level := now[string(r.Key)]
		level.Pieces += m.Quantity
		if m.Order != "" {
			level.Sold -= m.Quantity
		}
		now[string(r.Key)] = level
		levels[string(r.Key)] = append(levels[string(r.Key)], level)
	})
	got := map[string][]shopStock{}
	v.s.oracle.each(v.t, "stock", func(r *kgo.Record) {
		var level shopStock
		if err := json.Unmarshal(r.Value, &level); err != nil {
			v.fault("stock: %v", err)
		}
		got[string(r.Key)] = append(got[string(r.Key)], level)
	})
	for product, want := range levels {
		if !slices.Equal(want, got[product]) {
			v.fault("stock of %s: %d levels, not the %d that follow from the movements", product, len(got[product]), len(want))
		}
	}
	table := map[string]shopStock{}
	v.s.query(v.t, "select key, (state->>'pieces')::bigint, (state->>'sold')::bigint from stock", func(row pgx.CollectableRow) error {
		var product string
		var level shopStock
		err := row.Scan(&product, &level.Pieces, &level.Sold)
		table[product] = level
		return err
	})
	if !maps.Equal(now, table) {
		v.fault("the table of the stock is %v, not %v", table, now)
	}
}

// results holds the sales against what came in. Each sale grows with every record, is never told twice, and ends as what
// is known of the order; one that is paid and shipped is complete once.
func (v *verdict) results() {
	last := map[string]shopSale{}
	told := map[string]int{}
	complete := map[string]int{}
	v.s.oracle.each(v.t, "sales", func(r *kgo.Record) {
		var sale shopSale
		if err := json.Unmarshal(r.Value, &sale); err != nil || sale.Order == nil {
			v.fault("sales: %s: %v", r.Value, err)
			return
		}
		id := string(r.Key)
		before := last[id]
		if told[id] > 0 && (sale.Cents == before.Cents) == (sale.Carrier == before.Carrier) {
			v.fault("sale %s: %d cents and %q after %d cents and %q", id, sale.Cents, sale.Carrier, before.Cents, before.Carrier)
		}
		last[id] = sale
		if told[id]++; sale.status() == "complete" {
			complete[id]++
		}
	})
	for id, want := range v.sales {
		got := last[id]
		if told[id] == 0 || got.Cents != want.Cents || got.Carrier != want.Carrier || !got.Placed.Equal(want.Placed) {
			v.fault("sale %s told %d times ends with %d cents and %q, not %d and %q", id, told[id], got.Cents, got.Carrier, want.Cents, want.Carrier)
		}
		if (want.status() == "complete") != (complete[id] == 1) {
			v.fault("sale %s: complete %d times, and is %s", id, complete[id], want.status())
		}
	}
	for id := range told {
		if _, ok := v.sales[id]; !ok {
			v.fault("sale %s, which nobody ordered", id)
		}
	}
}

// tables holds the rows against the sales.
func (v *verdict) tables() {
	want, got := map[string]int{}, map[string]int{}
	for id, s := range v.sales {
		want[fmt.Sprint(id, s.Order.Customer, s.Placed.UnixMilli(), s.Order.total(), s.Cents, s.Carrier, s.status())]++
		for i, l := range s.Order.Lines {
			want[fmt.Sprint(id, i+1, l.Product, l.Quantity, l.Cents)]++
		}
	}
	v.s.query(v.t, "select id, customer, placed, cents, paid, carrier, status from orders", func(row pgx.CollectableRow) error {
		var id, customer, carrier, status string
		var cents, paid int64
		var placed time.Time
		err := row.Scan(&id, &customer, &placed, &cents, &paid, &carrier, &status)
		got[fmt.Sprint(id, customer, placed.UnixMilli(), cents, paid, carrier, status)]++
		return err
	})
	v.s.query(v.t, "select order_id, number, product, quantity, cents from order_lines", func(row pgx.CollectableRow) error {
		var id, product string
		var number, quantity, cents int64
		err := row.Scan(&id, &number, &product, &quantity, &cents)
		got[fmt.Sprint(id, number, product, quantity, cents)]++
		return err
	})
	v.same("tables", want, got)
}

// deadLetters holds a function's dead letters against the malformed messages: each once, byte for byte.
func (v *verdict) deadLetters(function string, want map[string]string) {
	seen := map[string]int{}
	v.s.oracle.each(v.t, function+".dead-letter", func(r *kgo.Record) {
		header := map[string]string{}
		for _, h := range r.Headers {
			header[h.Key] = string(h.Value)
		}
		partition, _ := strconv.ParseInt(header["flows-partition"], 10, 32)
		offset, _ := strconv.ParseInt(header["flows-offset"], 10, 64)
		at := place(header["flows-topic"], int32(partition), offset)
		if seen[at]++; want[at] != bytesOf(r) || header["flows-function"] != function || header["flows-reason"] == "" {
			v.fault("dead letter of %s: %s of %s is %s, not %s", function, header["flows-reason"], at, bytesOf(r), want[at])
		}
	})
	all := map[string]int{}
	for at := range want {
		all[at] = 1
	}
	v.same("dead letters of "+function, all, seen)
}
