package kafka

import (
	"errors"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

const (
	// idleWait is how long a broker may hold a request for which it has nothing, and busyWait how long it may while a
	// reader that is full may want more at any moment.
	idleWait, busyWait = 100 * time.Millisecond, 10 * time.Millisecond
	// endsEvery is how often a broker is asked where the partitions end of which nothing is fetched, since their readers are full.
	endsEvery = time.Second
	// mostAnswer bounds one answer, as brokers do by themselves (fetch.max.bytes).
	mostAnswer = 48 << 20
	// largestFetch is as far as a request grows for a record batch that does not fit.
	largestFetch = 256 << 20
)

// lane is one connection to a broker on which some readers are served, with one request for all of them.
type lane struct {
	readers *readers
	address string
	broker  *sarama.Broker
	wake    chan struct{}
	// asked is when the broker was last asked where partitions end.
	asked time.Time
	// members is guarded by readers.mu.
	members []*reader
}

func (l *lane) reads(partition runtime.TopicPartition) bool {
	return slices.ContainsFunc(l.members, func(r *reader) bool { return r.TopicPartition == partition })
}

// poke makes an idle lane look again.
func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run fetches until the lane has no readers or its connection fails.
func (l *lane) run() {
	defer func() { _ = l.broker.Close() }() // nobody waits for an answer
	for l.readers.ctx.Err() == nil {
		hungry, full := l.appetites()
		if err := l.askEnds(full); err != nil {
			l.fail(err)
			return
		}
		switch {
		case len(hungry) > 0:
			if err := l.fetch(hungry, len(full) > 0); err != nil {
				l.fail(err)
				return
			}
		case len(full) > 0:
			select {
			case <-l.wake:
			case <-time.After(endsEvery):
			case <-l.readers.ctx.Done():
			}
		default:
			if _, retired := l.readers.retire(l, false); retired {
				return
			}
		}
	}
}

// fail ends the lane; its readers look elsewhere.
func (l *lane) fail(err error) {
	members, _ := l.readers.retire(l, true)
	if l.readers.ctx.Err() != nil {
		return
	}
	l.readers.log.logger.Warn("reading interrupted", "broker", l.address, "error", err)
	for _, r := range members {
		r.fail(err)
	}
	l.readers.adopt(members)
}

// appetites returns the readers that want more and those that do not now, and drops those that never will.
func (l *lane) appetites() (hungry, full []*reader) {
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	l.members = slices.DeleteFunc(l.members, func(r *reader) bool {
		done, isFull := r.state()
		if done {
			return true
		}
		if isFull {
			full = append(full, r)
		} else {
			hungry = append(hungry, r)
		}
		return false
	})
	return hungry, full
}

// askEnds learns where the partitions of full readers end, from time to time: how far behind a function is that waits for its
// database is seen by that alone.
func (l *lane) askEnds(full []*reader) error {
	if len(full) == 0 || time.Since(l.asked) < endsEvery {
		return nil
	}
	l.asked = time.Now()
	request := sarama.NewOffsetRequest(l.readers.log.settings.Version)
	for _, r := range full {
		request.AddBlock(r.Topic, r.Partition, sarama.OffsetNewest, 1)
	}
	response, err := l.broker.GetAvailableOffsets(request)
	if err != nil {
		return err
	}
	for _, r := range full {
		// What is wrong with a partition is found out when more is fetched of it.
		if block := response.GetBlock(r.Topic, r.Partition); block != nil && block.Err == sarama.ErrNoError {
			r.end.Store(max(block.Offset, r.end.Load()))
		}
	}
	return nil
}

func (l *lane) fetch(hungry []*reader, full bool) error {
	wait := idleWait
	if full {
		wait = busyWait
	}
	request := &sarama.FetchRequest{
		Version: 12, SessionEpoch: -1, Isolation: sarama.ReadCommitted,
		MinBytes: 1, MaxWaitTime: int32(wait / time.Millisecond),
	}
	for _, r := range hungry {
		request.AddBlock(r.Topic, r.Partition, r.next, r.fetch, r.epoch)
		request.MaxBytes = min(mostAnswer, request.MaxBytes+r.fetch)
	}
	response, err := l.broker.Fetch(request)
	if err != nil {
		return err
	}
	if response.ErrorCode != 0 {
		return sarama.KError(response.ErrorCode)
	}
	l.distribute(hungry, response)
	return nil
}

// distribute gives each reader its part of an answer; those whose partition is no longer here look elsewhere.
func (l *lane) distribute(hungry []*reader, response *sarama.FetchResponse) {
	parts := make([]part, len(hungry))
	total := 0
	for i, r := range hungry {
		parts[i] = r.part(response.GetBlock(r.Topic, r.Partition))
		total += parts[i].shared
	}
	for i, r := range hungry {
		if err := parts[i].err; err != nil {
			l.lose(r, err)
			continue
		}
		// A few messages must not keep the bytes of a large answer alive.
		if parts[i].shared > 0 && 2*parts[i].shared < total {
			parts[i].detach()
		}
		r.lost = false
		r.append(parts[i].block)
	}
}

// lose lets go of a reader: for good, or for another broker. A partition that has moved, or whose leader is new, is no
// trouble to speak of when it happens once.
func (l *lane) lose(r *reader, err error) {
	if _, final := decisions[asCode(err)]; final && asCode(err) != sarama.ErrUnknownTopicOrPartition {
		r.fail(err)
		return
	}
	l.readers.mu.Lock()
	l.members = slices.DeleteFunc(l.members, func(other *reader) bool { return other == r })
	l.readers.mu.Unlock()
	if err = r.excuse(err); r.lost || !errors.Is(meaning(err), runtime.ErrUnavailable) {
		r.fail(err)
	}
	r.lost = true
	l.readers.adopt([]*reader{r})
}
