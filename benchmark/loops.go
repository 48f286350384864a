package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lap takes the time of a loop: from the first message that it handled to the last that was acknowledged.
type lap struct {
	mutex    sync.Mutex
	left     int
	first    time.Time
	took     time.Duration
	cpu      time.Duration
	finished chan struct{}
}

func newLap(messages int) *lap { return &lap{left: messages, finished: make(chan struct{})} }

func (l *lap) begin() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.first.IsZero() {
		l.first, l.cpu = time.Now(), cpuTime()
	}
}

func (l *lap) acknowledged(n int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	before := l.left
	if l.left -= n; l.left <= 0 && before > 0 {
		l.took, l.cpu = time.Since(l.first), cpuTime()-l.cpu
		close(l.finished)
	}
}

func (l *lap) result(ctx context.Context, messages int) (result, error) {
	select {
	case <-l.finished:
		return result{messages: messages, took: l.took, cpu: l.cpu}, nil
	case <-ctx.Done():
		return result{}, ctx.Err()
	}
}

// tunedSarama is how one would set sarama for throughput, with nothing made durable and retries that may double.
func tunedSarama() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V4_0_0_0
	config.ChannelBufferSize = 10_000
	config.Consumer.Fetch.Default = 2 << 20
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	config.Producer.Flush.Bytes = 512 << 10
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewHashPartitioner
	return config
}

// runSarama returns a plain sarama loop at least once: a goroutine a partition reads, makes the output, and gives it to one
// AsyncProducer. Positions are not kept.
func runSarama(what string, each func() func(*sarama.ConsumerMessage) *sarama.ProducerMessage) func(context.Context, *place, int) (result, error) {
	return func(ctx context.Context, p *place, run int) (r result, err error) {
		output := p.name("sarama-"+what, run)
		if err := p.create(ctx, output); err != nil {
			return r, err
		}
		consumer, err := sarama.NewConsumer(p.brokers, tunedSarama())
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, consumer.Close()) }()
		producer, err := sarama.NewAsyncProducer(p.brokers, tunedSarama())
		if err != nil {
			return r, err
		}
		l := newLap(p.settings.messages)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var loops sync.WaitGroup
		loops.Go(func() {
			for range producer.Successes() {
				l.acknowledged(1)
			}
		})
		defer loops.Wait()
		defer producer.AsyncClose()
		var readers sync.WaitGroup
		defer readers.Wait()
		defer cancel()
		for partition := range int32(p.settings.partitions) {
			reading, err := consumer.ConsumePartition(p.input, partition, sarama.OffsetOldest)
			if err != nil {
				return r, err
			}
			defer reading.AsyncClose()
			readers.Go(func() { loop(ctx, l, reading, producer, output, each()) })
		}
		return l.result(ctx, p.settings.messages)
	}
}

func loop(ctx context.Context, l *lap, in sarama.PartitionConsumer, out sarama.AsyncProducer, topic string, each func(*sarama.ConsumerMessage) *sarama.ProducerMessage) {
	l.begin()
	for {
		select {
		case m, open := <-in.Messages():
			if !open {
				return
			}
			made := each(m)
			made.Topic = topic
			out.Input() <- made
		case <-ctx.Done():
			return
		}
	}
}

func mapping() func(*sarama.ConsumerMessage) *sarama.ProducerMessage {
	return func(m *sarama.ConsumerMessage) *sarama.ProducerMessage {
		return &sarama.ProducerMessage{Key: sarama.ByteEncoder(m.Key), Value: sarama.ByteEncoder(m.Value), Timestamp: m.Timestamp}
	}
}

// counting counts in a map in memory, which a crash loses.
func counting() func(*sarama.ConsumerMessage) *sarama.ProducerMessage {
	counts := map[string]int64{}
	return func(m *sarama.ConsumerMessage) *sarama.ProducerMessage {
		counts[string(m.Key)]++
		value := strconv.AppendInt(nil, counts[string(m.Key)], 10)
		return &sarama.ProducerMessage{Key: sarama.ByteEncoder(m.Key), Value: sarama.ByteEncoder(value), Timestamp: m.Timestamp}
	}
}

// runFranz is a plain franz-go loop at least once: one client polls and gives what it read to itself to produce.
func runFranz(ctx context.Context, p *place, run int) (result, error) {
	output := p.name("franz-map", run)
	if err := p.create(ctx, output); err != nil {
		return result{}, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.ConsumeTopics(p.input), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DefaultProduceTopic(output), kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.MaxBufferedRecords(200_000), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.FetchMaxPartitionBytes(2<<20))
	if err != nil {
		return result{}, err
	}
	defer client.Close()
	l := newLap(p.settings.messages)
	for read := 0; read < p.settings.messages; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return result{}, err
		}
		l.begin()
		fetches.EachRecord(func(r *kgo.Record) {
			read++
			client.Produce(ctx, &kgo.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}, func(_ *kgo.Record, err error) {
				if err == nil {
					l.acknowledged(1)
				}
			})
		})
	}
	return l.result(ctx, p.settings.messages)
}
