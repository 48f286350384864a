package oracle

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/kappaflows/flows/internal/services"
	flowsv1 "github.com/kappaflows/flows/proto/flows/v1"
)

func TestFollowing(t *testing.T) {
	for name, test := range map[string]struct {
		outputs string
		want    Faults
	}{
		"right":       {"abc", Faults{}},
		"one is lost": {"ac", Faults{Lost: 1}},
		"nothing":     {"", Faults{Lost: 3}},
		"one twice":   {"abbc", Faults{Doubled: 1}},
		"swapped":     {"bac", Faults{Reordered: 1}},
		"another":     {"abxc", Faults{Wrong: 1}},
		"all again":   {"abcabc", Faults{Doubled: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			var f Following
			for _, value := range "abc" {
				f.Expect("key", string(value))
			}
			for _, value := range test.outputs {
				f.Output("key", string(value))
			}
			require.Equal(t, test.want, f.Report().Faults)
		})
	}
	for outputs, want := range map[string]Faults{
		"aba": {}, "ab": {Lost: 1}, "aab": {Reordered: 1}, "abaa": {Doubled: 1}, "aa": {Lost: 1}, "baa": {Reordered: 1},
	} {
		var f Following
		for _, value := range "aba" {
			f.Expect("key", string(value))
		}
		for _, value := range outputs {
			f.Output("key", string(value))
		}
		require.Equal(t, want, f.Report().Faults, outputs)
	}
	var f Following
	f.Output("nobody", "a")
	require.Equal(t, map[string]Faults{"nobody": {Wrong: 1}}, f.Report().Keys)
}

var (
	ordered = ShopOrder{ID: "1", Customer: "Ada", Lines: []ShopLine{{"cup", 2, 800}}}
	then    = time.UnixMilli(1_700_000_000_000).UTC()
)

// passing is what passes through a join: messages of its sides, in the order of the intermediate topic.
func passing(t *testing.T, values ...any) (passing []envelope) {
	t.Helper()
	for i, value := range values {
		said, err := json.Marshal(value)
		require.NoError(t, err)
		e := envelope{offset: int64(i), timestamp: then.UnixMilli(), key: []byte(strconv.Itoa(i)), value: said}
		switch value.(type) {
		case ShopOrder:
			e.side = "accepted"
		case ShopPayment:
			e.side = "payments"
		case ShopShipment:
			e.side = "shipments"
		}
		e.topic = e.side
		passing = append(passing, e)
	}
	return passing
}

// record is the message of a side that is in an envelope.
func (e envelope) record() *kgo.Record {
	return &kgo.Record{
		Topic: e.topic, Partition: e.partition, Offset: e.offset, Timestamp: time.UnixMilli(e.timestamp), Headers: e.headers, Key: e.key, Value: e.value,
	}
}

func (e envelope) encoded() (data []byte) {
	bytes := func(field protowire.Number, value []byte) {
		data = protowire.AppendBytes(protowire.AppendTag(data, field, protowire.BytesType), value)
	}
	number := func(field protowire.Number, n int64) {
		data = protowire.AppendVarint(protowire.AppendTag(data, field, protowire.VarintType), uint64(n))
	}
	bytes(1, []byte(e.side))
	bytes(2, []byte(e.topic))
	number(3, int64(e.partition))
	number(4, e.offset)
	number(5, e.timestamp)
	for _, h := range e.headers {
		header := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte(h.Key))
		bytes(6, protowire.AppendBytes(protowire.AppendTag(header, 2, protowire.BytesType), h.Value))
	}
	bytes(7, e.key)
	bytes(8, e.value)
	return data
}

