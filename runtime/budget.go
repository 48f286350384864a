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
	// holding is the sum of the partitions' weights, and caching the number of those of functions with states.
	holding, caching atomic.Int64
	spaces           spaces
}

const (
	// unackedBatches is how many times what a batch may have of outputs a partition may have committed and not acknowledged.
	unackedBatches = 2
	// halfShares is how many times half its share a partition may take in all: a share for messages that are read ahead, one
	// for those that a batch is made of, and half a share for the outputs of each batch.
	halfShares = 2 + 2 + inCompute + unackedBatches
	// A share is between these bounds, however many partitions there are.
	leastBuffer, mostBuffer = 256 << 10, 16 << 20
	leastCache              = 1 << 20
)

func newBudget(buffers, caches int) *budget {
	setDefault(&buffers, DefaultBufferBytes)
	setDefault(&caches, DefaultCacheBytes)
	return &budget{buffers: buffers, caches: caches}
}

// weight is how large the batches of a function are beside those of others. A row that many messages of a batch change is
// written once, so that large batches are worth more where there are rows.
func weight(f *Function) int {
	const plain, withRows = 1, 4
	if f.State != nil || len(f.Tables) > 0 {
		return withRows
	}
	return plain
}

// enter counts a partition until leave is called.
func (b *budget) enter(f *Function) (leave func()) {
	weight, caching := int64(weight(f)), int64(0)
	if f.State != nil {
		caching = 1
	}
	b.holding.Add(weight)
	b.caching.Add(caching)
	return func() {
		b.holding.Add(-weight)
		b.caching.Add(-caching)
	}
}

// buffer is what each buffer of a partition of such a weight may hold now, in bytes.
func (b *budget) buffer(weight int) int {
	return min(mostBuffer, max(leastBuffer, 2*b.buffers*weight/(halfShares*max(weight, int(b.holding.Load())))))
}

// cache is what the cache of a partition may hold now, in bytes.
func (b *budget) cache() int { return max(leastCache, b.caches/int(max(1, b.caching.Load()))) }

// limits are the bounds of one partition: what its function's options say, and else its share of the budget.
type limits struct {
	options *Options
	budget  *budget
	weight  int
}

func (l limits) share() int      { return l.budget.buffer(l.weight) }
func (l limits) queueBytes() int { return orElse(l.options.QueueBytes, l.share) }
func (l limits) batchBytes() int { return orElse(l.options.BatchBytes, l.share) }

// outputBytes bounds the outputs of a batch.
func (l limits) outputBytes() int {
	return orElse(l.options.BatchBytes, func() int { return l.share() / 2 })
}
func (l limits) cacheBytes() int { return orElse(l.options.CacheBytes, l.budget.cache) }

func orElse(knob int, otherwise func() int) int {
	if knob > 0 {
		return knob
	}
	return otherwise()
}
