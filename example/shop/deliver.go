package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/kappaflows/flows/runtime/producer"
)

// counter is where messages for the shop are handed in: orders by HTTP where there is a URL, and everything else, with
// what no client of HTTP would send, into the topics.
type counter struct {
	producer *producer.Producer
	url      string
	client   *http.Client
}

// deliver hands in events, at most rate a second; 0 is as fast as it goes. It returns when all are taken.
func (c *counter) deliver(ctx context.Context, events iter.Seq[event], rate float64) error {
	start, n := time.Now(), 0
	for e := range events {
		if rate > 0 {
			due := start.Add(time.Duration(float64(n) / rate * float64(time.Second)))
			if err := pause(ctx, time.Until(due)); err != nil {
				return err
			}
		}
		if err := c.hand(ctx, e); err != nil {
			return err
		}
		n++
	}
	return c.producer.Flush(ctx)
}

func (c *counter) hand(ctx context.Context, e event) error {
	if c.url == "" || !e.request {
		return c.producer.Send(ctx, e.spec, e.output)
	}
	for attempt := range attempts {
		err := c.post(ctx, e)
		if !errors.Is(err, errAgain) || attempt == attempts-1 {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// attempts is how often an order is posted that was not answered.
const attempts = 30

// errAgain says that it is not known whether an order was taken: posted again with the same key, it is taken once.
var errAgain = errors.New("not taken yet")

// post sends an order once.
func (c *counter) post(ctx context.Context, e event) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/orders", bytes.NewReader(e.output.Value))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", string(e.output.Key))
	answer, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	switch {
	case err != nil || answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusConflict:
		return fmt.Errorf("%w: %s: %s", errAgain, answer.Status, body)
	case answer.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("order %s: %s: %s", e.output.Key, answer.Status, body)
	default:
		return nil
	}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
