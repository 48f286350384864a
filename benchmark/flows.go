package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime/pprof"
	"strconv"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/join"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/runtime/postgres"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

type config interface {
	Compile() (*runtime.Function, error)
}

func (t task) options() runtime.Options {
	s := t.Settings
	return runtime.Options{BatchMessages: s.Batch, BatchBytes: s.BatchBytes, QueueBytes: s.QueueBytes, CacheBytes: s.Cache}
}

// workCount counts as a user writes it: one function, or several that share the messages.
func workCount(ctx context.Context, t task, tell func(event)) error {
	var all []config
	for i := range t.Outputs {
		number := strconv.Itoa(i)
		words := topic.New(t.Inputs[0], format.String(), format.String())
		counts := topic.New(t.Outputs[i], format.String(), format.Int64())
		all = append(all, stateful.Config[string, string, int64]{
			Name: t.Name + "-" + number, Input: words, Outputs: topic.List{counts}, State: format.Int64(), Table: "word_count_" + number,
			Function: func(_ context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
				n++
				return n, topic.Records{counts.Record(word.Key, n)}, nil
			},
			Options: t.options(),
		})
	}
	return runFlows(ctx, t, tell, all...)
}

// paddedSize is the bytes of a state where they are large.
const paddedSize = 100

// padded counts in the first bytes of a state of a hundred.
func padded(t task) config {
	words := topic.New(t.Inputs[0], format.String(), format.String())
	counts := topic.New(t.Outputs[0], format.String(), format.Int64())
	return stateful.Config[string, string, []byte]{
		Name: t.Name, Input: words, Outputs: topic.List{counts}, State: format.Bytes(), Table: "padded",
		Function: func(_ context.Context, word topic.Message[string, string], state []byte) ([]byte, topic.Records, error) {
			next := make([]byte, paddedSize)
			copy(next, state)
			n := binary.BigEndian.Uint64(next) + 1
			binary.BigEndian.PutUint64(next, n)
			return next, topic.Records{counts.Record(word.Key, int64(n))}, nil
		},
		Options: t.options(),
	}
}

func workPadded(ctx context.Context, t task, tell func(event)) error {
	return runFlows(ctx, t, tell, padded(t))
}

func workMap(ctx context.Context, t task, tell func(event)) error {
	in := topic.New(t.Inputs[0], format.Borrowed(), format.Borrowed())
	out := topic.New(t.Outputs[0], format.Borrowed(), format.Borrowed())
	options := t.options()
	if t.AtLeastOnce {
		options.Delivery = runtime.AtLeastOnce
	}
	return runFlows(ctx, t, tell, stateless.Config[[]byte, []byte]{
		Name: t.Name, Input: in, Outputs: topic.List{out},
		Function: func(_ context.Context, m topic.Message[[]byte, []byte]) (topic.Records, error) {
			return topic.Records{out.Record(m.Key, m.Value)}, nil
		},
		Options: options,
	})
}

func workJoin(ctx context.Context, t task, tell func(event)) error {
	text := format.String()
	left, right := topic.New(t.Inputs[0], text, text), topic.New(t.Inputs[1], text, text)
	return runFlows(ctx, t, tell, join.Inner(t.Name, left, right, topic.New(t.Outputs[0], text, text),
		func(_, l, r string) string { return l + r }))
}

// runFlows runs functions until they have handled all of the messages, or ctx is done.
func runFlows(ctx context.Context, t task, tell func(event), all ...config) (err error) {
	functions, counting, err := compile(all)
	if err != nil {
		return err
	}
	log, err := kafka.Open(ctx, kafka.Config{Brokers: t.Brokers, InstanceID: t.Instance})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	var store runtime.Store
	if !t.AtLeastOnce {
		opened, err := openStore(ctx, t.Database, functions)
		if err != nil {
			return err
		}
		defer func() { _ = opened.Close() }()
		store = opened
	}
	if t.Profile != "" {
		stop, err := profile(t.Profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &meter{functions: counting, messages: t.Settings.Messages, tell: tell, finish: cancel, ports: t.ports()}
	if t.Endless {
		m.messages = -1
	}
	if err := runtime.New(runtime.Config{Functions: functions, Log: log, Store: store, Observer: m}).Run(ctx); err != nil {
		return err
	}
	return m.report()
}

// compile returns the functions of some configs, their parts included, and the names of those that count.
func compile(all []config) (functions []*runtime.Function, counting map[string]bool, err error) {
	counting = map[string]bool{}
	for _, c := range all {
		f, err := c.Compile()
		if err != nil {
			return nil, nil, err
		}
		counting[f.Name] = true
		functions = append(append(functions, f), f.Parts...)
	}
	return functions, counting, nil
}

// openStore opens the database and makes the functions' tables in it.
func openStore(ctx context.Context, url string, functions []*runtime.Function) (*postgres.Store, error) {
	store, err := postgres.Open(ctx, postgres.Config{URL: url})
	if err != nil {
		return nil, err
	}
	var states []runtime.StateTable
	var rows []*runtime.RowTable
	for _, f := range functions {
		rows = append(rows, f.Tables...)
		if f.State != nil {
			states = append(states, f.State.Table)
		}
	}
	if err := store.Migrate(ctx, states); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, store.CreateTables(ctx, rows)
}

func profile(path string) (stop func(), err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		file.Close()
	}, nil
}

// ports are those of the services by the figure that counts connections to them.
func (t task) ports() map[string]uint16 {
	found := map[string]uint16{}
	add := func(name, port string) {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			found[name] = uint16(n)
		}
	}
	if _, port, err := net.SplitHostPort(t.Brokers[0]); err == nil {
		add(toKafka, port)
	}
	if database, err := url.Parse(t.Database); err == nil {
		add(toPostgres, database.Port())
	}
	return found
}

// unfinished says that the program was ended before its work was.
func unfinished(handled, messages int) error {
	return fmt.Errorf("%d of %d messages are handled: %w", handled, messages, context.Canceled)
}
