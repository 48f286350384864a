package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/runtime"
)

// stateTable returns a database whose state table has so many rows of a hundred bytes each, made once.
func (p *place) stateTable(ctx context.Context, rows int) (string, error) {
	if url, ok := p.states[rows]; ok {
		return url, nil
	}
	url, _, err := p.database(ctx)
	if err != nil {
		return "", err
	}
	functions, _, err := compile([]config{padded(task{Name: "padded", Inputs: []string{"in"}, Outputs: []string{"out"}})})
	if err != nil {
		return "", err
	}
	store, err := openStore(ctx, url, functions)
	if err != nil {
		return "", err
	}
	if err := store.Close(); err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	for _, statement := range []string{
		`set work_mem = '1GB'`,
		// In order of the key, so that the index is written from its left to its right.
		fmt.Sprintf(`insert into padded (key, state, version)
			select '%s' || n as key, decode(repeat('00', %d), 'hex'), 1 from generate_series(0, %d) as n order by key`, keyPrefix, paddedSize, rows-1),
		// As a table is that has been there for a while.
		`vacuum (analyze) padded`, `checkpoint`,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return "", err
		}
	}
	p.states[rows] = url
	return url, nil
}

// paddedTask returns the task of counting in a state table that is there already.
func (p *place) paddedTask(ctx context.Context, s settings, input string) (t task, err error) {
	t = task{Work: "padded", Name: p.name("padded"), Settings: s, Profile: s.profile, Inputs: []string{input}}
	output, err := p.create(ctx, s, "out-padded")
	if err != nil {
		return t, err
	}
	t.Outputs = []string{output}
	t.Database, err = p.stateTable(ctx, s.States)
	return t, err
}

// runStates counts over all keys of a state table alike.
func runStates(ctx context.Context, p *place, s settings) (figures, error) {
	s.Keys = s.States
	in, err := p.input(ctx, s)
	if err != nil {
		return nil, err
	}
	t, err := p.paddedTask(ctx, s, in)
	if err != nil {
		return nil, err
	}
	return p.work(ctx, t)
}

// backends counts the connections that a database has, without the one that asks.
func (p *place) backends(ctx context.Context, url string) (n float64, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, `select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
		and backend_type = 'client backend'`).Scan(&n)
	return n, err
}

const (
	// recoveryRate is the messages a second that come while a process is killed.
	recoveryRate = 2000
	// settled is how long a process works before it is killed.
	settled = 3 * time.Second
)

// runRecovery returns what comes of a process that is killed while it works on a large state table, and of another that is
// started in its place at once.
func runRecovery(static bool) func(context.Context, *place, settings) (figures, error) {
	return func(ctx context.Context, p *place, s settings) (figures, error) {
		s.Keys = s.States
		in, err := p.create(ctx, s, "input")
		if err != nil {
			return nil, err
		}
		t, err := p.paddedTask(ctx, s, in)
		if err != nil {
			return nil, err
		}
		t.Endless = true
		if static {
			t.Instance = "one"
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		fed := make(chan struct{})
		go func() {
			defer close(fed)
			p.feed(ctx, in, keys(s.input(0)))
		}()
		f, err := p.killAndRestart(ctx, t)
		cancel()
		<-fed
		if err != nil {
			return nil, err
		}
		return f, p.tidy(context.WithoutCancel(ctx))
	}
}

func (p *place) killAndRestart(ctx context.Context, t task) (figures, error) {
	old, err := p.start(ctx, t)
	if err != nil {
		return nil, err
	}
	if _, _, err := old.await(first); err != nil {
		return nil, err
	}
	if !runtime.Sleep(ctx, runtime.WallClock, settled) {
		return nil, ctx.Err()
	}
	killed := time.Now()
	old.kill()
	successor, err := p.start(ctx, t)
	if err != nil {
		return nil, err
	}
	before, worked, err := successor.await(first)
	if err != nil {
		return nil, err
	}
	f := figures{killToWork: worked.At.Sub(killed).Seconds()}
	for _, e := range before {
		if e.What == given { // the last time before the batch
			f[backToWork], f[killToGiven] = worked.At.Sub(e.At).Seconds(), e.At.Sub(killed).Seconds()
		}
	}
	return f, successor.end()
}

// feed sends messages at a fixed rate until ctx is done.
func (p *place) feed(ctx context.Context, topic string, next func() []byte) {
	const tick = 10 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	value := valueOf(paddedSize)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for range recoveryRate * int(tick) / int(time.Second) {
			p.client.Produce(ctx, &kgo.Record{Topic: topic, Key: next(), Value: value}, nil)
		}
	}
}
