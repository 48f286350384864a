package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kappaflows/flows"
)

// demo runs the shop with some customers and shows what the tables then say; it serves until it is told to stop. With
// ONCE=1 it ends by itself.
var demo = flows.Command{
	Name: "demo",
	Help: "Run the shop with some customers, show what the tables say, and serve; ONCE=1 ends after showing.",
	Run:  runDemo,
}

// What happens in the demo. The README shows what comes of it.
const (
	demoSeed   = 1
	demoOrders = 500
	demoBad    = 0.01
)

func runDemo(ctx context.Context, in *flows.Invocation) error {
	instance, err := in.App.Open(ctx, in.Settings)
	if err != nil {
		return err
	}
	return errors.Join(demonstrate(ctx, instance, in.Stdout), instance.Close())
}

// demonstrate runs the functions while customers order.
func demonstrate(ctx context.Context, instance *flows.Instance, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return instance.Run(running) })
	group.Go(func() error {
		if err := trade(running, instance, out); err != nil {
			return err
		}
		if err := report(running, instance.DB(), out); err != nil {
			return err
		}
		if os.Getenv("ONCE") == "1" {
			stop()
			return nil
		}
		_, err := fmt.Fprintf(out, "\norder:    curl -d '%s' -H 'Content-Type: application/json' %s/orders\ntopology: %s/topology\nServing until Ctrl-C.\n",
			`{"id":"mine","customer":"Me","lines":[{"product":"cup","quantity":2,"cents":800}]}`, instance.URL(), instance.URL())
		return err
	})
	return group.Wait()
}

// trade lets customers order, and waits until all of it is in the tables.
func trade(ctx context.Context, instance *flows.Instance, out io.Writer) error {
	if before, err := ordered(ctx, instance.DB()); err != nil || before {
		_, _ = fmt.Fprintln(out, "There are orders in the tables; nobody orders more.")
		return err
	}
	_, _ = fmt.Fprintf(out, "%d orders to %s/orders, with payments and shipments in random order\n", demoOrders, instance.URL())
	p, err := instance.Producer(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	who := newCustomers(demoSeed, demoOrders, demoBad)
	c := counter{producer: p, url: instance.URL(), client: &http.Client{Transport: transport}}
	if err := c.deliver(ctx, who.events(), 0); err != nil {
		return err
	}
	return settle(ctx, instance, who.due)
}

// settlePause is how often the tables are looked at.
const settlePause = 100 * time.Millisecond

// settle waits until the shop has got done what is due.
func settle(ctx context.Context, instance *flows.Instance, due Totals) error {
	for {
		totals, err := readTotals(ctx, instance)
		if err != nil {
			return err
		}
		if totals == due {
			return nil
		}
		if err := pause(ctx, settlePause); err != nil {
			return err
		}
	}
}
