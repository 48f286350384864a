package flows_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/join"
	"github.com/kappaflows/flows/materialise"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

// A small shop: what was ordered and what was paid come together, and become rows.
var (
	ordered  = topic.New("ordered", format.String(), format.Int64())
	payments = topic.New("payments", format.String(), format.Int64())
	balances = topic.New("balances", format.String(), format.Int64())
	owed     = materialise.TableOf[owedRow]()
)

type owedRow struct {
	bun.BaseModel `bun:"table:owed"`
	Customer      string `bun:"customer,pk"`
	Cents         int64  `bun:"cents"`
}

var payConfig = join.Config[string, int64]{
	Name: "pay", Key: format.String(), State: format.Int64(), Outputs: topic.List{balances},
	Sides: []join.Side[string, int64]{join.From(ordered, customerOf, add(1)), join.From(payments, customerOf, add(-1))},
}

func customerOf(m topic.Message[string, int64]) string { return m.Key }

func add(sign int64) func(context.Context, string, topic.Message[string, int64], int64) (int64, topic.Records, error) {
	return func(_ context.Context, id string, m topic.Message[string, int64], balance int64) (int64, topic.Records, error) {
		balance += sign * m.Value
		return balance, topic.Records{balances.Record(id, balance)}, nil
	}
}

var oweConfig = materialise.Config[string, int64]{
	Name: "owe", Input: balances, Tables: materialise.Tables{owed},
	Function: func(_ context.Context, m topic.Message[string, int64]) (materialise.Changes, error) {
		return owed.Upsert(owedRow{Customer: m.Key, Cents: m.Value}), nil
	},
}

func shopLog(t *testing.T) *memory.Log {
	t.Helper()
	log := memory.NewLog()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{
		{Name: "ordered", Partitions: 3}, {Name: "payments", Partitions: 2}, {Name: "balances", Partitions: 1},
	}))
	return log
}

func shop(log runtime.Log) *program {
	return &program{app: flows.New(payConfig, oweConfig).On(log, memory.NewStore())}
}

func TestAJoinRunsWithItsParts(t *testing.T) {
	for name, functions := range map[string][][]string{
		"all in one process":   {{}},
		"a process a function": {{"pay"}, {"owe"}},
		"a process a part":     {{"pay.ordered"}, {"owe", "pay.payments"}, {"pay", "pay.ordered"}},
	} {
		t.Run(name, func(t *testing.T) {
			log, store := shopLog(t), memory.NewStore()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			for _, names := range functions {
				instance, err := flows.New(payConfig, oweConfig).On(log, store).Open(ctx, cluster(names...))
				require.NoError(t, err)
				go func() {
					err := instance.Run(ctx)
					ended <- closed(err, instance)
				}()
			}
			put(t, log, ordered.Record("ann", 30), ordered.Record("bob", 5), payments.Record("ann", 30), payments.Record("bob", 2))
			require.Eventually(t, func() bool { return len(log.Records("balances", 0)) == 4 }, patience, tick)
			require.Eventually(t, func() bool {
				rows := memory.RowsOf[owedRow](store)
				return len(rows) == 2 && rows[0] == owedRow{Customer: "ann"} && rows[1] == owedRow{Customer: "bob", Cents: 3}
			}, patience, tick)
			cancel()
			for range functions {
				require.NoError(t, <-ended)
			}
		})
	}
}

func closed(err error, instance *flows.Instance) error {
	if closing := instance.Close(); err == nil {
		return closing
	}
	return err
}

func put(t *testing.T, log *memory.Log, records ...topic.Record) {
	t.Helper()
	for _, r := range records {
		_, err := log.Append(r.Spec().Name, 0, runtime.Output{Key: r.Key(), Value: r.Value()})
		require.NoError(t, err)
	}
}

func TestNamesOfPartsAreTaken(t *testing.T) {
	other := splitConfig
	other.Name = "pay.ordered"
	require.EqualError(t, flows.New(payConfig, other).Validate(), `stateless function "pay.ordered": Name: another function has this name`)
	status, _, stderr := shop(shopLog(t)).run(t, "run", "pay.nothing")
	require.Equal(t, 2, status)
	require.Equal(t, name()+`: no function is called "pay.nothing"; there are pay, pay.ordered, pay.payments, owe`+"\n", stderr)
}

func TestTheIntermediateTopicIsTheJoinsAlone(t *testing.T) {
	other := splitConfig
	other.Outputs = topic.List{topic.New("pay.intermediate", format.String(), format.String())}
	require.ErrorContains(t, flows.New(payConfig, other).Validate(), `topic "pay.intermediate" has value format string here but `)
}

