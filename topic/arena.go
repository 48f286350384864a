package topic

import "sync"

// arena hands out space for encoded records from large chunks, so that a record costs no allocation of its own. A chunk
// is never used again for other bytes: it is garbage when the last record in it is.
type arena struct{ chunks sync.Pool }

// chunk is a buffer that is used from its beginning to its end; what is used belongs to the records made of it.
type chunk struct{ bytes []byte }

const (
	chunkSize = 64 << 10
	// chunkLow is the room below which a chunk is given up, so that most records fit.
	chunkLow = 1 << 10
	// recordBig is the size from which a record is given its own memory without the chunk being given up for it.
	recordBig = chunkSize / 8
)

func newArena() *arena { return &arena{} }

func (a *arena) take() *chunk {
	if c, ok := a.chunks.Get().(*chunk); ok {
		return c
	}
	return &chunk{bytes: make([]byte, 0, chunkSize)}
}

// give takes a chunk back when it has room for more.
func (a *arena) give(c *chunk) {
	if cap(c.bytes)-len(c.bytes) >= chunkLow {
		a.chunks.Put(c)
	}
}

// free returns the unused end of the chunk, to append to. What does not fit there is moved elsewhere by append, which
// leaves the chunk as it was.
func (c *chunk) free() []byte { return c.bytes[len(c.bytes):] }

// use marks n bytes of what free returned as used. Where they did not fit, the chunk is used up, unless n is so much
// that smaller records may well fit.
func (c *chunk) use(n int) {
	switch {
	case len(c.bytes)+n <= cap(c.bytes):
		c.bytes = c.bytes[:len(c.bytes)+n]
	case n < recordBig:
		c.bytes = c.bytes[:cap(c.bytes)]
	}
}
