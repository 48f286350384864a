package oracle

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services"
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

func TestSalesOfAJoin(t *testing.T) {
	placed := sale{Order: &ordered, Placed: then}
	paid, shipped, complete := placed, placed, placed
	paid.Cents, complete.Cents = 1600, 1600
	shipped.Carrier, complete.Carrier = "van", "van"
	other := complete
	other.Order = &ShopOrder{ID: "1", Customer: "Ben"}
	for name, test := range map[string]struct {
		told []sale
		want Faults
	}{
		"paid, then shipped":        {[]sale{placed, paid, complete}, Faults{}},
		"shipped, then paid":        {[]sale{placed, shipped, complete}, Faults{}},
		"paid before":               {[]sale{paid, complete}, Faults{}},
		"all before":                {[]sale{complete}, Faults{}},
		"nothing":                   {nil, Faults{Lost: 1}},
		"the last is lost":          {[]sale{placed, paid}, Faults{Lost: 1}},
		"one in the middle is lost": {[]sale{placed, complete}, Faults{Lost: 1}},
		"one twice":                 {[]sale{placed, paid, paid, complete}, Faults{Doubled: 1}},
		"swapped":                   {[]sale{placed, complete, paid}, Faults{Lost: 1, Reordered: 1}},
		"another order":             {[]sale{placed, paid, other}, Faults{Lost: 1, Wrong: 1}},
		"too much is paid":          {[]sale{placed, paid, complete, {Order: &ordered, Placed: then, Cents: 3200, Carrier: "van"}}, Faults{Wrong: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var j joined
			j.shipped("1", "van")
			j.placed(ordered, then)
			j.paid("1", 1600)
			for _, s := range test.told {
				j.output("1", s)
			}
			require.Equal(t, test.want, j.report().Faults)
		})
	}
	var j joined
	j.paid("nobody's", 1600)
	j.output("nobody's", complete)
	j.placed(ordered, then)
	j.placed(ordered, then)
	j.output("1", placed)
	j.output("1", placed)
	require.Equal(t, map[string]Faults{"nobody's": {Wrong: 1}}, j.report().Keys, "an order that came in twice may be told twice")
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
	names := []string{"orders", "payments", "shipments", "movements", "accepted", "rejected", "stock", "sales"}
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

func (l *leftBehind) put(topic, key string, value any) {
	l.t.Helper()
	text, err := json.Marshal(value)
	require.NoError(l.t, err)
	l.produce(&kgo.Record{Topic: topic, Key: []byte(key), Value: text, Timestamp: then})
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
	l.put("accepted", "1", ordered)
	l.put("rejected", "2", shopRejection{ShopOrder{ID: "2"}, "nobody has ordered"})
	l.put("payments", "1", ShopPayment{"1", 1600})
	broken := &kgo.Record{Topic: "payments", Key: []byte("9"), Value: []byte("{"), Timestamp: then, Headers: []kgo.RecordHeader{{Key: "from", Value: []byte{0}}}}
	l.produce(broken)
	l.produce(letterOf("sell.payments", broken))
	l.put("shipments", "1", ShopShipment{"1", "van"})
	l.put("movements", "cup", ShopMovement{Quantity: 10})
	l.put("movements", "cup", ShopMovement{-2, "1"})
	l.put("stock", "cup", level{10, 0})
	l.put("stock", "cup", level{8, 2})
	l.put("sales", "1", sale{Order: &ordered, Placed: then})
	l.put("sales", "1", sale{Order: &ordered, Placed: then, Cents: 1600})
	l.put("sales", "1", sale{Order: &ordered, Placed: then, Cents: 1600, Carrier: "van"})
	l.execute(`create table stock (key text, state jsonb); insert into stock values ('cup', '{"pieces": 8, "sold": 2}')`)
	l.execute(`create table sales (key text, state jsonb); insert into sales values ('1', '{"cents": 1600, "carrier": "van"}')`)
	l.execute(`create table orders (id text, customer text, placed timestamptz, cents bigint, paid bigint, carrier text, status text);
		insert into orders values ('1', 'Ada', to_timestamp(1700000000), 1600, 1600, 'van', 'complete')`)
	l.execute(`create table order_lines (order_id text, number int, product text, quantity bigint, cents bigint);
		insert into order_lines values ('1', 1, 'cup', 2, 800)`)
	require.Empty(t, l.found())

	other := ordered
	other.Customer = "Ben"
	l.put("accepted", "1", other)
	l.put("rejected", "2", shopRejection{ShopOrder{ID: "2"}, "nothing is ordered"})
	l.put("movements", "cup", ShopMovement{-2, "1"})
	l.put("sales", "1", sale{Order: &ordered, Placed: then, Cents: 1600, Carrier: "van"})
	again := letterOf("sell.payments", broken)
	again.Value = []byte("[")
	l.produce(letterOf("sell.payments", broken), again)
	l.execute(`update sales set state = '{"cents": 1600}'; update orders set paid = 0; delete from order_lines; update stock set state = '{}'`)
	require.Equal(t, map[string]Faults{
		"accepted": {Doubled: 1}, "rejected": {Doubled: 1}, "movements": {Doubled: 1}, "stock": {Lost: 1}, "sales": {Doubled: 1},
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
