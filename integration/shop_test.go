package integration

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	judge "github.com/kappaflows/flows/internal/oracle"
	"github.com/kappaflows/flows/internal/services"
)

// TestShopSurvivesKills takes orders in three processes that run every function, and kills one of them with SIGKILL ten
// times. Then every result is there once, the tables are what the topics say, no piece of the stock is lost or found, and
// the dead letters are the malformed messages. FLOWS_LONG=1 makes it ten times as long.
func TestShopSurvivesKills(t *testing.T) {
	const kills, processes = 10, 3
	orders := 20_000
	if os.Getenv("FLOWS_LONG") == "1" {
		orders = 200_000
	}
	random := rand.New(rand.NewPCG(11, 11))
	s := newShopRun(t, processes)
	load := newShopLoad(random, orders)
	length := time.Duration(orders) * time.Millisecond
	done, posted := load.produce(t, s.client, length), load.post(t, s.addresses)

	// The load takes its time, and each kill comes somewhere in its part of it.
	part, begin := length/kills, time.Now()
	for range kills {
		time.Sleep(time.Until(begin.Add(time.Duration(random.Int64N(int64(part))))))
		begin = begin.Add(part)
		s.requireRunning(t)
		victim := random.IntN(processes)
		s.processes[victim].kill()
		t.Logf("process %d killed at %d of %d records of the stock, %d sales", victim,
			s.oracle.records(t, s.client, "stock"), load.due["movements"], s.oracle.records(t, s.client, "sales"))
		s.start(t, victim)
	}
	require.NoError(t, <-done)
	require.NoError(t, <-posted)
	load.await(t, s)
	for _, p := range s.processes {
		p.terminate(t)
	}
	load.requireExact(t, s)
	judgeShop := func() (found faults) {
		reports, err := s.oracle.judge().Shop(t.Context())
		require.NoError(t, err)
		reports["orders by HTTP"], err = s.oracle.judge().Requests(t.Context(), load.sent)
		require.NoError(t, err)
		for of, report := range reports {
			t.Log(of, report)
			found.Lost += report.Faults.Lost
			found.Doubled += report.Faults.Doubled
			found.Reordered += report.Faults.Reordered
			found.Wrong += report.Faults.Wrong
		}
		return found
	}
	require.Equal(t, faults{}, judgeShop())

	// A judge that finds nothing must be able to find something. What is accepted once more is also missing behind that.
	s.query(t, "update orders set paid = paid + 1 where id = (select min(id) from orders) returning id", func(pgx.CollectableRow) error { return nil })
	require.NoError(t, s.client.ProduceSync(t.Context(), record("accepted", "o-000001", judge.ShopOrder{}), record("stock", "product-0", struct{}{})).FirstErr())
	require.Equal(t, faults{Lost: 1, Doubled: 1, Wrong: 2}, judgeShop())
}

// shopRun is a shop of several processes on a broker and a database.
type shopRun struct {
	oracle    oracle
	client    *kgo.Client
	env       []string
	program   string
	addresses []string
	processes []*process
}

func newShopRun(t *testing.T, processes int) *shopRun {
	t.Helper()
	s := &shopRun{oracle: oracle{brokers: services.NewBroker(t).Addr(), database: services.Postgres(t)}, program: build(t, "shop")}
	s.client = s.oracle.client(t)
	s.env = append(environment(s.oracle.brokers, s.oracle.database), "LOG_LEVEL=error")
	run(t, s.env, s.program, "topics", "create", "--partitions", "6")
	run(t, s.env, s.program, "migrate")
	s.processes = make([]*process, processes)
	for i := range processes {
		s.addresses = append(s.addresses, services.FreeAddress(t))
		s.start(t, i)
	}
	for i, p := range s.processes {
		awaitReady(t, p, s.addresses[i], http.StatusOK)
	}
	return s
}

// start starts a process in the place of one that is gone. It is the same member of its groups, and need not wait until
// the broker gives the other up.
func (s *shopRun) start(t *testing.T, i int) {
	t.Helper()
	env := append(slices.Clip(s.env), "HTTP_ADDR="+s.addresses[i], "KAFKA_INSTANCE_ID="+strconv.Itoa(i))
	s.processes[i] = start(t, env, s.program, "run")
}

func (s *shopRun) requireRunning(t *testing.T) {
	t.Helper()
	for _, p := range s.processes {
		require.True(t, p.running(), "the program ended: %s", p.log.tail())
	}
}

// tableTotals returns how many orders the table has, the cents that were paid for them, and how many were shipped.
func (s *shopRun) tableTotals(t *testing.T) (orders, paid, shipped int64) {
	t.Helper()
	s.query(t, "select count(*), coalesce(sum(paid), 0)::bigint, count(*) filter (where carrier <> '') from orders",
		func(row pgx.CollectableRow) error { return row.Scan(&orders, &paid, &shipped) })
	return orders, paid, shipped
}

// query calls scan with each row.
func (s *shopRun) query(t *testing.T, query string, scan func(pgx.CollectableRow) error) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	connection, err := pgx.Connect(ctx, s.oracle.database)
	require.NoError(t, err)
	defer connection.Close(ctx)
	rows, err := connection.Query(ctx, query)
	require.NoError(t, err)
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) { return struct{}{}, scan(row) })
	require.NoError(t, err)
}
