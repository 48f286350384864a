package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
)

// latencies is what one run of the latency work gave, in microseconds.
type latencies struct{ histogram *hdrhistogram.Histogram }

func (l latencies) at(percentile float64) time.Duration {
	return time.Duration(l.histogram.ValueAtPercentile(percentile)) * time.Microsecond
}

func (l latencies) String() string {
	return fmt.Sprintf("p50 %s p90 %s p99 %s p99.9 %s max %s (%d messages)", show(l.at(50)), show(l.at(90)), show(l.at(99)),
		show(l.at(99.9)), show(time.Duration(l.histogram.Max())*time.Microsecond), l.histogram.TotalCount())
}

func show(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }

// warmup is how long messages are sent before they are measured.
const warmup = 5 * time.Second

// counter is a program that counts from one topic to another until its context is done.
type counter struct {
	name     string
	isolated bool
	run      func(ctx context.Context, p *place, input, output string, run, messages int) error
}

var counters = []counter{
	{"flows", false, flowsCounter},
	{"streams-exactly-once", true, streamsCounter(streamsExactlyOnce)},
	{"streams-at-least-once", false, streamsCounter(streamsAtLeastOnce)},
}

func flowsCounter(ctx context.Context, p *place, input, output string, run, _ int) (err error) {
	f, err := countConfig(p, input, output, run).Compile()
	if err != nil {
		return err
	}
	log, err := kafka.Open(ctx, kafka.Config{Brokers: p.brokers})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	store, err := p.openStore(ctx, run, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return runtime.New(runtime.Config{Functions: []*runtime.Function{f}, Log: log, Store: store}).Run(ctx)
}

func streamsCounter(guarantee string) func(context.Context, *place, string, string, int, int) error {
	return func(ctx context.Context, p *place, input, output string, _, messages int) error {
		command, end, err := p.streams(ctx, "count", guarantee, output, messages, input)
		if err != nil {
			return err
		}
		defer end()
		var exit *exec.ExitError
		if err := command.Run(); err != nil && (ctx.Err() == nil || !errors.As(err, &exit)) {
			return err
		}
		return nil
	}
}

// measureLatency sends messages at a fixed rate, whatever becomes of them, and takes for each the time from when it was
// meant to be sent until its output was read: what waits because the program is late counts.
func measureLatency(ctx context.Context, p *place) (map[string][]latencies, error) {
	all := map[string][]latencies{}
	fmt.Printf("latency of count at %d messages/s for %s, %d keys, %d partitions, %d runs; from the intended time of sending to the output's reading\n",
		p.settings.rate, p.settings.duration, p.settings.keys, p.settings.partitions, p.settings.runs)
	for run := range p.settings.runs {
		for _, c := range counters {
			l, err := p.latency(ctx, c, run)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			fmt.Printf("  run %d  %-24s %s\n", run+1, c.name, l)
			all[c.name] = append(all[c.name], l)
		}
	}
	return all, nil
}

func (p *place) latency(ctx context.Context, c counter, run int) (latencies, error) {
	input, output := p.name("paced-"+c.name, run), p.name("paced-out-"+c.name, run)
	for _, name := range []string{input, output} {
		if err := p.create(ctx, name); err != nil {
			return latencies{}, err
		}
	}
	messages := int((p.settings.duration + warmup).Seconds() * float64(p.settings.rate))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running := make(chan error, 1)
	go func() { running <- c.run(ctx, p, input, output, run, messages) }()
	s := &stopwatch{
		sent: make([]time.Time, messages), keys: p.settings.keys, left: messages,
		measured: latencies{hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)},
	}
	err := s.measure(ctx, p, input, output, c.isolated)
	cancel()
	return s.measured, errors.Join(err, <-running)
}

// stopwatch sends messages and reads what became of them.
type stopwatch struct {
	keys, left int
	// sent is when each message was meant to be sent.
	sent     []time.Time
	measured latencies
}

func (s *stopwatch) measure(ctx context.Context, p *place, input, output string, isolated bool) error {
	ctx, cancel := context.WithTimeout(ctx, p.settings.duration+2*time.Minute)
	defer cancel()
	options := []kgo.Opt{
		kgo.SeedBrokers(p.brokers...), kgo.ConsumeTopics(output), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100 * time.Millisecond), kgo.ProducerLinger(0),
	}
	if isolated {
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	// Both the program and the reader must be at work before the clock starts.
	begin := time.Now().Add(warmup)
	for i := range s.sent {
		s.sent[i] = begin.Add(time.Duration(i) * time.Second / time.Duration(p.settings.rate))
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() { s.send(ctx, client, input) })
	return s.read(ctx, client, begin.Add(warmup))
}

func (s *stopwatch) send(ctx context.Context, client *kgo.Client, topic string) {
	for i, at := range s.sent {
		if wait := time.Until(at); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
		key := strconv.AppendInt(nil, int64(i%s.keys), 10)
		client.Produce(ctx, &kgo.Record{Topic: topic, Key: key, Value: key}, nil)
	}
}

func (s *stopwatch) read(ctx context.Context, client *kgo.Client, from time.Time) error {
	for s.left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
		}
		now := time.Now()
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			key, err := strconv.Atoi(string(r.Key))
			count, countErr := strconv.Atoi(string(r.Value))
			if err = errors.Join(err, countErr); err != nil {
				failed = err
				return
			}
			s.left--
			if sent := s.sent[key+(count-1)*s.keys]; sent.After(from) {
				failed = errors.Join(failed, s.measured.histogram.RecordValue(now.Sub(sent).Microseconds()))
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}
