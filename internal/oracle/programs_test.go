package oracle

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services"
)

// TestJoinAndTables reads what the examples leave behind: first with nothing wrong, then with one thing wrong each.
func TestJoinAndTables(t *testing.T) {
	o := Oracle{Brokers: []string{services.NewBroker(t).Addr()}, Database: services.Postgres(t)}
	client, err := o.Client()
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, nil,
		"orders", "shipments", "strangers", "prices", "keep.dead-letter")
	require.NoError(t, err)
	connection, err := pgx.Connect(t.Context(), o.Database)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	execute := func(statements string) {
		_, err := connection.Exec(t.Context(), statements)
		require.NoError(t, err)
	}
	faults := func() map[string]Faults {
		found := map[string]Faults{}
		for _, program := range []string{"enrich", "table"} {
			reports, err := Programs[program](o, t.Context())
			require.NoError(t, err)
			for of, report := range reports {
				if !report.Clean() {
					found[of] = report.Faults
				}
			}
		}
		return found
	}

	produce(t, client, "orders", "1", "{}")
	produce(t, client, "orders", "2", "{}")
	produce(t, client, "shipments", "2", "{}")
	produce(t, client, "strangers", "1", "{}")
	produce(t, client, "prices", "tea", "300")
	produce(t, client, "prices", "cup", "900")
	letter := letterOf("keep", produce(t, client, "prices", "pot", "-1"))
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "prices", Key: []byte("cup")}).FirstErr())
	require.NoError(t, client.ProduceSync(t.Context(), letter).FirstErr())
	execute("create table products (name text, cents bigint); insert into products values ('tea', 300)")
	execute("create table prices (name text, since timestamptz, cents bigint)")
	require.NoError(t, o.Each(t.Context(), "prices", func(r *kgo.Record) {
		if len(r.Value) == 3 {
			_, err := connection.Exec(t.Context(), "insert into prices values ($1, $2, $3::text::bigint)", string(r.Key), r.Timestamp, string(r.Value))
			require.NoError(t, err)
		}
	}))
	require.Empty(t, faults())

	produce(t, client, "shipments", "1", "{}")
	produce(t, client, "keep.dead-letter", "pot", "-1")
	execute("update products set cents = 301; delete from prices where name = 'cup'")
	require.Equal(t, map[string]Faults{
		"shipments": {Doubled: 1}, "keep.dead-letter": {Doubled: 1}, "products": {Wrong: 1}, "prices": {Lost: 1},
	}, faults())
}
