package runtime

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// checkCache holds the cache's books against what is in it.
func checkCache(t require.TestingT, c *cache) {
	require.Len(t, c.ring, len(c.entries))
	bytes := 0
	for i, e := range c.ring {
		require.Same(t, e, c.entries[e.key])
		require.Equal(t, i, e.place)
		bytes += e.size
	}
	require.Equal(t, bytes, c.bytes)
}

func TestCacheKeepsWhatItMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 20*entryOverhead).Draw(t, "limit")
		c := newCache(func() int { return limit })
		committed := int64(0)
		newest := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				e := c.find([]byte(strconv.Itoa(rapid.IntRange(0, 50).Draw(t, "key"))))
				e.batch = newest
				c.resize(e, rapid.IntRange(0, 3*entryOverhead).Draw(t, "size"))
			},
			"look": func(t *rapid.T) { c.find([]byte(strconv.Itoa(rapid.IntRange(0, 50).Draw(t, "key")))) },
			"hand": func(*rapid.T) { newest++ },
			"commit": func(*rapid.T) {
				committed = newest
			},
			"drop": func(t *rapid.T) {
				if e := c.entries[strconv.Itoa(rapid.IntRange(0, 50).Draw(t, "key"))]; e != nil {
					c.drop(e)
				}
			},
			"shrink": func(t *rapid.T) {
				kept := map[string]bool{}
				for key, e := range c.entries {
					if e.batch >= committed {
						kept[key] = true
					}
				}
				c.shrink(committed)
				for key := range kept {
					require.Contains(t, c.entries, key, "a state that is not committed must stay")
				}
				if c.bytes > limit {
					require.Len(t, c.entries, len(kept), "over the limit only for what must stay")
				}
			},
			"": func(t *rapid.T) { checkCache(t, c) },
		})
	})
}

func TestCacheEvictsWhatIsNotUsed(t *testing.T) {
	c := newCache(func() int { return 10 * (entryOverhead + 1) })
	hot := c.find([]byte("h"))
	for i := range 100 {
		c.find([]byte{byte(i)})
		require.Same(t, hot, c.find([]byte("h")), "it is used all the time")
		c.shrink(1)
		require.LessOrEqual(t, c.bytes, c.limit(), "what is not used has to go")
	}
}
