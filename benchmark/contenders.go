package main

import (
	"context"
	"fmt"
	"maps"
)

// flowsTask returns what flows needs for a work: names, an input and outputs that are empty, and a database.
func (p *place) flowsTask(ctx context.Context, s settings, work string) (t task, drop func() error, err error) {
	t = task{Work: work, Name: p.name(work), Settings: s, Profile: s.profile}
	in, err := p.input(ctx, s)
	if err != nil {
		return t, nil, err
	}
	t.Inputs = []string{in}
	for range max(1, s.Functions) {
		output, err := p.create(ctx, s, "out-"+work)
		if err != nil {
			return t, nil, err
		}
		t.Outputs = append(t.Outputs, output)
	}
	t.Database, drop, err = p.database(ctx)
	return t, drop, err
}

// runFlowsTask returns the work done by flows, changed by change where that is set.
func runFlowsTask(work string, change func(*task)) func(context.Context, *place, settings) (figures, error) {
	return func(ctx context.Context, p *place, s settings) (figures, error) {
		t, drop, err := p.flowsTask(ctx, s, work)
		if err != nil {
			return nil, err
		}
		if change != nil {
			change(&t)
		}
		f, err := p.work(ctx, t)
		if err != nil {
			return nil, err
		}
		return f, drop()
	}
}

// runLoop returns the work done by a loop without a database.
func runLoop(work string) func(context.Context, *place, settings) (figures, error) {
	return func(ctx context.Context, p *place, s settings) (figures, error) {
		in, err := p.input(ctx, s)
		if err != nil {
			return nil, err
		}
		out, err := p.create(ctx, s, "out-"+work)
		if err != nil {
			return nil, err
		}
		return p.work(ctx, task{Work: work, Settings: s, Inputs: []string{in}, Outputs: []string{out}})
	}
}

// joinInputs are the inputs of a join: each message of the first has one of the same key in the second.
func (p *place) joinInputs(ctx context.Context, s settings) ([]string, error) {
	s.Messages /= 2
	left, err := p.fill(ctx, s, s.input(1))
	if err != nil {
		return nil, err
	}
	right, err := p.fill(ctx, s, s.input(2))
	return []string{left, right}, err
}

func runJoin(ctx context.Context, p *place, s settings) (f figures, err error) {
	t := task{Work: "join", Name: p.name("join"), Settings: s, Profile: s.profile}
	if t.Inputs, err = p.joinInputs(ctx, s); err != nil {
		return nil, err
	}
	output, err := p.create(ctx, s, "out-join")
	if err != nil {
		return nil, err
	}
	t.Outputs = []string{output}
	url, drop, err := p.database(ctx)
	if err != nil {
		return nil, err
	}
	t.Database = url
	if f, err = p.work(ctx, t); err != nil {
		return nil, err
	}
	return f, drop()
}

func runStreamsJoin(ctx context.Context, p *place, s settings) (figures, error) {
	inputs, err := p.joinInputs(ctx, s)
	if err != nil {
		return nil, err
	}
	return p.streamsRun(ctx, s, streamsTask{work: "join", guarantee: streamsExactlyOnce, inputs: inputs})
}

// runScaled counts, and looks at what the process and the services have open in the middle of it.
func runScaled(ctx context.Context, p *place, s settings) (f figures, err error) {
	// The functions share messages and keys, so that all of them together do what one does alone.
	s.Messages, s.Keys = s.Messages/s.Functions, s.Keys/s.Functions
	t, drop, err := p.flowsTask(ctx, s, "count")
	if err != nil {
		return nil, err
	}
	t.Settings.Messages *= s.Functions
	g, err := p.start(ctx, t)
	if err != nil {
		return nil, err
	}
	if _, _, err := g.await(half); err != nil {
		return nil, err
	}
	inPostgres, err := p.backends(ctx, t.Database)
	if err != nil {
		return nil, err
	}
	_, finished, err := g.await(done)
	if err != nil {
		return nil, err
	}
	if err := g.end(); err != nil {
		return nil, err
	}
	f = figuresOf(t.Settings.Messages, finished.Took, g.command.ProcessState)
	maps.Copy(f, finished.Figures)
	f[backends] = inPostgres
	if err := drop(); err != nil {
		return nil, fmt.Errorf("drop: %w", err)
	}
	return f, p.tidy(ctx)
}
