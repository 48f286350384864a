package kafka

import (
	"context"
	"errors"
	gort "runtime"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

// readers are all readers of a Log. Each is in a lane of its partition's leader, or homeless while that is looked for.
type readers struct {
	log     *Log
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	lanes    map[string][]*lane
	homeless []*reader
	seeking  bool
}

// maxLanes is how many lanes a broker gets before readers share them; each decodes what it fetches by itself.
const maxLanes = 4

func newReaders(l *Log) *readers {
	r := &readers{log: l, lanes: map[string][]*lane{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// close ends all lanes and waits for them; their connections must be cut already.
func (rs *readers) close() {
	rs.mu.Lock()
	rs.cancel()
	rs.mu.Unlock()
	rs.running.Wait()
}

// place puts a reader in a lane of its partition's leader.
func (rs *readers) place(r *reader) error {
	leader, epoch, err := rs.log.client.LeaderAndEpoch(r.Topic, r.Partition)
	if err != nil {
		return err
	}
	r.epoch = epoch
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.ctx.Err() != nil {
		return errClosed
	}
	return rs.join(r, leader.Addr())
}

// join picks the lane with the fewest readers. A partition is in a lane once: a request can't name it twice.
func (rs *readers) join(r *reader, address string) error {
	var least *lane
	lanes := rs.lanes[address]
	for _, l := range lanes {
		if !l.reads(r.TopicPartition) && (least == nil || len(l.members) < len(least.members)) {
			least = l
		}
	}
	if least == nil || len(lanes) < min(maxLanes, gort.GOMAXPROCS(0)) {
		least = &lane{readers: rs, address: address, broker: sarama.NewBroker(address), wake: make(chan struct{}, 1)}
		if err := least.broker.Open(rs.log.settings); err != nil {
			return err
		}
		rs.lanes[address] = append(lanes, least)
		rs.running.Go(least.run)
	}
	least.members = append(least.members, r)
	r.moveTo(least)
	least.poke()
	return nil
}

// retire forgets a lane if it has no readers, or whatever it has.
func (rs *readers) retire(l *lane, anyway bool) (members []*reader, retired bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(l.members) > 0 && !anyway {
		return nil, false
	}
	rs.lanes[l.address] = slices.DeleteFunc(rs.lanes[l.address], func(other *lane) bool { return other == l })
	members, l.members = l.members, nil
	return members, true
}

// adopt takes readers that lost their lane, and looks for another one.
func (rs *readers) adopt(lost []*reader) {
	for _, r := range lost {
		r.moveTo(nil)
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.homeless = append(rs.homeless, lost...)
	if len(rs.homeless) > 0 && !rs.seeking && rs.ctx.Err() == nil {
		rs.seeking = true
		rs.running.Go(rs.seek)
	}
}

// seek finds lanes until no reader is homeless.
func (rs *readers) seek() {
	const first, most = 50 * time.Millisecond, 2 * time.Second
	for pause := first; runtime.Sleep(rs.ctx, runtime.WallClock, pause); {
		rs.mu.Lock()
		homeless := rs.homeless
		rs.homeless, rs.seeking = nil, len(homeless) > 0
		rs.mu.Unlock()
		if len(homeless) == 0 {
			return
		}
		left := rs.replace(homeless)
		if pause = first; len(left) > 0 {
			pause = min(most, 2*pause)
		}
		rs.mu.Lock()
		rs.homeless = append(rs.homeless, left...)
		rs.mu.Unlock()
	}
}

// replace places readers anew and returns those for which that failed.
func (rs *readers) replace(homeless []*reader) (left []*reader) {
	refreshed := map[string]error{}
	for _, r := range homeless {
		if done, _ := r.state(); done {
			continue
		}
		if _, ok := refreshed[r.Topic]; !ok {
			refreshed[r.Topic] = rs.log.client.RefreshMetadata(r.Topic)
		}
		err := refreshed[r.Topic]
		if err == nil {
			err = rs.place(r)
		}
		if err != nil {
			r.fail(r.excuse(err))
			left = append(left, r)
		}
	}
	return left
}

// excuse makes an unknown topic a passing error for a while.
func (r *reader) excuse(err error) error {
	if !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		r.unknown = time.Time{}
		return err
	}
	if r.unknown.IsZero() {
		r.unknown = time.Now()
	}
	if time.Since(r.unknown) < unknownPatience {
		return sarama.ErrLeaderNotAvailable
	}
	return err
}
