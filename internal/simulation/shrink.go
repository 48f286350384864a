package simulation

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"time"
)

// shrink returns a smaller schedule that fails as s does, by leaving out events, faults, words and parts of the plan for as
// long as anything can be left out, or until so many schedules are tried. fails runs a schedule and says what the check
// found.
func shrink(s schedule, happened map[call]fault, fails func(schedule) error, tries int) schedule {
	s.faults = happened
	k := &shrinker{smallest: s, fails: fails, tries: tries, failure: kindOf(fails(s))}
	for before := -1; k.size() != before && k.tries > 0; {
		before = k.size()
		k.leaveOutEvents()
		k.leaveOutFaults()
		k.hurry()
		k.haveFaultsEarlier()
		k.simplify()
		k.leaveOutWords()
	}
	return k.smallest
}

// shrinker has the smallest schedule that failed so far.
type shrinker struct {
	smallest schedule
	fails    func(schedule) error
	tries    int
	// failure is what the check finds, without names and numbers.
	failure string
}

var particular = regexp.MustCompile(`"[^"]*"|[0-9/]+|\n(?s).*`)

func kindOf(err error) string {
	if err == nil {
		return ""
	}
	return particular.ReplaceAllString(err.Error(), "")
}

// size counts what is left, and how late it comes.
func (k *shrinker) size() int {
	n := len(k.smallest.events) + len(k.smallest.faults)
	for _, e := range k.smallest.events {
		n += len(e.line.words) + int(e.at/tick)
	}
	for c := range k.smallest.faults {
		n += c.count
	}
	return n
}

// try takes a schedule if it fails, too, in the same way.
func (k *shrinker) try(s schedule) bool {
	if k.tries--; k.tries < 0 || kindOf(k.fails(s)) != k.failure {
		return false
	}
	k.smallest = s
	return true
}

func (k *shrinker) leaveOutEvents() {
	leaveOut(k.smallest.events, func(left []event) bool {
		s := k.smallest
		s.events = left
		return k.try(s)
	})
}

// calls are those that something goes wrong with.
func (s schedule) calls() []call {
	return slices.SortedFunc(maps.Keys(s.faults), func(a, b call) int {
		return cmp.Or(cmp.Compare(a.number(), b.number()), cmp.Compare(a.tenure, b.tenure), cmp.Compare(a.count, b.count))
	})
}

// haveFaultsEarlier lets things go wrong with earlier calls, so that others need not come before.
func (k *shrinker) haveFaultsEarlier() {
	for _, c := range k.smallest.calls() {
		for _, count := range []int{1, c.count / 2, c.count - 1} {
			earlier := call{lane: c.lane, count: count}
			if _, taken := k.smallest.faults[earlier]; taken || count < 1 || count >= c.count {
				continue
			}
			s := k.smallest
			s.faults = maps.Clone(s.faults)
			s.faults[earlier] = s.faults[c]
			delete(s.faults, c)
			if k.try(s) {
				break
			}
		}
	}
}

// hurry lets events come sooner after one another.
func (k *shrinker) hurry() {
	const soon = 20 * tick
	for i := range k.smallest.events {
		before := time.Duration(0)
		if i > 0 {
			before = k.smallest.events[i-1].at
		}
		gap := k.smallest.events[i].at - before
		for _, less := range []time.Duration{gap - soon, (gap / 2).Truncate(tick)} {
			if less < soon {
				continue
			}
			s := k.smallest
			s.events = slices.Clone(s.events)
			for later := i; later < len(s.events); later++ {
				s.events[later].at -= less
			}
			if k.try(s) {
				break
			}
		}
	}
}

func (k *shrinker) leaveOutFaults() {
	faults := k.smallest.faults
	leaveOut(k.smallest.calls(), func(left []call) bool {
		s := k.smallest
		s.faults = map[call]fault{}
		for _, c := range left {
			s.faults[c] = faults[c]
		}
		return k.try(s)
	})
}

func (k *shrinker) leaveOutWords() {
	for i := range k.smallest.events {
		leaveOut(k.smallest.events[i].line.words, func(left []string) bool {
			s := k.smallest
			s.events = slices.Clone(s.events)
			s.events[i].line.words = left
			return k.try(s)
		})
	}
}

// simplify changes the plan in one way after the other.
func (k *shrinker) simplify() {
	for _, change := range []func(*plan){
		func(p *plan) { p.authors = false },
		func(p *plan) { p.rows = false },
		func(p *plan) { p.pair = false },
		func(p *plan) { p.awake = false },
		func(p *plan) { p.stops = false },
		func(p *plan) { p.restarts = false },
		func(p *plan) { p.trouble = 0 },
		func(p *plan) { p.inputs = 1 },
		func(p *plan) { p.middles = 1 },
		func(p *plan) { p.outputs = 1 },
		func(p *plan) { p.maxBytes = 1 << 20 },
		func(p *plan) { p.batchMessages, p.batchBytes = 100, 0 },
		func(p *plan) { p.cacheBytes = 0 },
		func(p *plan) { p.drainTimeout = 0 },
	} {
		s := k.smallest
		if change(&s.plan); s.plan != k.smallest.plan {
			k.try(s)
		}
	}
}

// leaveOut takes pieces away from a list, large ones first, as long as try says that what is left will do. It is the
// minimising delta debugging of Zeller and Hildebrandt.
func leaveOut[T any](list []T, try func(left []T) bool) {
	for size := (len(list) + 1) / 2; size > 0; size /= 2 {
		for at := 0; at < len(list); {
			left := slices.Concat(list[:at], list[min(len(list), at+size):])
			if try(left) {
				list = left
			} else {
				at += size
			}
		}
	}
}
