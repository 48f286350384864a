package runtime

// cache holds the decoded states of one partition. It is used by one goroutine.
//
// It is our own because of two rules that a general cache does not have: a state that is not committed yet must not be
// evicted, since loading it again would give an older one; and the whole cache is forgotten when a commit fails.
// Eviction is by the clock algorithm: one bit an entry, no list to keep in order on every hit.
type cache struct {
	entries map[string]*entry
	// ring holds every entry once, in no order; hand is where the next search for one to evict begins.
	ring  []*entry
	hand  int
	bytes int
	// limit is how many bytes there may be; it may change.
	limit func() int
}

// entry is the state of one key.
type entry struct {
	key string
	// state is what State.New or State.Decode returned.
	state any
	// version is the row's once all batches up to this one are committed; stored says that there will be a row.
	version int64
	stored  bool
	// loaded says that state is known; an entry is made before its row is read.
	loaded bool
	// used is the clock algorithm's bit.
	used bool
	// batch is the ordinal of the last batch that changed the state.
	batch int64
	size  int
	place int
}

// entryOverhead is about what an entry costs besides key and state: the entry, its place in map and ring, the state's
// own allocation.
const entryOverhead = 200

func newCache(limit func() int) *cache { return &cache{entries: map[string]*entry{}, limit: limit} }

// find returns the entry of a key, a new one that is not loaded where there is none.
func (c *cache) find(key []byte) *entry {
	if e := c.entries[string(key)]; e != nil {
		e.used = true
		return e
	}
	e := &entry{key: string(key), batch: -1, size: entryOverhead + len(key), place: len(c.ring)}
	c.entries[e.key] = e
	c.ring = append(c.ring, e)
	c.bytes += e.size
	return e
}

// resize tells how many bytes a state takes when encoded, which stands for what it takes decoded.
func (c *cache) resize(e *entry, state int) {
	size := entryOverhead + len(e.key) + state
	c.bytes += size - e.size
	e.size = size
}

// shrink evicts until the cache is within its limit. Only states that batches before committed changed are evicted,
// so that the cache is over its limit for as long as more than that waits to be committed.
func (c *cache) shrink(committed int64) {
	limit := c.limit()
	for tries := 2 * len(c.ring); c.bytes > limit && tries > 0; tries-- {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		e := c.ring[c.hand]
		if e.used || e.batch >= committed {
			e.used = false
			c.hand++
			continue
		}
		c.drop(e)
	}
}

// drop forgets an entry.
func (c *cache) drop(e *entry) {
	delete(c.entries, e.key)
	last := c.ring[len(c.ring)-1]
	c.ring[e.place], last.place = last, e.place
	c.ring[len(c.ring)-1] = nil
	c.ring = c.ring[:len(c.ring)-1]
	c.bytes -= e.size
}
