package topic

import "sync"

// arena hands out space for encoded records from large chunks, so that a record costs no allocation of its own. A chunk
// is never used again for other bytes: it is garbage when the last record in it is.
type arena struct{ chunks sync.Pool }

// chunk is a buffer that only grows at its end; earlier bytes belong to the records made of them.
type chunk struct{ bytes []byte }

const (
	chunkSize = 64 << 10
	// chunkLow is the room below which a chunk is given up, so that most records fit without growing it.
	chunkLow = 1 << 10
)

func newArena() *arena { return &arena{} }

func (a *arena) take() *chunk {
	if c, ok := a.chunks.Get().(*chunk); ok {
		return c
	}
	return &chunk{bytes: make([]byte, 0, chunkSize)}
}

func (a *arena) give(c *chunk) {
	if cap(c.bytes)-len(c.bytes) >= chunkLow && cap(c.bytes) <= chunkSize {
		a.chunks.Put(c)
	}
}
