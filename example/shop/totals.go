package main

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime"
)

// Totals are what the shop has got done.
type Totals struct {
	// Orders, Lines, Paid and Shipped are in the tables; Sold is in the states of the function stock.
	Orders, Lines, Paid, Shipped, Sold int64
	// Rejected are orders that were not taken, and Letters messages that could not be read.
	Rejected, Letters int64
}

// take counts an order that the shop takes.
func (t *Totals) take(order Order, paid, shipped bool) {
	t.Orders++
	t.Lines += int64(len(order.Lines))
	for _, line := range order.Lines {
		t.Sold += line.Quantity
	}
	if paid {
		t.Paid++
	}
	if shipped {
		t.Shipped++
	}
}

// reject counts an order that the shop does not take, where it can be read at all.
func (t *Totals) reject(whole bool) {
	if whole {
		t.Rejected++
	}
}

// readTotals asks the tables and the topics.
func readTotals(ctx context.Context, instance *flows.Instance) (t Totals, err error) {
	err = instance.DB().QueryRowContext(ctx, `
		select (select count(*) from orders), (select count(*) from order_lines),
			(select count(*) from orders where paid >= cents), (select count(*) from orders where carrier <> ''),
			(select coalesce(sum(cast(state->>'sold' as integer)), 0) from stock)`,
	).Scan(&t.Orders, &t.Lines, &t.Paid, &t.Shipped, &t.Sold)
	if err != nil {
		return t, err
	}
	if t.Rejected, err = count(ctx, instance.Log(), rejected.Spec().Name); err != nil {
		return t, err
	}
	for _, function := range []string{"check", "sell.payments", "sell.shipments"} {
		n, err := count(ctx, instance.Log(), runtime.DeadLetterTopic(function).Name)
		if err != nil {
			return t, err
		}
		t.Letters += n
	}
	return t, nil
}

// count returns how many records a topic has.
func count(ctx context.Context, log runtime.Log, topic string) (n int64, _ error) {
	info, err := log.Describe(ctx, topic)
	if err != nil {
		return 0, err
	}
	for partition := range info.Partitions {
		start, end, err := log.Bounds(ctx, runtime.TopicPartition{Topic: topic, Partition: partition})
		if err != nil {
			return 0, fmt.Errorf("%s/%d: %w", topic, partition, err)
		}
		n += end - start
	}
	return n, nil
}

// ordered says whether the tables hold orders.
func ordered(ctx context.Context, db *bun.DB) (bool, error) {
	n, err := db.NewSelect().Model((*OrderRow)(nil)).Count(ctx)
	return n > 0, err
}
