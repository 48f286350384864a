package oracle

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
)

// Counting judges a word count: of every key that comes in n times, the outputs must read 1, 2, ... n, each once and in
// this order, and the table must hold n. All input is told before the first output and the first row.
type Counting struct {
	keys            map[string]*counted
	inputs, outputs int
}

// counted is what is known of one key.
type counted struct {
	// times says how often each number came out; its length is how often the key came in.
	times []uint8
	// highest is the largest number that came out.
	highest int
	faults  Faults
	row     bool
}

func (c *Counting) key(key string) *counted {
	if c.keys == nil {
		c.keys = map[string]*counted{}
	}
	k := c.keys[key]
	if k == nil {
		k = &counted{}
		c.keys[key] = k
	}
	return k
}

// Input tells of a key that came in.
func (c *Counting) Input(key string) {
	k := c.key(key)
	k.times = append(k.times, 0)
	c.inputs++
}

// Output tells of an output, in the order of its partition.
func (c *Counting) Output(key, value string) {
	c.outputs++
	k := c.key(key)
	n, err := strconv.Atoi(value)
	switch {
	case err != nil || n < 1:
		k.faults.Wrong++
	case n > len(k.times) || k.times[n-1] > 0:
		// More than came in: something was counted twice.
		k.faults.Doubled++
	case n < k.highest:
		k.faults.Reordered++
	}
	if err == nil && n >= 1 && n <= len(k.times) {
		k.times[n-1] = min(k.times[n-1], 1) + 1
		k.highest = max(k.highest, n)
	}
}

// Row tells of a row of the table.
func (c *Counting) Row(key, value string) {
	k := c.key(key)
	if k.row || strconv.Itoa(len(k.times)) != value {
		k.faults.Wrong++
	}
	k.row = true
}

// Report says what is wrong, once everything is told.
func (c *Counting) Report() Report {
	r := newReport(c.inputs, c.outputs)
	for key, k := range c.keys {
		for _, times := range k.times {
			if times == 0 {
				k.faults.Lost++
			}
		}
		if !k.row && len(k.times) > 0 {
			k.faults.Wrong++
		}
		r.add(key, k.faults)
	}
	return r
}

// Copying judges what is handed on: everything must come out as often as it came in. Its order is not judged: what is the
// same can't be told apart.
type Copying struct {
	left            map[string]int
	inputs, outputs int
}

// Input tells of something that came in.
func (c *Copying) Input(what string) {
	c.count(what, 1)
	c.inputs++
}

// Output tells of something that came out.
func (c *Copying) Output(what string) {
	c.count(what, -1)
	c.outputs++
}

func (c *Copying) count(what string, n int) {
	if c.left == nil {
		c.left = map[string]int{}
	}
	c.left[what] += n
}

// Report says what is wrong, once everything is told.
func (c *Copying) Report() Report {
	r := newReport(c.inputs, c.outputs)
	for key, left := range c.left {
		r.add(key, Faults{Lost: max(0, left), Doubled: max(0, -left)})
	}
	return r
}

// sorted returns the keys of a map in order.
func sorted[K cmp.Ordered, V any](of map[K]V) []K { return slices.Sorted(maps.Keys(of)) }
