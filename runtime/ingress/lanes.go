package ingress

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/kappaflows/flows/runtime"
)

// lane is a producer identity with the sequences to go on with. One request at a time has it.
//
// What a lane sent last on a partition is the only thing of it that may be in doubt: a lane whose request did not get an
// answer is never used again. So a pending request is always the last of its identity, which the broker remembers
// even after a restart.
type lane struct {
	identity runtime.Identity
	doors    map[runtime.TopicPartition]door
}

// door is where a lane is in a partition: its next sequence, and an offset that what it sends next is not below.
type door struct {
	next int32
	from int64
}

// lanes are the lanes of a process, as many as there were keyed requests at once.
type lanes struct {
	log runtime.Log
	// turns bounds the lanes: the broker remembers each identity for a day.
	turns chan struct{}

	mutex sync.Mutex
	idle  []*lane
}

const mostLanes = 64

func newLanes(log runtime.Log) *lanes { return &lanes{log: log, turns: make(chan struct{}, mostLanes)} }

// take waits for a lane; give or drop takes it back.
func (l *lanes) take(ctx context.Context) (*lane, error) {
	select {
	case l.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mutex.Lock()
	if n := len(l.idle); n > 0 {
		// The one that was used last, so that few are used.
		taken := l.idle[n-1]
		l.idle = l.idle[:n-1]
		l.mutex.Unlock()
		return taken, nil
	}
	l.mutex.Unlock()
	identity, err := l.log.NewIdentity(ctx)
	if err != nil {
		l.drop()
		return nil, fmt.Errorf("producer identity: %w", err)
	}
	return &lane{identity: identity, doors: map[runtime.TopicPartition]door{}}, nil
}

// give takes back a lane of which nothing is in doubt.
func (l *lanes) give(taken *lane) {
	l.mutex.Lock()
	l.idle = append(l.idle, taken)
	l.mutex.Unlock()
	<-l.turns
}

// drop takes back the turn of a lane that is not used again.
func (l *lanes) drop() { <-l.turns }

// door returns where the lane is in a partition.
func (l *lane) door(ctx context.Context, log runtime.Log, at runtime.TopicPartition) (door, error) {
	if d, known := l.doors[at]; known {
		return d, nil
	}
	_, end, err := log.Bounds(ctx, at)
	if err != nil {
		return door{}, fmt.Errorf("bounds of topic %s partition %d: %w", at.Topic, at.Partition, err)
	}
	d := door{from: end}
	l.doors[at] = d
	return d, nil
}

// sent notes that one record was appended.
func (l *lane) sent(at runtime.TopicPartition, sequence int32, offset int64) {
	d := door{from: max(offset, l.doors[at].from)}
	if sequence < math.MaxInt32 {
		d.next = sequence + 1
	}
	l.doors[at] = d
}