func TestATableIsOfStatesOrOfRows(t *testing.T) {
	config := payConfig
	config.Table = "owed"
	require.EqualError(t, flows.New(config, oweConfig).Validate(),
		`materialise function "owe": Tables: "owed" is the table of function "pay"'s states`)
}

func TestAStoreThatHoldsNoRows(t *testing.T) {
	app := flows.New(oweConfig).On(shopLog(t), struct{ runtime.Store }{memory.NewStore()})
	_, err := app.Open(t.Context(), cluster())
	require.EqualError(t, err, "postgres cannot hold the rows of table owed")
}

func TestMigrateMakesWhatRunThenNeedNotMake(t *testing.T) {
	log := &frugal{Log: shopLog(t)}
	p := shop(log)
	status, stdout, stderr := p.run(t, "migrate")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "tables: pay, owed\npay.intermediate: created, 3 partitions\npay.dead-letter: created, 3 partitions\n"+
		"pay.ordered.dead-letter: created, 3 partitions\npay.payments.dead-letter: created, 2 partitions\n"+
		"owe.dead-letter: created, 1 partitions\n", stdout)

	log.refuse = true
	ctx, cancel := context.WithCancel(t.Context())
	instance, err := p.app.Open(ctx, cluster())
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- closed(instance.Run(ctx), instance) }()
	put(t, log.Log, ordered.Record("ann", 1))
	require.Eventually(t, func() bool { return len(log.Records("balances", 0)) == 1 }, patience, tick)
	cancel()
	require.NoError(t, <-ended)
}

// frugal is a log that may be told to create nothing.
type frugal struct {
	*memory.Log
	refuse bool
}

func (l *frugal) Create(ctx context.Context, topics []runtime.NewTopic) error {
	if l.refuse {
		return runtime.ErrDenied
	}
	return l.Log.Create(ctx, topics)
}

func TestMigrateNeedsTheOtherTopics(t *testing.T) {
	status, _, stderr := shop(memory.NewLog()).run(t, "migrate", "owe")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, ": topic balances does not exist: create it with ")
}

func TestListenShowsTopicsOfTheFunctionsOwn(t *testing.T) {
	log := shopLog(t)
	p := shop(log)
	_, _, _ = p.run(t, "topics", "create")
	_, err := log.Append("pay.dead-letter", 0, runtime.Output{Key: []byte("k"), Value: []byte("bad")})
	require.NoError(t, err)
	status, stdout, stderr := p.run(t, "listen", "pay.dead-letter", "--from=oldest", "--until-end")
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, "bad")
	status, _, stderr = p.run(t, "listen", "pay.intermediate", "--from=oldest", "--until-end")
	require.Equal(t, 0, status, stderr)
	status, _, stderr = p.run(t, "produce", "pay.intermediate")
	require.Equal(t, 2, status)
	require.Contains(t, stderr, `no function uses a topic "pay.intermediate"; there are balances, ordered, payments`)
}

func TestPartsAreListedAndDrawn(t *testing.T) {
	p := shop(nil)
	_, stdout, _ := p.run(t, "list")
	require.Equal(t, strings.Join([]string{
		"FUNCTION      KIND         READS             WRITES            TABLE  DELIVERY",
		"pay           join         pay.intermediate  balances          pay    exactly once",
		"pay.ordered   stateless    ordered           pay.intermediate  -      exactly once",
		"pay.payments  stateless    payments          pay.intermediate  -      exactly once",
		"owe           materialise  balances          -                 owed   exactly once", "",
	}, "\n"), stdout)
	_, stdout, _ = p.run(t, "graph")
	require.Contains(t, stdout, `  subgraph frame0["pay"]
    topic0(["pay.intermediate<br/>`)
	require.Contains(t, stdout, `    function0["pay<br/>join"]
    function1["pay.ordered<br/>stateless"]
    function2["pay.payments<br/>stateless"]
  end
`)
	require.Contains(t, stdout, "  function3 --> table1\n")
	_, stdout, _ = p.run(t, "graph", "--format=json")
	var graph flows.Graph
	require.NoError(t, json.Unmarshal([]byte(stdout), &graph))
	require.Equal(t, "pay", graph.Functions[1].PartOf)
	require.Equal(t, []string{"owed"}, graph.Functions[3].Rows)
	require.Equal(t, []flows.GraphTable{{Name: "pay", Function: "pay"}, {Name: "owed", Function: "owe", Rows: true}}, graph.Tables)
}
