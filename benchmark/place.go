package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services/local"
)

// place is where contenders run: services, and the topic with the input that all of them read.
type place struct {
	settings settings
	brokers  []string
	postgres string
	services []*local.Service
	client   *kgo.Client
	admin    *kadm.Client
	input    string
	started  int64
	// joined says that the inputs of the join are written.
	joined bool
}

// tuned is Postgres as one would set it for a write-heavy load on this machine; durable all the same.
var tuned = []string{"max_wal_size = 8GB", "shared_buffers = 1GB", "checkpoint_timeout = 15min", "wal_compression = lz4"}

func openPlace(ctx context.Context, s settings) (*place, error) {
	p := &place{settings: s, started: time.Now().UnixNano()}
	if err := p.startServices(ctx); err != nil {
		return nil, errors.Join(err, p.close())
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.ProducerLinger(5*time.Millisecond), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.client, p.admin = client, kadm.NewClient(client)
	return p, nil
}

func (p *place) startServices(ctx context.Context) error {
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		p.brokers = strings.Split(brokers, ",")
	} else {
		broker, err := local.StartKafka(ctx, local.Config{})
		if err != nil {
			return err
		}
		p.services, p.brokers = append(p.services, broker), []string{broker.Address}
	}
	if p.postgres = os.Getenv("POSTGRES_URL"); p.postgres == "" {
		server, err := local.StartPostgres(ctx, local.Config{Settings: tuned})
		if err != nil {
			return err
		}
		p.services, p.postgres = append(p.services, server), server.Address
	}
	return nil
}

func (p *place) close() error {
	var errs []error
	if p.client != nil {
		p.client.Close()
	}
	for _, s := range p.services {
		errs = append(errs, s.Remove())
	}
	return errors.Join(errs...)
}

// name returns a name that no other run has.
func (p *place) name(what string, run int) string {
	return fmt.Sprintf("%s-%d-%d", what, p.started, run)
}

// create makes a topic with the partitions of the measurement.
func (p *place) create(ctx context.Context, name string) error {
	_, err := p.admin.CreateTopic(ctx, int32(p.settings.partitions), 1, nil, name)
	return err
}

// fill writes the input: all messages, before anything is measured.
func (p *place) fill(ctx context.Context) error {
	p.started, p.joined = time.Now().UnixNano(), false
	p.input = p.name("words", 0)
	if err := p.create(ctx, p.input); err != nil {
		return err
	}
	value := p.value()
	next := keys(p.settings)
	var failed error
	for range p.settings.messages {
		p.client.Produce(ctx, &kgo.Record{Topic: p.input, Key: next(), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := p.client.Flush(ctx); err != nil {
		return err
	}
	return failed
}

// value is what every message has.
func (p *place) value() []byte {
	value := make([]byte, p.settings.size)
	for i := range value {
		value[i] = "abcdefghijklmnopqrstuvwxyz"[i%26]
	}
	return value
}

// keys returns a source of keys of the distribution; the same for every measurement.
func keys(s settings) func() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.1, 1, uint64(s.keys-1))
	fresh := 0
	return func() []byte {
		var n uint64
		switch s.keyShape {
		case "zipf":
			n = zipf.Uint64()
		case "hot":
			n = 0
		case "new":
			fresh++
			n = spread(uint64(fresh))
		default:
			n = random.Uint64N(uint64(s.keys))
		}
		return strconv.AppendUint([]byte("key-"), n, 10)
	}
}

// spread makes numbers that come in order come in none, each still once.
func spread(n uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n*0x9e3779b97f4a7c15)
	slices.Reverse(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// database returns the URL of a database that is empty.
func (p *place) database(ctx context.Context, run int) (string, error) {
	conn, err := pgx.Connect(ctx, p.postgres)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	name := strings.ReplaceAll(p.name("bench", run), "-", "_")
	if _, err := conn.Exec(ctx, "create database "+name); err != nil {
		return "", err
	}
	config := conn.Config().Copy()
	return fmt.Sprintf("postgres://%s:%s@%s:%d/%s", config.User, config.Password, config.Host, config.Port, name), nil
}

// result is what one run gave.
type result struct {
	messages int
	took     time.Duration
	cpu      time.Duration
}

func (r result) rate() float64 { return float64(r.messages) / r.took.Seconds() }

func (r result) String() string {
	return fmt.Sprintf("%8.0f msg/s in %6.2f s, %5.2f s of CPU", r.rate(), r.took.Seconds(), r.cpu.Seconds())
}

func rates(results []result) []float64 {
	var all []float64
	for _, r := range results {
		all = append(all, r.rate())
	}
	slices.Sort(all)
	return all
}

func median(results []result) float64 {
	all := rates(results)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func lowest(results []result) float64  { return slices.Min(rates(results)) }
func highest(results []result) float64 { return slices.Max(rates(results)) }

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
