// Command benchmark measures flows on a real Kafka broker and a real Postgres server, side by side with the same work done
// by other programs on the same services.
//
// It starts the services itself unless KAFKA_BROKERS and POSTGRES_URL name some. Every figure is the median of several runs,
// the contenders taking turns, so that a machine whose speed drifts does not favour one of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

// settings are what a measurement is of.
type settings struct {
	work       string
	messages   int
	keys       int
	keyShape   string
	size       int
	partitions int
	runs       int
	batch      int
	rate       int
	duration   time.Duration
	contenders string
	profile    string
	report     string
}

func main() {
	var s settings
	flag.StringVar(&s.work, "work", "count", "what is measured: count, map, join, rows or latency")
	flag.IntVar(&s.messages, "messages", 3_000_000, "messages a run")
	flag.IntVar(&s.keys, "keys", 100_000, "distinct keys")
	flag.StringVar(&s.keyShape, "distribution", "uniform", "how messages spread over keys: uniform, zipf, hot or new")
	flag.IntVar(&s.size, "size", 100, "bytes of a value")
	flag.IntVar(&s.partitions, "partitions", 4, "partitions of each topic")
	flag.IntVar(&s.runs, "runs", 5, "runs of each contender")
	flag.IntVar(&s.batch, "batch", 0, "messages of a batch; 0 is the default")
	flag.IntVar(&s.rate, "rate", 1000, "messages a second, for latency")
	flag.DurationVar(&s.duration, "duration", 20*time.Second, "how long latency is measured, after a warm-up")
	flag.StringVar(&s.contenders, "contenders", "", "which contenders, separated by commas; all unless set")
	flag.StringVar(&s.profile, "cpuprofile", "", "write a CPU profile of the last run to this file")
	flag.StringVar(&s.report, "report", "", "measure everything and write it to this file, as Markdown")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := measure(ctx, s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmark:", err)
		os.Exit(1)
	}
}

// measure starts the services and measures one work, or all for a report.
func measure(ctx context.Context, s settings) (err error) {
	p, err := openPlace(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	switch {
	case s.report != "":
		return p.report(ctx, s.report)
	case s.work == "latency":
		_, err := measureLatency(ctx, p)
		return err
	default:
		_, err := p.compare(ctx)
		return err
	}
}

// standing is what the runs of one contender gave.
type standing struct {
	name    string
	results []result
}

// compare runs every contender of the work in turns and prints what came of it.
func (p *place) compare(ctx context.Context) ([]standing, error) {
	s := p.settings
	field, err := contendersOf(s)
	if err != nil {
		return nil, err
	}
	if err := p.fill(ctx); err != nil {
		return nil, err
	}
	fmt.Println(s)
	standings := make([]standing, len(field))
	for run := range s.runs {
		for i, c := range field {
			r, err := c.run(ctx, p, run)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			fmt.Printf("  run %d  %-28s %s\n", run+1, c.name, r)
			standings[i].name, standings[i].results = c.name, append(standings[i].results, r)
		}
	}
	for _, c := range standings {
		fmt.Printf("%-30s median %8.0f msg/s  (%.0f to %.0f)\n", c.name, median(c.results), lowest(c.results), highest(c.results))
	}
	return standings, nil
}

func (s settings) String() string {
	return fmt.Sprintf("%s: %d messages of %d bytes, %s over %d keys, %d partitions, %d runs", s.work, s.messages, s.size, s.keyShape, s.keys, s.partitions, s.runs)
}

// contendersOf returns those who do the work, of the ones that were asked for.
func contendersOf(s settings) ([]contender, error) {
	all, ok := works[s.work]
	if !ok {
		return nil, fmt.Errorf("unknown work %q", s.work)
	}
	if s.contenders == "" {
		return all, nil
	}
	var chosen []contender
	for name := range strings.SplitSeq(s.contenders, ",") {
		found := false
		for _, c := range all {
			if c.name == name {
				chosen, found = append(chosen, c), true
			}
		}
		if !found {
			return nil, fmt.Errorf("%s has no contender %q", s.work, name)
		}
	}
	return chosen, nil
}
