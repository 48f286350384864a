package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// load is what the programs get to do.
type load struct {
	client *kgo.Client
	random *rand.Rand
	zipf   *rand.Zipf
	// number is that of the next line, order and price.
	number int
}

// load produces until stop is called, which returns when everything is appended.
func (c *cluster) load(rate int) (stop func()) {
	const tick = 50 * time.Millisecond
	random := rand.New(rand.NewPCG(c.seed, 1))
	l := &load{client: c.oracle.client(c.t), random: random, zipf: rand.NewZipf(random, 1.1, 1, 20_000)}
	for customer := range customers {
		l.produce(c.t.Context(), "customers", customerName(customer), fmt.Sprintf(`{"name": "Name %d", "city": "Rome"}`, customer))
	}
	require.NoError(c.t, l.client.Flush(c.t.Context()))
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- l.client.Flush(c.t.Context())
				return
			case <-ticker.C:
			}
			for range max(1, rate*int(tick)/int(time.Second)) {
				l.some(c.t.Context())
			}
		}
	}()
	return func() {
		cancel()
		require.NoError(c.t, <-done)
	}
}

// some produces a line, an order and a price.
func (l *load) some(ctx context.Context) {
	l.number++
	number := fmt.Sprint(l.number)
	var line []byte
	for range 10 {
		line = fmt.Appendf(line, "word-%d ", l.zipf.Uint64())
	}
	l.produce(ctx, "lines", number, string(line))
	l.produce(ctx, "orders", "order-"+number, fmt.Sprintf(`{"customer": %q, "item": "tea"}`, customerName(l.random.IntN(customers))))
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

// customers is how many there are.
const customers = 300

func customerName(n int) string { return fmt.Sprint("customer-", n) }

func (l *load) produce(ctx context.Context, topic, key, value string) {
	l.client.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}, nil)
}
