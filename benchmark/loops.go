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
	tell     func(event)
	mutex    sync.Mutex
	all      int
	left     int
	first    time.Time
	finished chan struct{}
}

func newLap(t task, tell func(event)) *lap {
	return &lap{tell: tell, all: t.Settings.Messages, left: t.Settings.Messages, finished: make(chan struct{})}
}

func (l *lap) begin() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.first.IsZero() {
		l.first = time.Now()
	}
}

func (l *lap) acknowledged(n int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	before := l.left
	if l.left -= n; l.left <= 0 && before > 0 {
		l.tell(event{What: done, Took: time.Since(l.first)})
		close(l.finished)
	}
}

// wait waits until the last message is acknowledged.
func (l *lap) wait(ctx context.Context) error {
	select {
	case <-l.finished:
		return nil
	case <-ctx.Done():
		return unfinished(l.all-l.left, l.all)
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

type maker func(*sarama.ConsumerMessage) *sarama.ProducerMessage

func workSarama(ctx context.Context, t task, tell func(event)) error {
	return saramaLoop(ctx, t, tell, mapping)
}

func workInMemory(ctx context.Context, t task, tell func(event)) error {
	return saramaLoop(ctx, t, tell, counting)
}

// saramaLoop is a plain sarama loop at least once: a goroutine a partition reads, makes the output, and gives it to one
// AsyncProducer. Positions are not kept.
func saramaLoop(ctx context.Context, t task, tell func(event), each func() maker) (err error) {
	consumer, err := sarama.NewConsumer(t.Brokers, tunedSarama())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, consumer.Close()) }()
	producer, err := sarama.NewAsyncProducer(t.Brokers, tunedSarama())
	if err != nil {
		return err
	}
	l := newLap(t, tell)
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
	for partition := range int32(t.Settings.Partitions) {
		reading, err := consumer.ConsumePartition(t.Inputs[0], partition, sarama.OffsetOldest)
		if err != nil {
			return err
		}
		defer reading.AsyncClose()
		readers.Go(func() { loop(ctx, l, reading, producer, t.Outputs[0], each()) })
	}
	return l.wait(ctx)
}

func loop(ctx context.Context, l *lap, in sarama.PartitionConsumer, out sarama.AsyncProducer, topic string, each maker) {
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

func mapping() maker {
	return func(m *sarama.ConsumerMessage) *sarama.ProducerMessage {
		return &sarama.ProducerMessage{Key: sarama.ByteEncoder(m.Key), Value: sarama.ByteEncoder(m.Value), Timestamp: m.Timestamp}
	}
}

// counting counts in a map in memory, which a crash loses.
func counting() maker {
	counts := map[string]int64{}
	return func(m *sarama.ConsumerMessage) *sarama.ProducerMessage {
		counts[string(m.Key)]++
		value := strconv.AppendInt(nil, counts[string(m.Key)], 10)
		return &sarama.ProducerMessage{Key: sarama.ByteEncoder(m.Key), Value: sarama.ByteEncoder(value), Timestamp: m.Timestamp}
	}
}

// workFranz is a plain franz-go loop at least once: one client polls and gives what it read to itself to produce.
func workFranz(ctx context.Context, t task, tell func(event)) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.Brokers...), kgo.ConsumeTopics(t.Inputs[0]), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DefaultProduceTopic(t.Outputs[0]), kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.MaxBufferedRecords(200_000), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.FetchMaxPartitionBytes(2<<20))
	if err != nil {
		return err
	}
	defer client.Close()
	l := newLap(t, tell)
	for read := 0; read < t.Settings.Messages; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
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
	return l.wait(ctx)
}
