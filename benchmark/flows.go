package main

import (
	"context"
	"errors"
	"os"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/runtime/postgres"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

// contender is one program that does the work.
type contender struct {
	name string
	run  func(ctx context.Context, p *place, run int) (result, error)
}

// works are the contenders of each work.
var works = map[string][]contender{
	"count": {
		{"flows", runCount},
		{"streams-exactly-once", runStreams("count", streamsExactlyOnce)},
		{"streams-at-least-once", runStreams("count", streamsAtLeastOnce)},
		{"sarama-in-memory", runSarama("count", counting)},
	},
	"map": {
		{"flows-exactly-once", runMap(runtime.ExactlyOnce)},
		{"flows-at-least-once", runMap(runtime.AtLeastOnce)},
		{"franz-go", runFranz},
		{"sarama", runSarama("map", mapping)},
		{"streams-exactly-once", runStreams("map", streamsExactlyOnce)},
	},
	"join": {
		{"flows", runJoin},
		{"streams-exactly-once", runStreamsJoin(streamsExactlyOnce)},
	},
	"rows": {
		{"flows-new-rows", runRows(false)},
		{"flows-upserts", runRows(true)},
		{"psql-copy", runCopy},
	},
}

type config interface {
	Compile() (*runtime.Function, error)
}

func runCount(ctx context.Context, p *place, run int) (result, error) {
	output := p.name("counts", run)
	if err := p.create(ctx, output); err != nil {
		return result{}, err
	}
	return p.flow(ctx, run, countConfig(p, p.input, output, run))
}

// countConfig is the work of counting as a user writes it.
func countConfig(p *place, input, output string, run int) config {
	words := topic.New(input, format.String(), format.String())
	counts := topic.New(output, format.String(), format.Int64())
	return stateful.Config[string, string, int64]{
		Name: p.name("count", run), Input: words, Outputs: topic.List{counts}, State: format.Int64(), Table: "word_count",
		Function: func(_ context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
			n++
			return n, topic.Records{counts.Record(word.Key, n)}, nil
		},
		Options: runtime.Options{BatchMessages: p.settings.batch},
	}
}

func runMap(delivery runtime.Delivery) func(ctx context.Context, p *place, run int) (result, error) {
	return func(ctx context.Context, p *place, run int) (result, error) {
		what := "mapped-" + delivery.String()[:2]
		in := topic.New(p.input, format.Bytes(), format.Bytes())
		out := topic.New(p.name(what, run), format.Bytes(), format.Bytes())
		if err := p.create(ctx, out.Spec().Name); err != nil {
			return result{}, err
		}
		return p.flow(ctx, run, stateless.Config[[]byte, []byte]{
			Name: p.name(what, run), Input: in, Outputs: topic.List{out},
			Function: func(_ context.Context, m topic.Message[[]byte, []byte]) (topic.Records, error) {
				return topic.Records{out.Record(m.Key, m.Value)}, nil
			},
			Options: runtime.Options{BatchMessages: p.settings.batch, Delivery: delivery},
		})
	}
}

// flow runs one function until it has handled all of the input.
func (p *place) flow(ctx context.Context, run int, c config) (r result, err error) {
	f, err := c.Compile()
	if err != nil {
		return r, err
	}
	log, err := kafka.Open(ctx, kafka.Config{Brokers: p.brokers})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	store, err := p.openStore(ctx, run, f)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if p.settings.profile != "" {
		file, err := os.Create(p.settings.profile)
		if err != nil {
			return r, err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return r, err
		}
		defer pprof.StopCPUProfile()
	}
	return p.watch(ctx, runtime.Config{Functions: append([]*runtime.Function{f}, f.Parts...), Log: log, Store: store})
}

func (p *place) openStore(ctx context.Context, run int, f *runtime.Function) (runtime.Store, error) {
	url, err := p.database(ctx, int(time.Now().UnixNano()%1e6)*10+run)
	if err != nil {
		return nil, err
	}
	store, err := postgres.Open(ctx, postgres.Config{URL: url})
	if err != nil {
		return nil, err
	}
	var tables []runtime.StateTable
	if f.State != nil {
		tables = append(tables, f.State.Table)
	}
	if err := store.Migrate(ctx, tables); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, store.CreateTables(ctx, f.Tables)
}

// watch runs an engine until all messages are handled, and takes the time from its first batch on.
func (p *place) watch(ctx context.Context, config runtime.Config) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &meter{function: config.Functions[0].Name, messages: p.settings.messages, done: cancel}
	config.Observer = m
	cpu := cpuTime()
	if err := runtime.New(config).Run(ctx); err != nil {
		return result{}, err
	}
	if m.handled < m.messages {
		return result{}, ctx.Err()
	}
	return result{messages: m.handled, took: m.last.Sub(m.first), cpu: cpuTime() - cpu}, nil
}

// meter counts messages whose outputs are acknowledged.
type meter struct {
	// function is the one that counts: the last one in the work.
	function string
	messages int
	done     func()

	mutex       sync.Mutex
	handled     int
	first, last time.Time
}

func (m *meter) BatchDone(function string, _ runtime.TopicPartition, batch runtime.BatchStats) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.last = time.Now()
	if m.first.IsZero() {
		m.first = m.last.Add(-batch.Load - batch.Compute - batch.Commit - batch.Send)
	}
	if function != m.function {
		return
	}
	if m.handled += batch.In; m.handled >= m.messages {
		m.done()
	}
}

func (m *meter) Happened(string, runtime.TopicPartition, runtime.Event, int) {}
