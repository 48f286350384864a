package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	judge "github.com/kappaflows/flows/internal/oracle"
)

// load is what the programs get to do.
type load struct {
	client *kgo.Client
	random *rand.Rand
	zipf   *rand.Zipf
	// number is that of the next line and price.
	number int
	shop   *shopLoad
	// requests are the orders that go by HTTP.
	requests chan judge.ShopOrder
}

// load produces until stop is called, which returns when everything is appended.
func (c *cluster) load(rate int) (stop func()) {
	const tick = 50 * time.Millisecond
	random := rand.New(rand.NewPCG(c.seed, 1))
	l := &load{
		client: c.oracle.client(c.t), random: random, zipf: rand.NewZipf(random, 1.1, 1, 20_000),
		shop: newShopLoad(random, 0), requests: make(chan judge.ShopOrder, 100_000),
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	appended, posted := make(chan error, 1), make(chan error, 1)
	go func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for ctx.Err() == nil {
			for range max(1, rate*int(tick)/int(time.Second)) {
				l.some(c.t.Context())
			}
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
		l.ship(c.t.Context(), 0)
		close(l.requests)
		appended <- l.client.Flush(c.t.Context())
	}()
	c.requests = l.shop.sent
	go func() { posted <- l.post(c.t.Context(), c.addresses("shop")) }()
	return func() {
		cancel()
		require.NoError(c.t, <-appended)
		require.NoError(c.t, <-posted)
	}
}

// post posts the orders that go by HTTP until there are no more.
func (l *load) post(ctx context.Context, addresses []string) error {
	desk := newDesk(addresses, l.shop.sent)
	defer desk.client.CloseIdleConnections()
	for order := range l.requests {
		if err := desk.post(ctx, order); err != nil {
			return err
		}
	}
	return nil
}

const (
	// linesAnOrder is how many lines of words there are for each order of the shop, which makes more of it.
	linesAnOrder = 4
	// One in linesSpoiled lines is no text.
	linesSpoiled = 100
)

// some produces a line of words, a price, and now and then what happens with an order.
func (l *load) some(ctx context.Context) {
	l.number++
	number := fmt.Sprint(l.number)
	var line []byte
	for range 10 {
		line = fmt.Appendf(line, "word-%d ", l.zipf.Uint64())
	}
	if l.random.IntN(linesSpoiled) == 0 {
		line[l.random.IntN(len(line))] = 0xff
	}
	l.produce(ctx, "lines", number, string(line))
	l.price(ctx, number)
	if l.number%linesAnOrder == 0 {
		l.shop.add(l.number)
		const underway = 30
		l.ship(ctx, underway)
	}
}

// ship produces messages for the shop in random order, until so many are left. Those by HTTP go their own way.
func (l *load) ship(ctx context.Context, left int) {
	for len(l.shop.records) > left {
		at := l.random.IntN(len(l.shop.records))
		l.client.Produce(ctx, l.shop.records[at], nil)
		l.shop.records = slices.Delete(l.shop.records, at, at+1)
	}
	for _, order := range l.shop.requests {
		l.requests <- order
	}
	l.shop.requests = nil
}

func (l *load) price(ctx context.Context, number string) {
	product := fmt.Sprint("product-", l.random.IntN(1000))
	switch l.random.IntN(100) {
	case 0:
		// It is taken out of the shop.
		l.client.Produce(ctx, &kgo.Record{Topic: "prices", Key: []byte(product)}, nil)
	case 1:
		// It is refused.
		l.produce(ctx, "prices", product, "-"+number)
	default:
		l.produce(ctx, "prices", product, number)
	}
}

func (l *load) produce(ctx context.Context, topic, key, value string) {
	l.client.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}, nil)
}
