package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

// leaveTimeout is how long a member that is done waits for its coordinator before it cuts the connection.
const leaveTimeout = 2 * time.Second

// unknownAttempts is how often a topic may be unknown to the brokers before a member gives up.
const unknownAttempts = 5

// member is one Join.
type member struct {
	log   *Log
	group runtime.Group
	own   func(context.Context, runtime.Held) error
	// ctx is done when the member is to leave, cancel makes it so.
	ctx    context.Context
	cancel context.CancelFunc
	client sarama.ConsumerGroup
	// coordinator is the client that knows the group's coordinator.
	coordinator sarama.Client
	// owning are the calls of own, held how many of them the group still waits for.
	owning sync.WaitGroup
	held   atomic.Int32

	failing sync.Once
	failure error
}

// Join implements runtime.Log.
func (l *Log) Join(ctx context.Context, group runtime.Group, own func(context.Context, runtime.Held) error) error {
	if len(group.Topics) == 0 {
		return fmt.Errorf("kafka: group %s: no topics", group.Name)
	}
	if group.Release == 0 {
		group.Release = defaultRelease
	}
	settings, connections := l.coordinatorSettings(group)
	defer connections.end()
	coordinator, err := sarama.NewClient(l.config.Brokers, settings)
	if err != nil {
		return classify("kafka: group "+group.Name, err)
	}
	defer func() { _ = coordinator.Close() }() // the member has left
	m := &member{log: l, group: group, own: own, coordinator: coordinator}
	m.ctx, m.cancel = context.WithCancel(ctx)
	defer m.cancel()
	client := &membershipClient{Client: l.client, coordinator: coordinator, settings: l.groupSettings(group, m.assigned)}
	if m.client, err = sarama.NewConsumerGroupFromClient(group.Name, client); err != nil {
		return classify("kafka: group "+group.Name, err)
	}
	m.stay(connections)
	m.owning.Wait()
	return m.failure
}

func (m *member) assigned(partitions int) {
	if m.group.Assigned != nil {
		m.group.Assigned(partitions)
	}
}

// stay keeps the member in its group until its context is done, then leaves. A coordinator that does not answer any
// more does not hold it up for long.
func (m *member) stay(connections *connections) {
	var others sync.WaitGroup
	defer others.Wait()
	left := make(chan struct{})
	others.Go(func() { m.cutOff(left, connections) })
	others.Go(m.report)
	defer close(left)
	m.rejoin()
	if err := m.client.Close(); err != nil {
		m.log.logger.Warn("group left without a word", "group", m.group.Name, "error", err)
	}
}

// report logs what goes wrong besides; what matters comes back from Consume.
func (m *member) report() {
	for err := range m.client.Errors() {
		m.log.logger.Warn("group", "group", m.group.Name, "error", err)
	}
}

// cutOff cuts the connections of a member that is to leave, has given everything back, and is still not gone: first those
// it has, since it may wait for a rebalance and can say goodbye on another one; then for good.
func (m *member) cutOff(left <-chan struct{}, connections *connections) {
	select {
	case <-left:
		return
	case <-m.ctx.Done():
	}
	cut := connections.cut
	for ticker := time.NewTicker(leaveTimeout); ; {
		select {
		case <-left:
			ticker.Stop()
			return
		case <-ticker.C:
			if m.held.Load() == 0 {
				cut()
				cut = connections.end
			}
		}
	}
}

// notMember is what Group.Assigned is told when membership is lost.
const notMember = -1

// rejoin joins again whenever membership ends, until the member is to leave.
func (m *member) rejoin() {
	const first, most = 100 * time.Millisecond, 3 * time.Second
	unknown := 0
	for pause := first; m.ctx.Err() == nil; {
		began := time.Now()
		err := m.client.Consume(m.ctx, m.group.Topics, m)
		if m.ctx.Err() != nil {
			return
		}
		m.assigned(notMember)
		if err == nil {
			err = errors.New("membership ended")
		}
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			unknown++
		} else {
			unknown = 0
		}
		if m.final(err, unknown) {
			m.fail(classify("kafka: group "+m.group.Name, err))
			return
		}
		if time.Since(began) > sessionTimeout {
			pause = first
		}
		m.log.logger.Warn("joining the group again", "group", m.group.Name, "after", pause, "error", plain(err))
		if !runtime.Sleep(m.ctx, runtime.WallClock, pause) {
			return
		}
		pause = min(most, 2*pause)
		// By itself the client goes on to ask the coordinator that it knows, which may be gone for good.
		if err := m.coordinator.RefreshCoordinator(m.group.Name); err != nil {
			m.log.logger.Warn("looking for the group's coordinator", "group", m.group.Name, "error", plain(err))
		}
	}
}

// final says whether trying again can't help.
func (m *member) final(err error, unknown int) bool {
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return unknown >= unknownAttempts
	}
	return !errors.Is(meaning(err), runtime.ErrUnavailable)
}

func (m *member) fail(err error) {
	m.failing.Do(func() { m.failure = err })
	m.cancel()
}

// Setup implements sarama.ConsumerGroupHandler.
func (m *member) Setup(sarama.ConsumerGroupSession) error { return nil }

// Cleanup implements sarama.ConsumerGroupHandler.
func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler. A claim is only a lease: it is paused at once, what it brings
// nevertheless is thrown away, and its end is that its messages end.
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	m.client.Pause(map[string][]int32{claim.Topic(): {claim.Partition()}})
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	m.held.Add(1)
	defer m.held.Add(-1)
	done := m.start(ctx, m.lease(session, claim))
	for open, ended := true, session.Context().Done(); open; {
		select {
		case _, open = <-claim.Messages():
		case <-ended:
			open = false
		}
	}
	cancel()
	release := time.NewTimer(m.group.Release)
	defer release.Stop()
	select {
	case <-done:
	case <-release.C:
		m.log.logger.Warn("partition given back before its owner was done", "group", m.group.Name,
			"topic", claim.Topic(), "partition", claim.Partition(), "after", m.group.Release)
	}
	return nil
}

// start runs own; the channel is closed when it has returned.
func (m *member) start(ctx context.Context, held runtime.Held) <-chan struct{} {
	done := make(chan struct{})
	m.owning.Go(func() {
		defer close(done)
		if err := m.own(ctx, held); err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
			m.fail(err)
		}
	})
	return done
}

// lease returns what own gets. Marks go to sarama's own bookkeeping, which never goes back by itself; the first one
// may have to, when the function was told to begin elsewhere.
func (m *member) lease(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) runtime.Held {
	var mu sync.Mutex
	last := int64(-1)
	name, partition := claim.Topic(), claim.Partition()
	return runtime.Held{
		TopicPartition: runtime.TopicPartition{Topic: name, Partition: partition},
		Mark: func(offset int64) {
			mu.Lock()
			defer mu.Unlock()
			if offset < last || last < 0 {
				session.ResetOffset(name, partition, offset, "")
			}
			if offset > last {
				session.MarkOffset(name, partition, offset, "")
			}
			last = offset
		},
	}
}