// TestEnvelopes reads what the library's own code of the published messages writes.
func TestEnvelopes(t *testing.T) {
	written, err := proto.Marshal(&flowsv1.Envelope{
		Side: "payments", Topic: "paid", Partition: 3, Offset: 1 << 40, Timestamp: -1, Key: []byte{}, Value: nil,
		Headers: []*flowsv1.Header{{Key: []byte("a")}, {Key: []byte("b"), Value: []byte{}}},
	})
	require.NoError(t, err)
	read, err := decodeEnvelope(written)
	require.NoError(t, err)
	require.Equal(t, envelope{
		side: "payments", topic: "paid", partition: 3, offset: 1 << 40, timestamp: -1, key: []byte{},
		headers: []kgo.RecordHeader{{Key: "a"}, {Key: "b", Value: []byte{}}},
	}, read)
	for _, wrong := range [][]byte{written[:len(written)-1], append(slices.Clone(written), 9<<3, 1), append(slices.Clone(written), 7<<3|5, 0, 0, 0, 0)} {
		_, err = decodeEnvelope(wrong)
		require.Error(t, err, "%x", wrong)
	}
}

func TestSalesOfAJoin(t *testing.T) {
	placed := sale{Order: &ordered, Placed: then}
	paid, shipped, complete := placed, placed, placed
	paid.Cents, complete.Cents = 1600, 1600
	shipped.Carrier, complete.Carrier = "van", "van"
	other := complete
	other.Order = &ShopOrder{ID: "1", Customer: "Ben"}
	order, payment, shipment := ordered, ShopPayment{"1", 1600}, ShopShipment{"1", "van"}
	for name, test := range map[string]struct {
		passed []any
		told   []sale
		want   Faults
	}{
		"paid, then shipped":            {[]any{order, payment, shipment}, []sale{placed, paid, complete}, Faults{}},
		"shipped, then paid":            {[]any{order, shipment, payment}, []sale{placed, shipped, complete}, Faults{}},
		"paid before":                   {[]any{payment, order, shipment}, []sale{paid, complete}, Faults{}},
		"all before":                    {[]any{shipment, payment, order}, []sale{complete}, Faults{}},
		"no order":                      {[]any{shipment, payment}, nil, Faults{}},
		"no order, and told of":         {[]any{shipment, payment}, []sale{complete}, Faults{Wrong: 1}},
		"an order twice":                {[]any{order, payment, order}, []sale{placed, paid, paid}, Faults{}},
		"nothing":                       {[]any{order, payment, shipment}, nil, Faults{Lost: 3}},
		"the first is lost":             {[]any{order, payment, shipment}, []sale{paid, complete}, Faults{Lost: 1}},
		"all but the last are lost":     {[]any{order, payment, shipment}, []sale{complete}, Faults{Lost: 2}},
		"the last is lost":              {[]any{order, payment, shipment}, []sale{placed, paid}, Faults{Lost: 1}},
		"one in the middle is lost":     {[]any{order, payment, shipment}, []sale{placed, complete}, Faults{Lost: 1}},
		"one twice":                     {[]any{order, payment, shipment}, []sale{placed, paid, paid, complete}, Faults{Doubled: 1}},
		"swapped":                       {[]any{order, payment, shipment}, []sale{placed, complete, paid}, Faults{Reordered: 1}},
		"in another order than it came": {[]any{order, payment, shipment}, []sale{placed, shipped, complete}, Faults{Lost: 1, Wrong: 1}},
		"another order":                 {[]any{order, payment, shipment}, []sale{placed, paid, other}, Faults{Lost: 1, Wrong: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var j joined
			for _, e := range passing(t, test.passed...) {
				j.side("1", e.record())
				require.NoError(t, j.passed(&kgo.Record{Key: []byte("1"), Value: e.encoded()}))
			}
			for _, s := range test.told {
				j.output(&kgo.Record{Key: []byte("1"), Timestamp: then}, s)
			}
			require.Equal(t, test.want, j.sales.Report().Faults)
			require.True(t, j.intermediate.Report().Clean(), j.intermediate.Report())
		})
	}
}

