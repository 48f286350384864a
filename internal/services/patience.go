package services

import (
	"context"
	"testing"
	"time"
)

// lastWords is the time that a test has to say what took too long.
const lastWords = 5 * time.Second

// WithPatience returns a context that ends where something takes longer than it may, or before the test binary's own time
// is up.
func WithPatience(t *testing.T, patience time.Duration) context.Context {
	end := time.Now().Add(patience)
	if last, limited := t.Deadline(); limited && last.Add(-lastWords).Before(end) {
		end = last.Add(-lastWords)
	}
	ctx, cancel := context.WithDeadline(t.Context(), end)
	t.Cleanup(cancel)
	return ctx
}
