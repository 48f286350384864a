package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services/local"
)

// place is where contenders run: services, and the topics with the input that all of them read.
type place struct {
	brokers  []string
	postgres string
	services []*local.Service
	client   *kgo.Client
	admin    *kadm.Client
	started  int64
	named    int
	// inputs are the topics that are filled, and states the databases with a large table, by what is in them; files are
	// those of rows.
	inputs map[input]string
	states map[int]string
	files  map[int]string
	// classes is the path of Kafka Streams once it is compiled.
	classes string
}

// tuned is Postgres as one would set it for a write-heavy load on this machine; durable all the same.
var tuned = []string{"max_wal_size = 8GB", "shared_buffers = 1GB", "checkpoint_timeout = 15min", "wal_compression = lz4"}

func openPlace(ctx context.Context) (*place, error) {
	p := &place{started: time.Now().Unix(), inputs: map[input]string{}, states: map[int]string{}, files: map[int]string{}}
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
	for _, file := range p.files {
		errs = append(errs, os.Remove(file))
	}
	return errors.Join(errs...)
}

// namePrefix begins the name of every topic, group and database of the benchmark.
const namePrefix = "bench-"

// name returns a name that nothing else has.
func (p *place) name(what string) string {
	p.named++
	return fmt.Sprintf("%s%d-%d-%s", namePrefix, p.started, p.named, what)
}

// create makes a topic with the partitions of the measurement.
func (p *place) create(ctx context.Context, s settings, what string) (string, error) {
	name := p.name(what)
	if _, err := p.admin.CreateTopic(ctx, int32(s.Partitions), 1, nil, name); err != nil {
		return "", err
	}
	return name, nil
}

// tidy deletes what a run leaves in the broker, its internal topics too, so that the disk does not fill and files that are
// no longer needed do not push others out of memory. Inputs stay.
func (p *place) tidy(ctx context.Context) error {
	inputs := map[string]bool{}
	for _, name := range p.inputs {
		inputs[name] = true
	}
	return p.deleteTopics(ctx, func(name string) bool { return !inputs[name] })
}

func (p *place) deleteTopics(ctx context.Context, which func(string) bool) error {
	topics, err := p.admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	var gone []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, namePrefix) && which(name) {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	_, err = p.admin.DeleteTopics(ctx, gone...)
	return err
}

// clear deletes what a part leaves, but for large tables of states: two parts need those.
func (p *place) clear(ctx context.Context) error {
	p.inputs = map[input]string{}
	return p.deleteTopics(ctx, func(string) bool { return true })
}

// database makes an empty database and returns its URL, and what deletes it.
func (p *place) database(ctx context.Context) (url string, drop func() error, err error) {
	conn, err := pgx.Connect(ctx, p.postgres)
	if err != nil {
		return "", nil, err
	}
	defer conn.Close(ctx)
	name := strings.ReplaceAll(p.name("states"), "-", "_")
	if _, err := conn.Exec(ctx, "create database "+name); err != nil {
		return "", nil, err
	}
	config := conn.Config().Copy()
	url = fmt.Sprintf("postgres://%s:%s@%s:%d/%s", config.User, config.Password, config.Host, config.Port, name)
	return url, func() error { return p.drop(context.WithoutCancel(ctx), name) }, nil
}

func (p *place) drop(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.postgres)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "drop database "+name+" with (force)")
	return err
}
