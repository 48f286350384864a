package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/runtime/producer"
)

// generate is the command that plays customers of a shop that runs on a cluster.
type generate struct {
	Rate   float64 `default:"100" placeholder:"N" help:"Most messages a second; 0 is as many as possible."`
	Orders int     `default:"1000" placeholder:"N" help:"How many orders; -1 does not end."`
	Bad    float64 `default:"1" placeholder:"PERCENT" help:"How many of a hundred messages cannot be read."`
	Seed   uint64  `placeholder:"N" help:"Makes everything, the ids too, the same each time; unset, it is another one each time."`
	URL    string  `placeholder:"URL" help:"Where the shop takes orders by HTTP; without it, they go into their topic."`
}

func newGenerate() flows.Command {
	flags := &generate{}
	return flows.Command{
		Name: "generate", Help: "Play customers, bank and warehouse: orders, payments and shipments in random order.",
		Flags: flags, Run: flags.run,
	}
}

// Validate refuses what makes no sense.
func (g *generate) Validate() error {
	if g.Rate < 0 || g.Bad < 0 || g.Bad > 100 {
		return errors.New("--rate takes 0 or more, --bad 0 to 100")
	}
	return nil
}

func (g *generate) run(ctx context.Context, in *flows.Invocation) error {
	if in.Settings.Embedded() {
		return errors.New("KAFKA_BROKERS is not set: there is no shop to order from but the demo's own")
	}
	log, err := kafka.Open(ctx, in.Settings.Kafka)
	if err != nil {
		return err
	}
	p, err := producer.New(ctx, producer.Config{Log: log, Logger: in.Logger})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	if g.Seed == 0 {
		g.Seed = rand.Uint64N(1 << 32)
	}
	c := counter{producer: p, url: g.URL, client: http.DefaultClient}
	who := newCustomers(g.Seed, g.Orders, g.Bad/100)
	err = c.deliver(ctx, who.events(), g.Rate)
	p.Close()
	if err == nil {
		_, err = fmt.Fprintf(in.Stdout, "seed %d: %+v\n", g.Seed, who.due)
	}
	return errors.Join(err, log.Close())
}
