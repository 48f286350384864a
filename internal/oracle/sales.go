package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sale is a sale of the shop as its topic and its table have it: all that is known of an order so far.
type sale struct {
	Order   *ShopOrder `json:"order"`
	Placed  time.Time  `json:"placed"`
	Cents   int64      `json:"cents"`
	Carrier string     `json:"carrier"`
}

func (s sale) status() string {
	paid, shipped := s.Cents >= s.Order.Total(), s.Carrier != ""
	return map[[2]bool]string{{}: "placed", {true, false}: "paid", {false, true}: "shipped", {true, true}: "complete"}[[2]bool{paid, shipped}]
}

// joined judges a join: orders, payments and shipments, its sides, go through its intermediate topic, each once and in the
// order of the partition that they came in. What that topic has in which order is what the states are made of, and from
// the order on each message of it makes one output.
type joined struct {
	intermediate, sales Following
	// known are the states, by order.
	known map[string]sale
}

// side tells of a message of a side, by the id of the order that it is for.
func (j *joined) side(id string, r *kgo.Record) {
	e := envelope{
		side: r.Topic, topic: r.Topic, partition: r.Partition, offset: r.Offset, timestamp: r.Timestamp.UnixMilli(),
		headers: r.Headers, key: r.Key, value: r.Value,
	}
	j.intermediate.Expect(e.lane(id), e.String())
}

// passed tells of a message of the intermediate topic. All sides are told before.
func (j *joined) passed(r *kgo.Record) error {
	e, err := decodeEnvelope(r.Value)
	if err != nil {
		return fmt.Errorf("topic %s partition %d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	id := string(r.Key)
	j.intermediate.Output(e.lane(id), e.String())
	now := j.known[id].after(e)
	if j.known == nil {
		j.known = map[string]sale{}
	}
	j.known[id] = now
	if now.Order != nil {
		j.sales.Expect(id, text(r.Key, now, time.UnixMilli(e.timestamp)))
	}
	return nil
}

// output tells of an output. All of the intermediate topic is told before.
func (j *joined) output(r *kgo.Record, told sale) {
	j.sales.Output(string(r.Key), text(r.Key, told, r.Timestamp))
}

// lane is what stays in order: what one partition of a side has of an order.
func (e envelope) lane(id string) string {
	return fmt.Sprintf("%s from %s/%d", id, e.topic, e.partition)
}

func (e envelope) String() string {
	return letter(e.side, place(e.topic, e.partition, e.offset),
		&kgo.Record{Key: e.key, Value: e.value, Headers: e.headers, Timestamp: time.UnixMilli(e.timestamp)})
}

// after is a sale once a message came to it. One that nobody sent changes nothing here; it is told of as wrong.
func (s sale) after(e envelope) sale {
	switch e.side {
	case "accepted":
		var order ShopOrder
		if json.Unmarshal(e.value, &order) == nil {
			s.Order, s.Placed = &order, time.UnixMilli(e.timestamp).UTC()
		}
	case "payments":
		var payment ShopPayment
		if json.Unmarshal(e.value, &payment) == nil {
			s.Cents += payment.Cents
		}
	case "shipments":
		var shipment ShopShipment
		if json.Unmarshal(e.value, &shipment) == nil {
			s.Carrier = shipment.Carrier
		}
	}
	return s
}

// state is a state of the join as its table has it, in the words of this package.
func state(row string) string {
	var told sale
	if err := strictly([]byte(row), &told); err != nil {
		return row
	}
	return told.String()
}

func (s sale) String() string { return text(nil, s, time.UnixMilli(0)) }

// passSides reads the intermediate topic.
func (s *shop) passSides(ctx context.Context) error {
	var failed error
	err := s.oracle.written(ctx, "sell.intermediate", &s.places, func(r *kgo.Record) {
		if err := s.sales.passed(r); err != nil {
			failed = err
		}
	})
	if err != nil {
		return err
	}
	return failed
}
