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
	partitions map[TopicPartition]*PartitionStatus
}

func newTracker(function *Function, clock Clock) *tracker {
	return &tracker{function: function, clock: clock, partitions: map[TopicPartition]*PartitionStatus{}}
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
	status := &PartitionStatus{TopicPartition: key, Since: t.clock.Now(), Next: -1, Lag: -1}
	t.partitions[key] = status
	return &partitionTracker{tracker: t, status: status}, func() {
		t.mutex.Lock()
		defer t.mutex.Unlock()
		if t.partitions[key] == status {
			delete(t.partitions, key)
		}
	}
}

func (t *tracker) snapshot() Status {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	s := Status{Function: t.function.Name, Kind: t.function.Kind, Joined: t.joined}
	for _, p := range t.partitions {
		s.Partitions = append(s.Partitions, *p)
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionStatus) int { return a.Compare(b.TopicPartition) })
	return s
}

// partitionTracker keeps the status of one partition.
type partitionTracker struct {
	tracker *tracker
	status  *PartitionStatus
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

func (p *partitionTracker) progress(next, lag int64) {
	p.tracker.mutex.Lock()
	defer p.tracker.mutex.Unlock()
	p.status.Next, p.status.Lag = next, lag
}