// TestSidesOfAJoin: what the intermediate topic has must be what the sides had, in the order of their partitions.
func TestSidesOfAJoin(t *testing.T) {
	for name, test := range map[string]struct {
		change func([]envelope) []envelope
		want   Faults
	}{
		"right":                       {func(e []envelope) []envelope { return e }, Faults{}},
		"another side comes before":   {func(e []envelope) []envelope { return []envelope{e[1], e[0], e[2]} }, Faults{}},
		"the first is lost":           {func(e []envelope) []envelope { return e[1:] }, Faults{Lost: 1}},
		"one twice":                   {func(e []envelope) []envelope { return append(e, e[0]) }, Faults{Doubled: 1}},
		"one side in the other order": {func(e []envelope) []envelope { return []envelope{e[2], e[1], e[0]} }, Faults{Reordered: 1}},
		"another value":               {func(e []envelope) []envelope { e[1].value = []byte("{}"); return e }, Faults{Lost: 1, Wrong: 1}},
		"for another side":            {func(e []envelope) []envelope { e[1].side = "accepted"; return e }, Faults{Lost: 1, Wrong: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var j joined
			sent := passing(t, ShopPayment{"1", 1}, ShopShipment{"1", "van"}, ShopPayment{"1", 2})
			for _, e := range sent {
				j.side("1", e.record())
			}
			for _, e := range test.change(sent) {
				require.NoError(t, j.passed(&kgo.Record{Key: []byte("1"), Value: e.encoded()}))
			}
			require.Equal(t, test.want, j.intermediate.Report().Faults)
		})
	}
}

// leftBehind is what a shop leaves behind, for the oracle to judge.
type leftBehind struct {
	t          *testing.T
	oracle     Oracle
	client     *kgo.Client
	connection *pgx.Conn
}

func newLeftBehind(t *testing.T) *leftBehind {
	t.Helper()
	o := Oracle{Brokers: []string{services.NewBroker(t).Addr()}, Database: services.Postgres(t)}
	client, err := o.Client()
	require.NoError(t, err)
	t.Cleanup(client.Close)
	names := []string{"orders", "payments", "shipments", "movements", "accepted", "rejected", "stock", "sell.intermediate", "sales"}
	for _, function := range []string{"check", "stock", "sell", "sell.accepted", "sell.payments", "sell.shipments", "tables"} {
		names = append(names, function+".dead-letter")
	}
	_, err = kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, nil, names...)
	require.NoError(t, err)
	connection, err := pgx.Connect(t.Context(), o.Database)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close(context.Background()) })
	return &leftBehind{t, o, client, connection}
}

func (l *leftBehind) produce(records ...*kgo.Record) {
	l.t.Helper()
	require.NoError(l.t, l.client.ProduceSync(l.t.Context(), records...).FirstErr())
}

func (l *leftBehind) put(topic, key string, value any) *kgo.Record {
	l.t.Helper()
	text, err := json.Marshal(value)
	require.NoError(l.t, err)
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: text, Timestamp: then}
	l.produce(r)
	return r
}

// pass lets a message of a side pass through the join.
func (l *leftBehind) pass(id string, r *kgo.Record) {
	l.t.Helper()
	e := envelope{
		side: r.Topic, topic: r.Topic, partition: r.Partition, offset: r.Offset, timestamp: r.Timestamp.UnixMilli(), headers: r.Headers, key: r.Key, value: r.Value,
	}
	l.produce(&kgo.Record{Topic: "sell.intermediate", Key: []byte(id), Value: e.encoded()})
}

func (l *leftBehind) execute(statements string) {
	l.t.Helper()
	_, err := l.connection.Exec(l.t.Context(), statements)
	require.NoError(l.t, err)
}

// found is what the oracle finds wrong, in something that it has looked at.
func (l *leftBehind) found() map[string]Faults {
	l.t.Helper()
	reports, err := l.oracle.Shop(l.t.Context())
	require.NoError(l.t, err)
	found := map[string]Faults{}
	for of, report := range reports {
		require.NotZero(l.t, report.Inputs, of)
		if !report.Clean() {
			found[of] = report.Faults
		}
	}
	return found
}

