package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	judge "github.com/kappaflows/flows/internal/oracle"
)

// shopLoad is what customers, bank and warehouse send: records for topics, and orders for HTTP. The order is random, so
// that money comes before the order that it is for.
type shopLoad struct {
	random   *rand.Rand
	records  []*kgo.Record
	requests []judge.ShopOrder
	// sent are those requests that were made, and what was answered.
	sent *judge.Requests
	// due is how many records the topics get.
	due map[string]int64
	// good and paid are orders and cents in the table of orders.
	good, paid, shipped int64
}

const (
	shopProducts = 20
	// One in shopSpoiled messages is malformed, one in shopRefused orders is one that the shop refuses, and one in
	// shopRequested comes by HTTP.
	shopSpoiled, shopRefused, shopRequested = 100, 50, 50
)

func newShopLoad(random *rand.Rand, orders int) *shopLoad {
	l := &shopLoad{random: random, sent: &judge.Requests{}, due: map[string]int64{}}
	for n := range orders {
		l.add(n)
	}
	random.Shuffle(len(l.records), func(i, j int) { l.records[i], l.records[j] = l.records[j], l.records[i] })
	l.records = append(fullStock(), l.records...)
	l.due["movements"] += shopProducts
	return l
}

// fullStock is what the shop begins with.
func fullStock() (records []*kgo.Record) {
	for p := range shopProducts {
		records = append(records, record("movements", fmt.Sprint("product-", p), judge.ShopMovement{Quantity: 1000}))
	}
	return records
}

// add adds an order with its payment and its shipment. Either may be malformed, and then the order stays without it.
func (l *shopLoad) add(n int) {
	order := judge.ShopOrder{ID: fmt.Sprintf("o-%06d", n), Customer: fmt.Sprint("customer-", l.random.IntN(500))}
	for range 1 + l.random.IntN(3) {
		order.Lines = append(order.Lines, judge.ShopLine{
			Product: fmt.Sprint("product-", l.random.IntN(shopProducts)), Quantity: 1 + l.random.Int64N(5), Cents: 1 + l.random.Int64N(9999),
		})
	}
	if l.random.IntN(shopRefused) == 0 {
		order.Lines[0].Quantity = -1
	}
	l.due["orders"]++
	whole := true
	if l.random.IntN(shopRequested) == 0 {
		l.requests = append(l.requests, order)
	} else {
		whole = l.send(record("orders", order.ID, order), "check.dead-letter")
	}
	paid := l.send(record("payments", strconv.Itoa(n+1), judge.ShopPayment{Order: order.ID, Cents: order.Total()}), "sell.payments.dead-letter")
	shipped := l.send(record("shipments", fmt.Sprint("parcel-", n), judge.ShopShipment{Order: order.ID, Carrier: "van"}), "sell.shipments.dead-letter")
	switch {
	case whole && order.Good():
		l.due["accepted"]++
		l.due["movements"] += int64(len(order.Lines))
		l.good++
		if paid {
			l.paid += order.Total()
		}
		if shipped {
			l.shipped++
		}
	case whole:
		l.due["rejected"]++
	}
}

// send adds a record, some of them malformed, and says whether it is whole.
func (l *shopLoad) send(r *kgo.Record, letters string) bool {
	l.records = append(l.records, r)
	if l.random.IntN(shopSpoiled) > 0 {
		return true
	}
	l.due[letters]++
	switch l.random.IntN(5) {
	case 0:
		r.Value = r.Value[:len(r.Value)/2]
	case 1:
		r.Value = []byte{}
	case 2:
		r.Value = append([]byte("\xff"), r.Value...)
	case 3:
		r.Value = []byte(`{"id":7,"order":7}`)
	case 4:
		r.Value = append(r.Value, '}')
	}
	r.Headers = []kgo.RecordHeader{{Key: "from", Value: []byte{0, 255}}}
	return false
}

func record(topic, key string, value any) *kgo.Record {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err) // no type here can fail
	}
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: encoded}
}

