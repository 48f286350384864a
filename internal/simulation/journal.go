package simulation

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"
)

// journal keeps what has an effect in a run, in the order of virtual time.
type journal struct {
	// kept says that there is one; it takes time.
	kept    bool
	start   time.Time
	mutex   sync.Mutex
	entries []entry
}

// entry is one thing that had an effect.
type entry struct {
	at   time.Duration
	lane lane
	text string
	// wrong says that something went wrong.
	wrong bool
}

func (j *journal) add(l lane, wrong bool, text func() string) {
	if !j.kept {
		return
	}
	e := entry{at: time.Since(j.start), lane: l, text: text(), wrong: wrong}
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.entries = append(j.entries, e)
}

// sorted returns the entries in their order. What several lanes made of one call at its moment has no order of its own.
func (j *journal) sorted() []entry {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	entries := slices.Clone(j.entries)
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.lane.number(), b.lane.number()), cmp.Compare(a.lane.tenure, b.lane.tenure))
	})
	return entries
}

// trace is a number of all that had an effect: of each call when it was made, by whom, with what, and what came of it.
func (j *journal) trace() uint64 {
	h := fnv.New64a()
	var number [16]byte
	for _, e := range j.sorted() {
		binary.BigEndian.PutUint64(number[:8], uint64(e.at))
		binary.BigEndian.PutUint64(number[8:], e.lane.number())
		_, _ = h.Write(number[:])
		_, _ = h.Write([]byte(e.text))
	}
	return h.Sum64()
}

// tell notes what happens besides calls.
func (w *world) tell(l lane, format string, args ...any) {
	w.journal.add(l, false, func() string { return fmt.Sprintf(format, args...) })
}