// TestShop reads what the shop leaves behind: first with nothing wrong, then with one thing wrong each.
func TestShop(t *testing.T) {
	l := newLeftBehind(t)
	l.put("orders", "1", ordered)
	l.put("orders", "2", ShopOrder{ID: "2"})
	l.pass("1", l.put("accepted", "1", ordered))
	l.put("rejected", "2", shopRejection{ShopOrder{ID: "2"}, "nobody has ordered"})
	l.pass("1", l.put("payments", "1", ShopPayment{"1", 1600}))
	broken := &kgo.Record{Topic: "payments", Key: []byte("9"), Value: []byte("{"), Timestamp: then, Headers: []kgo.RecordHeader{{Key: "from", Value: []byte{0}}}}
	l.produce(broken)
	l.produce(letterOf("sell.payments", broken))
	l.pass("1", l.put("shipments", "1", ShopShipment{"1", "van"}))
	l.put("movements", "cup", ShopMovement{Quantity: 10})
	l.put("movements", "cup", ShopMovement{-2, "1"})
	l.put("stock", "cup", level{10, 0})
	l.put("stock", "cup", level{8, 2})
	l.put("sales", "1", sale{Order: &ordered, Placed: then})
	l.put("sales", "1", sale{Order: &ordered, Placed: then, Cents: 1600})
	l.put("sales", "1", sale{Order: &ordered, Placed: then, Cents: 1600, Carrier: "van"})
	l.execute(`create table stock (key text, state jsonb); insert into stock values ('cup', '{"pieces": 8, "sold": 2}')`)
	l.execute(`create table sales (key text, state jsonb); insert into sales values ('1', '{"cents": 1600, "carrier": "van",
		"placed": "2023-11-14T22:13:20Z", "order": {"id": "1", "customer": "Ada", "lines": [{"product": "cup", "quantity": 2, "cents": 800}]}}')`)
	l.execute(`create table orders (id text, customer text, placed timestamptz, cents bigint, paid bigint, carrier text, status text);
		insert into orders values ('1', 'Ada', to_timestamp(1700000000), 1600, 1600, 'van', 'complete')`)
	l.execute(`create table order_lines (order_id text, number int, product text, quantity bigint, cents bigint);
		insert into order_lines values ('1', 1, 'cup', 2, 800)`)
	require.Empty(t, l.found())

	other := ordered
	other.Customer = "Ben"
	l.pass("1", l.put("accepted", "1", other))
	l.put("sales", "1", sale{Order: &other, Placed: then, Cents: 1600, Carrier: "van"})
	l.pass("1", l.put("shipments", "2", ShopShipment{"1", "ship"}))
	l.put("rejected", "2", shopRejection{ShopOrder{ID: "2"}, "nothing is ordered"})
	l.put("movements", "cup", ShopMovement{-2, "1"})
	l.put("sales", "1", sale{Order: &ordered, Placed: then, Cents: 1600, Carrier: "van"})
	again := letterOf("sell.payments", broken)
	again.Value = []byte("[")
	l.produce(letterOf("sell.payments", broken), again)
	l.execute(`update sales set state = '{"cents": 1600}'; update orders set paid = 0; delete from order_lines; update stock set state = '{}'`)
	require.Equal(t, map[string]Faults{
		"accepted": {Doubled: 1}, "rejected": {Doubled: 1}, "movements": {Doubled: 1}, "stock": {Lost: 1}, "sales": {Lost: 1, Doubled: 1},
		"dead letters": {Doubled: 2}, "table stock": {Wrong: 1}, "table sales": {Wrong: 1}, "table orders": {Wrong: 1}, "table order_lines": {Lost: 1},
	}, l.found())
}

// TestMovementsOfOnePartition: what orders of one partition take of a product leaves in their order.
func TestMovementsOfOnePartition(t *testing.T) {
	l := newLeftBehind(t)
	for id := range 3 {
		order := ShopOrder{ID: strconv.Itoa(id), Customer: "Ada", Lines: []ShopLine{{"cup", 1 + int64(id), 800}, {"pot", 1, 100}}}
		l.put("orders", order.ID, order)
	}
	for _, id := range []int{0, 2, 1} {
		l.put("movements", "cup", ShopMovement{-1 - int64(id), strconv.Itoa(id)})
	}
	for id := range 3 {
		l.put("movements", "pot", ShopMovement{-1, strconv.Itoa(id)})
	}
	s := &shop{oracle: l.oracle, from: map[string]int32{}}
	require.NoError(t, s.readOrders(t.Context()))
	require.NoError(t, s.readMovements(t.Context()))
	require.Equal(t, map[string]Faults{"cup for orders of partition 0": {Reordered: 1}}, s.movements.Report().Keys)
}
