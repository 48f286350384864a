package runtime

import "sync/atomic"

// Defaults of Config's bounds on memory.
const (
	DefaultBufferBytes = 256 << 20
	DefaultCacheBytes  = 256 << 20
)

// budget shares what an engine may keep in memory among the partitions that it holds. The fewer there are, the larger
// are their batches when they are behind, and the more messages does one transaction pay for.
type budget struct {
	buffers, caches int
	// holding counts partitions, and caching those of functions with states.
	holding, caching atomic.Int64
}

const (
	// buffersEach is how many times its share a partition may take: messages that are read ahead and those that a batch is
	// made of, and the outputs of as many batches as there are.
	buffersEach = 2 + inFlight + 2
	// A share is between these bounds, however many partitions there are.
	leastBuffer, mostBuffer = 256 << 10, 16 << 20
	leastCache              = 1 << 20
)

func newBudget(buffers, caches int) *budget {
	setDefault(&buffers, DefaultBufferBytes)
	setDefault(&caches, DefaultCacheBytes)
	return &budget{buffers: buffers, caches: caches}
}

// enter counts a partition until leave is called.
func (b *budget) enter(f *Function) (leave func()) {
	caching := int64(0)
	if f.State != nil {
		caching = 1
	}
	b.holding.Add(1)
	b.caching.Add(caching)
	return func() {
		b.holding.Add(-1)
		b.caching.Add(-caching)
	}
}

// buffer is what each buffer of a partition may hold now, in bytes.
func (b *budget) buffer() int {
	return min(mostBuffer, max(leastBuffer, b.buffers/(buffersEach*int(max(1, b.holding.Load())))))
}

// cache is what the cache of a partition may hold now, in bytes.
func (b *budget) cache() int { return max(leastCache, b.caches/int(max(1, b.caching.Load()))) }

// limits are the bounds of one partition: what its function's options say, and else its share of the budget.
type limits struct {
	options *Options
	budget  *budget
}

func (l limits) queueBytes() int { return orElse(l.options.QueueBytes, l.budget.buffer) }
func (l limits) batchBytes() int { return orElse(l.options.BatchBytes, l.budget.buffer) }
func (l limits) cacheBytes() int { return orElse(l.options.CacheBytes, l.budget.cache) }

func orElse(knob int, otherwise func() int) int {
	if knob > 0 {
		return knob
	}
	return otherwise()
}
