// Package oracle says whether programs kept their promise: it reads topics and tables, computes for itself what should be
// there, and counts what is lost, doubled, reordered and wrong, by key. It uses other clients than the programs do, knows
// nothing of this library, and imports none of its packages.
package oracle

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Oracle reads topics and tables.
type Oracle struct {
	// Brokers are the addresses of the cluster.
	Brokers []string
	// Database is the URL of the database.
	Database string
	// Options are further ones of the Kafka client, for a cluster that needs them.
	Options []kgo.Opt
}

// Client returns a Kafka client, which the caller closes.
func (o Oracle) Client(options ...kgo.Opt) (*kgo.Client, error) {
	all := append([]kgo.Opt{kgo.SeedBrokers(o.Brokers...)}, o.Options...)
	return kgo.NewClient(append(all, options...)...)
}

// Records returns how many records a topic has.
func Records(ctx context.Context, client *kgo.Client, topic string) (n int64, err error) {
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("end of topic %s: %w", topic, err)
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("start of topic %s: %w", topic, err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(topic, end.Partition); ok {
			n += end.Offset - start.Offset
		}
	})
	return n, nil
}

// Each calls visit for every record that a topic has now, each partition in order.
func (o Oracle) Each(ctx context.Context, topic string, visit func(*kgo.Record)) error {
	client, err := o.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	left, err := Records(ctx, client, topic)
	if err != nil {
		return err
	}
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read topic %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			visit(r)
			left--
		})
	}
	return nil
}

// partitions returns how many partitions a topic has.
func (o Oracle) partitions(ctx context.Context, topic string) (int, error) {
	client, err := o.Client()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	found, err := kadm.NewClient(client).ListTopics(ctx, topic)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", topic, err)
	}
	return len(found[topic].Partitions), nil
}

// rows calls visit for each row of a query that gives a key and a value, both as text.
func (o Oracle) rows(ctx context.Context, query string, visit func(key, value string)) error {
	connection, err := pgx.Connect(ctx, o.Database)
	if err != nil {
		return errors.New("the database can't be reached") // The error may show more of the URL than it should.
	}
	defer connection.Close(ctx)
	rows, err := connection.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	var key, value string
	if _, err := pgx.ForEachRow(rows, []any{&key, &value}, func() error {
		visit(key, value)
		return nil
	}); err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	return nil
}
