package oracle

import (
	"encoding/json"
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

// TestShop reads what the shop leaves behind: first with nothing wrong, then with one thing wrong each.
func TestShop(t *testing.T) {
	o := Oracle{Brokers: []string{services.NewBroker(t).Addr()}, Database: services.Postgres(t)}
	client, err := o.Client()
	require.NoError(t, err)
	defer client.Close()
	letters := []string{"check", "stock", "sell", "sell.accepted", "sell.payments", "sell.shipments", "tables"}
	names := []string{"orders", "payments", "shipments", "movements", "accepted", "rejected", "stock", "sales"}
	for _, function := range letters {
		names = append(names, function+".dead-letter")
	}
	_, err = kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, nil, names...)
	require.NoError(t, err)
	put := func(topic, key string, value any) {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(key), Value: text, Timestamp: then}).FirstErr())
	}
	connection, err := pgx.Connect(t.Context(), o.Database)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	execute := func(statements string) {
		_, err := connection.Exec(t.Context(), statements)
		require.NoError(t, err)
	}
	broken := &kgo.Record{Topic: "payments", Key: []byte("9"), Value: []byte("{"), Timestamp: then, Headers: []kgo.RecordHeader{{Key: "from", Value: []byte{0}}}}
	dead := func() *kgo.Record {
		r := *broken
		r.Topic, r.Headers = "sell.payments.dead-letter", append([]kgo.RecordHeader{
			{Key: "flows-function", Value: []byte("sell.payments")},
			{Key: "flows-topic", Value: []byte("payments")},
			{Key: "flows-partition", Value: []byte("0")},
			{Key: "flows-offset", Value: []byte("1")},
			{Key: "flows-reason", Value: []byte("half")},
		}, broken.Headers...)
		return &r
	}

	put("orders", "1", ordered)
	put("orders", "2", ShopOrder{ID: "2"})
	put("accepted", "1", ordered)
	put("rejected", "2", struct{}{})
	put("payments", "1", ShopPayment{"1", 1600})
	require.NoError(t, client.ProduceSync(t.Context(), broken, dead()).FirstErr())
	put("shipments", "1", ShopShipment{"1", "van"})
	put("movements", "cup", ShopMovement{Quantity: 10})
	put("movements", "cup", ShopMovement{-2, "1"})
	put("stock", "cup", level{10, 0})
	put("stock", "cup", level{8, 2})
	put("sales", "1", sale{Order: &ordered, Placed: then})
	put("sales", "1", sale{Order: &ordered, Placed: then, Cents: 1600})
	put("sales", "1", sale{Order: &ordered, Placed: then, Cents: 1600, Carrier: "van"})
	execute(`create table stock (key text, state jsonb); insert into stock values ('cup', '{"pieces": 8, "sold": 2}')`)
	execute(`create table sales (key text, state jsonb); insert into sales values ('1', '{"cents": 1600, "carrier": "van"}')`)
	execute(`create table orders (id text, customer text, placed timestamptz, cents bigint, paid bigint, carrier text, status text);
		insert into orders values ('1', 'Ada', to_timestamp(1700000000), 1600, 1600, 'van', 'complete')`)
	execute(`create table order_lines (order_id text, number int, product text, quantity bigint, cents bigint);
		insert into order_lines values ('1', 1, 'cup', 2, 800)`)
	found := func() map[string]Faults {
		reports, err := o.Shop(t.Context())
		require.NoError(t, err)
		found := map[string]Faults{}
		for of, report := range reports {
			require.NotZero(t, report.Inputs, of)
			if !report.Clean() {
				found[of] = report.Faults
			}
		}
		return found
	}
	require.Empty(t, found())

	put("accepted", "1", ordered)
	put("movements", "cup", ShopMovement{-2, "1"})
	put("sales", "1", sale{Order: &ordered, Placed: then, Cents: 1600, Carrier: "van"})
	again := dead()
	again.Value = []byte("[")
	require.NoError(t, client.ProduceSync(t.Context(), dead(), again).FirstErr())
	execute(`update sales set state = '{"cents": 1600}'; update orders set paid = 0; delete from order_lines; update stock set state = '{}'`)
	require.Equal(t, map[string]Faults{
		"accepted": {Doubled: 1}, "movements": {Doubled: 1}, "stock": {Lost: 1}, "sales": {Doubled: 1}, "dead letters": {Doubled: 2},
		"table stock": {Wrong: 1}, "table sales": {Wrong: 1}, "table orders": {Wrong: 1}, "table order_lines": {Lost: 1},
	}, found())
}
