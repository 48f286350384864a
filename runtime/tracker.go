package runtime

import (
	"slices"
	"sync"
)

// tracker keeps what Engine.Status tells of one function.
type tracker struct {
	function *Function
	clock    Clock

	mutex      sync.Mutex
	joined     bool
	partitions map[TopicPartition]*partitionTracker
}

func newTracker(function *Function, clock Clock) *tracker {
	return &tracker{function: function, clock: clock, partitions: map[TopicPartition]*partitionTracker{}}
}

// assigned notes how many partitions the group has given, -1 where membership is lost.
func (t *tracker) assigned(partitions int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.joined = partitions >= 0
}

// left notes that the function is no member of its group any more.
func (t *tracker) left() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.joined = false
}

// own starts keeping the status of a partition; the returned function ends it.
func (t *tracker) own(key TopicPartition) (*partitionTracker, func()) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	p := &partitionTracker{
		tracker: t,
		status:  PartitionStatus{TopicPartition: key, Since: t.clock.Now(), Next: -1, Lag: -1},
		end:     func() int64 { return -1 },
	}
	t.partitions[key] = p
	return p, func() {
		t.mutex.Lock()
		defer t.mutex.Unlock()
		if t.partitions[key] == p {
			delete(t.partitions, key)
		}
	}
}

func (t *tracker) snapshot() Status {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	s := Status{Function: t.function.Name, Kind: t.function.Kind, Joined: t.joined}
	for _, p := range t.partitions {
		s.Partitions = append(s.Partitions, p.snapshot())
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionStatus) int { return a.Compare(b.TopicPartition) })
	return s
}

// partitionTracker keeps the status of one partition.
type partitionTracker struct {
	tracker *tracker
	status  PartitionStatus
	// end returns where the partition ends, -1 where that is not known.
	end func() int64
	// entered is the phase that retrying interrupts.
	entered Phase
}

func (p *partitionTracker) enter(phase Phase) {
	p.tracker.mutex.Lock()
	defer p.tracker.mutex.Unlock()
	p.entered = phase
	p.set(phase, "")
}

func (p *partitionTracker) retrying(reason string) {
	p.tracker.mutex.Lock()
	defer p.tracker.mutex.Unlock()
	p.set(Retrying, reason)
}

// resume ends retrying.
func (p *partitionTracker) resume() {
	p.tracker.mutex.Lock()
	defer p.tracker.mutex.Unlock()
	p.set(p.entered, "")
}

func (p *partitionTracker) set(phase Phase, reason string) {
	if p.status.Phase != phase {
		p.status.Phase, p.status.Since = phase, p.tracker.clock.Now()
	}
	p.status.Reason = reason
}

func (p *partitionTracker) caching(bytes int) {
	p.tracker.mutex.Lock()
	defer p.tracker.mutex.Unlock()
	p.status.CacheBytes = bytes
}

// reading notes where reading begins, and from whom to learn where the partition ends.
func (p *partitionTracker) reading(next int64, end func() int64) {
	p.tracker.mutex.Lock()
	defer p.tracker.mutex.Unlock()
	p.status.Next, p.end = next, end
}

func (p *partitionTracker) progress(next int64) {
	p.tracker.mutex.Lock()
	defer p.tracker.mutex.Unlock()
	p.status.Next = next
}

// snapshot is the status with the lag of now, which grows while the partition waits for something.
func (p *partitionTracker) snapshot() PartitionStatus {
	s := p.status
	if end := p.end(); end >= 0 && s.Next >= 0 {
		s.Lag = max(0, end-s.Next)
	}
	return s
}
