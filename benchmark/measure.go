package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// part is one part of the report: some contenders, each over some values of a setting, and what is aimed at.
type part struct {
	id, title string
	// text says what is measured, below the title.
	text string
	// set makes the part's settings of those that were asked for; nil leaves them as they are.
	set func(*settings)
	// sweep is the setting that takes several values; nil where there is none.
	sweep      *sweep
	contenders []contender
	goals      []goal
	// columns are the figures to show; the first one is what contenders are compared by.
	columns []string
	// sizes says what it is of, where that is more than messages and keys.
	sizes func(settings) string
	// spread shows the lowest and the highest of every column, not only of the first.
	spread bool
	// fewer says that three runs do for it: it has no goal.
	fewer bool
}

// sweep is a setting that takes one value after another.
type sweep struct {
	name   string
	values func(settings) []int
	set    func(*settings, int)
}

// contender is one program that does the work of a part.
type contender struct {
	name string
	run  func(ctx context.Context, p *place, s settings) (figures, error)
}

func names(all []contender) (list []string) {
	for _, c := range all {
		list = append(list, c.name)
	}
	return list
}

// figures are what one run gave, by name. The names are what stands above columns.
type figures map[string]float64

// Names of figures.
const (
	rate        = "messages/s"
	cpu         = "CPU µs/message"
	memory      = "peak memory MB"
	goroutines  = "goroutines"
	toKafka     = "connections to the broker"
	toPostgres  = "connections to Postgres"
	backends    = "backends in Postgres"
	backToWork  = "assignment to first batch s"
	killToGiven = "kill to assignment s"
	killToWork  = "kill to first batch s"
	busy        = "CPU % of a core"
	resident    = "memory MB"
	afterWork   = "memory after work MB"
)

// mostFewer is how many runs a part without a goal has.
const mostFewer = 3

// measure runs every contender of a part in turns, prints what came of it and keeps it.
func (p *place) measure(ctx context.Context, one part, s settings) (err error) {
	if one.set != nil {
		one.set(&s)
	}
	if one.fewer {
		s.Runs = min(s.Runs, mostFewer)
	}
	field := one.contenders
	if s.contenders != "" {
		if field, err = choose(field, s.contenders, func(c contender) string { return c.name }); err != nil {
			return err
		}
	}
	if s.resume {
		if known, err := measured(ctx, s, one.id); known || err != nil {
			return err
		}
	}
	fmt.Printf("%s: %s, %d runs of %s\n", one.id, s, s.Runs, strings.Join(names(field), ", "))
	result := newOutcome(ctx, p, one.id, s)
	for number := range s.Runs {
		for _, at := range one.places(s) {
			for _, c := range field {
				r, err := p.runOne(ctx, one, c, s, at, number+1)
				if err != nil {
					return err
				}
				result.Runs = append(result.Runs, r)
			}
		}
	}
	if err := p.clear(ctx); err != nil {
		return err
	}
	for _, g := range one.goals {
		fmt.Println(" ", g.judge(*result))
	}
	if s.results == "" || s.contenders != "" {
		return nil
	}
	return keep(s.results, result)
}

// places are the values of the part's sweep, or one that means nothing.
func (one part) places(s settings) []int {
	if one.sweep == nil {
		return []int{0}
	}
	return one.sweep.values(s)
}

// runOne runs a contender once and prints what it gave.
func (p *place) runOne(ctx context.Context, one part, c contender, s settings, at, number int) (runOutcome, error) {
	name := c.name
	if one.sweep != nil {
		one.sweep.set(&s, at)
		name = fmt.Sprintf("%s, %s %s", c.name, grouped(float64(at)), one.sweep.name)
	}
	f, err := c.run(ctx, p, s)
	if err != nil {
		return runOutcome{}, fmt.Errorf("%s: %w", name, err)
	}
	var shown []string
	for _, column := range one.columns {
		if v, ok := f[column]; ok {
			shown = append(shown, column+" "+short(v))
		}
	}
	fmt.Printf("  run %d  %-44s %s\n", number, name, strings.Join(shown, ", "))
	return runOutcome{Contender: c.name, At: at, Run: number, Figures: f}, nil
}

func (s settings) String() string {
	return fmt.Sprintf("%s messages of %d bytes, %s over %s keys, %d partitions", grouped(float64(s.Messages)), s.Size, s.Shape, grouped(float64(s.Keys)), s.Partitions)
}

// spread is the median, the lowest and the highest of some figures.
type spread struct{ median, lowest, highest float64 }

func spreadOf(all []float64) spread {
	all = slices.Sorted(slices.Values(all))
	return spread{(all[(len(all)-1)/2] + all[len(all)/2]) / 2, all[0], all[len(all)-1]}
}
