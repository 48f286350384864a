package main

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// warmup is how long nothing is sent, and then how long what is sent is not measured.
const warmup = 5 * time.Second

// percentiles are those that are kept of a run, by their names.
var percentiles = []struct {
	name string
	at   float64
}{
	{"p0", 0},
	{"p25", 25},
	{"p50 ms", 50},
	{"p75", 75},
	{"p90 ms", 90},
	{"p95", 95},
	{"p97.5", 97.5},
	{"p99 ms", 99},
	{"p99.5", 99.5},
	{"p99.9 ms", 99.9},
	{"p99.95", 99.95},
	{"p99.99", 99.99},
}

const longest = "max ms"

// counter is a program that counts from one topic to another until its context is done.
type counter func(ctx context.Context, p *place, s settings, input, output string, messages int) error

func flowsCounter(ctx context.Context, p *place, s settings, input, output string, _ int) error {
	url, drop, err := p.database(ctx)
	if err != nil {
		return err
	}
	g, err := p.start(context.WithoutCancel(ctx), task{
		Work: "count", Name: p.name("count"), Settings: s, Inputs: []string{input}, Outputs: []string{output}, Database: url, Endless: true,
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return errors.Join(g.end(), drop())
}

// streamsCounter returns the program on Kafka Streams, with a commit.interval.ms of its own; 0 is the default.
func streamsCounter(guarantee string, commit int) counter {
	return func(ctx context.Context, p *place, _ settings, input, output string, messages int) error {
		command, end, err := p.streams(ctx, streamsTask{
			work: "count", guarantee: guarantee, inputs: []string{input}, output: output, messages: messages, commit: commit,
		})
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

// runLatency sends messages at a fixed rate, whatever becomes of them, and takes for each the time from when it was meant to
// be sent until its output was read: what waits because the program is late counts. isolated reads what is committed only.
func runLatency(count counter, isolated bool) func(context.Context, *place, settings) (figures, error) {
	return func(ctx context.Context, p *place, s settings) (figures, error) {
		input, err := p.create(ctx, s, "paced")
		if err != nil {
			return nil, err
		}
		output, err := p.create(ctx, s, "paced-out")
		if err != nil {
			return nil, err
		}
		length := time.Duration(s.Seconds)*time.Second + warmup
		watch := &stopwatch{
			sent: make([]time.Time, int(length.Seconds()*float64(s.Rate))), keys: s.Keys, rate: s.Rate,
			histogram: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3),
		}
		counting, cancel := context.WithCancel(ctx)
		defer cancel()
		running := make(chan error, 1)
		go func() { running <- count(counting, p, s, input, output, len(watch.sent)) }()
		err = watch.measure(ctx, p, input, output, isolated)
		cancel()
		if err := errors.Join(err, <-running); err != nil {
			return nil, err
		}
		return watch.figures(), p.tidy(ctx)
	}
}

// stopwatch sends messages and reads what became of them.
type stopwatch struct {
	keys, rate int
	// sent is when each message was meant to be sent.
	sent []time.Time
	// histogram is of microseconds.
	histogram *hdrhistogram.Histogram
}

func (w *stopwatch) figures() figures {
	f := figures{longest: float64(w.histogram.Max()) / 1e3}
	for _, p := range percentiles {
		f[p.name] = float64(w.histogram.ValueAtPercentile(p.at)) / 1e3
	}
	return f
}

func (w *stopwatch) measure(ctx context.Context, p *place, input, output string, isolated bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(len(w.sent)/w.rate)*time.Second+2*time.Minute)
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
	for i := range w.sent {
		w.sent[i] = begin.Add(time.Duration(i) * time.Second / time.Duration(w.rate))
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() { w.send(ctx, client, input) })
	return w.read(ctx, client, begin.Add(warmup))
}

func (w *stopwatch) send(ctx context.Context, client *kgo.Client, topic string) {
	for i, at := range w.sent {
		if wait := time.Until(at); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
		key := strconv.AppendInt(nil, int64(i%w.keys), 10)
		client.Produce(ctx, &kgo.Record{Topic: topic, Key: key, Value: key}, nil)
	}
}

func (w *stopwatch) read(ctx context.Context, client *kgo.Client, from time.Time) error {
	for left := len(w.sent); left > 0; {
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
			left--
			if sent := w.sent[key+(count-1)*w.keys]; sent.After(from) {
				failed = errors.Join(failed, w.histogram.RecordValue(now.Sub(sent).Microseconds()))
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}
