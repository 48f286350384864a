package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/join"
	"github.com/kappaflows/flows/topic"
)

// fillJoin writes the inputs of a join: each message of the first has one of the same key in the second.
func (p *place) fillJoin(ctx context.Context) (left, right string, err error) {
	left, right = p.name("left", 0), p.name("right", 0)
	if p.joined {
		return left, right, nil
	}
	for _, name := range []string{left, right} {
		if err := p.create(ctx, name); err != nil {
			return "", "", err
		}
		next := keys(p.settings)
		for range p.settings.messages / 2 {
			p.client.Produce(ctx, &kgo.Record{Topic: name, Key: next(), Value: p.value()}, nil)
		}
	}
	p.joined = true
	return left, right, p.client.Flush(ctx)
}

func runJoin(ctx context.Context, p *place, run int) (result, error) {
	left, right, err := p.fillJoin(ctx)
	if err != nil {
		return result{}, err
	}
	output := p.name("joined", run)
	if err := p.create(ctx, output); err != nil {
		return result{}, err
	}
	text := format.String()
	both := join.Inner(p.name("join", run), topic.New(left, text, text), topic.New(right, text, text), topic.New(output, text, text),
		func(_, l, r string) string { return l + r })
	return p.flow(ctx, run, both)
}

func runStreamsJoin(guarantee string) func(context.Context, *place, int) (result, error) {
	return func(ctx context.Context, p *place, run int) (result, error) {
		left, right, err := p.fillJoin(ctx)
		if err != nil {
			return result{}, err
		}
		return p.streamsRun(ctx, "join", guarantee, run, left, right)
	}
}