// produce appends the records, each once, evenly over a length of time; the result comes when all are there.
func (l *shopLoad) produce(t *testing.T, client *kgo.Client, length time.Duration) <-chan error {
	done := make(chan error, 1)
	ctx, begin := t.Context(), time.Now()
	go func() {
		for i, r := range l.records {
			if i%100 == 0 {
				time.Sleep(time.Until(begin.Add(length * time.Duration(i) / time.Duration(len(l.records)))))
			}
			client.Produce(ctx, r, nil)
		}
		done <- client.Flush(ctx)
	}()
	return done
}

// post posts the orders that come by HTTP.
func (l *shopLoad) post(t *testing.T, addresses []string) <-chan error {
	done := make(chan error, 1)
	desk := newDesk(addresses, l.sent)
	ctx := t.Context()
	go func() {
		defer desk.client.CloseIdleConnections()
		for _, order := range l.requests {
			if err := desk.post(ctx, order); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return done
}

// desk is where orders are handed in by HTTP.
type desk struct {
	client    *http.Client
	addresses []string
	// sent are the orders that were handed in.
	sent *judge.Requests
	// tries is how often any order was posted.
	tries int
}

func newDesk(addresses []string, sent *judge.Requests) *desk {
	return &desk{client: &http.Client{Timeout: 10 * time.Second}, addresses: addresses, sent: sent}
}

// post posts an order with a key, as often as it takes until one of the processes, which are killed meanwhile, says that
// it has it.
func (d *desk) post(ctx context.Context, order judge.ShopOrder) error {
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	d.sent.Sent(order.ID, body)
	for {
		d.tries++
		address := d.addresses[d.tries%len(d.addresses)]
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/orders", bytes.NewReader(body))
		if err != nil {
			return err
		}
		if taken, err := d.send(request, order.ID); taken || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// send sends a request once. Whoever is away, or short of something for now, is asked again; any other answer is an error.
func (d *desk) send(request *http.Request, key string) (taken bool, err error) {
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	answer, err := d.client.Do(request)
	if err != nil {
		return false, nil // It is asked again.
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusAccepted:
		return d.taken(key, answer.Body), nil
	case http.StatusServiceUnavailable, http.StatusConflict:
		return false, nil
	}
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	return false, fmt.Errorf("order %s: %s: %s", key, answer.Status, said)
}

// taken notes that an order was taken, and where it is. An answer that does not come whole is none.
func (d *desk) taken(key string, answer io.Reader) bool {
	var at struct {
		Partition int32  `json:"partition"`
		Offset    *int64 `json:"offset"`
	}
	if json.NewDecoder(answer).Decode(&at) != nil {
		return false
	}
	offset := int64(-1)
	if at.Offset != nil {
		offset = *at.Offset
	}
	d.sent.Answered(key, at.Partition, offset)
	return true
}

// await waits until all that is due is there.
func (l *shopLoad) await(t *testing.T, s *shopRun) {
	t.Helper()
	l.due["stock"] = l.due["movements"]
	deadline := time.Now().Add(5 * time.Minute)
	for {
		missing := l.missing(t, s)
		if missing == "" {
			return
		}
		s.requireRunning(t)
		require.True(t, time.Now().Before(deadline), missing)
		time.Sleep(100 * time.Millisecond)
	}
}

func (l *shopLoad) missing(t *testing.T, s *shopRun) string {
	t.Helper()
	for topic, n := range l.due {
		if got := s.oracle.records(t, s.client, topic); got < n {
			return fmt.Sprintf("topic %s has %d of %d records", topic, got, n)
		}
	}
	good, paid, shipped := s.tableTotals(t)
	if good < l.good || paid < l.paid || shipped < l.shipped {
		return fmt.Sprintf("the table has %d of %d orders, %d of %d cents, %d of %d shipped", good, l.good, paid, l.paid, shipped, l.shipped)
	}
	return ""
}

// requireExact looks for records that are there once more than they are due, in a run whose broker stays.
func (l *shopLoad) requireExact(t *testing.T, s *shopRun) {
	t.Helper()
	for topic, n := range l.due {
		require.Equal(t, n, s.oracle.records(t, s.client, topic), topic)
	}
}
