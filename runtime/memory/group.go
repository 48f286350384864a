package memory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kappaflows/flows/runtime"
)

const defaultRelease = 10 * time.Second

// group is guarded by the mutex of its Log.
type group struct {
	// members are in the order in which they joined.
	members   []*member
	owners    map[runtime.TopicPartition]*member
	committed map[runtime.TopicPartition]int64
}

// member is one Join. Its Join alone starts and ends what owns a partition; others only say what it should have.
type member struct {
	group   runtime.Group
	client  *Client
	changed signal
	// target is what the member should have, and rebalances counts how often that was decided.
	target     map[runtime.TopicPartition]bool
	rebalances int
	// evicted says that the member has been told that the group went on without it.
	evicted bool
}

// Committed implements runtime.Log.
func (l *Log) Committed(ctx context.Context, name string, partition runtime.TopicPartition) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.partition(partition); err != nil {
		return -1, err
	}
	if offset, ok := l.group(name).committed[partition]; ok {
		return offset, ctx.Err()
	}
	return -1, ctx.Err()
}

func (l *Log) group(name string) *group {
	g, ok := l.groups[name]
	if !ok {
		g = &group{owners: map[runtime.TopicPartition]*member{}, committed: map[runtime.TopicPartition]int64{}}
		l.groups[name] = g
	}
	return g
}

// rebalance decides anew which member has which partition, moving as few as possible. A partition that moves is
// given to its new member only when the old one has let go of it, which is a rebalance too.
func (l *Log) rebalance(g *group) {
	for _, m := range g.members {
		m.target = map[runtime.TopicPartition]bool{}
	}
	partitions := l.partitionsOf(g)
	for _, partition := range partitions {
		owner := g.owners[partition]
		if slices.Contains(g.members, owner) && len(owner.target) < g.quota(owner, len(partitions)) {
			owner.target[partition] = true
		}
	}
	for _, partition := range partitions {
		if g.owners[partition] == nil {
			g.give(partition)
		}
	}
	for _, m := range g.members {
		m.rebalances++
		m.changed.notify()
	}
}

// give makes the member with the fewest partitions the owner of one that has none.
func (g *group) give(partition runtime.TopicPartition) {
	var least *member
	for _, m := range g.members {
		if slices.Contains(m.group.Topics, partition.Topic) && (least == nil || len(m.target) < len(least.target)) {
			least = m
		}
	}
	if least != nil {
		g.owners[partition] = least
		least.target[partition] = true
	}
}

// quota is how many of n partitions a member may keep.
func (g *group) quota(m *member, n int) int {
	quota := n / len(g.members)
	if slices.Index(g.members, m) < n%len(g.members) {
		quota++
	}
	return quota
}

// partitionsOf returns the partitions of the topics that members read, in order.
func (l *Log) partitionsOf(g *group) (partitions []runtime.TopicPartition) {
	topics := map[string]bool{}
	for _, m := range g.members {
		for _, name := range m.group.Topics {
			topics[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		if t, ok := l.topics[name]; ok {
			for i := range t.info.Partitions {
				partitions = append(partitions, runtime.TopicPartition{Topic: name, Partition: i})
			}
		}
	}
	return partitions
}

// Evict makes a group give up on its members, as one does whose members are not heard of for a session timeout: on all of
// them, or on those of the clients that are named. They go on as if nothing had been, beside those that the group gives
// their partitions to, until the returned function tells them; then they let go of everything and join again.
func (l *Log) Evict(name string, clients ...string) (tell func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.group(name)
	var members []*member
	g.members = slices.DeleteFunc(g.members, func(m *member) bool {
		evicted := len(clients) == 0 || slices.Contains(clients, m.client.Name)
		if evicted {
			members = append(members, m)
		}
		return evicted
	})
	maps.DeleteFunc(g.owners, func(_ runtime.TopicPartition, owner *member) bool { return slices.Contains(members, owner) })
	l.rebalance(g)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, m := range members {
			m.target, m.evicted = nil, true
			m.rebalances++
			m.changed.notify()
		}
	}
}

// Client is the log as one of its clients has it. It tells members of groups apart, and decides when they do something.
type Client struct {
	*Log
	Name string
	// Pace, where set, is called before a member does anything that others of its group notice: join, follow a rebalance,
	// give partitions back, leave. A test that has it wait decides who comes first.
	Pace func()
}

func (c *Client) pace() {
	if c.Pace != nil {
		c.Pace()
	}
}

// Join implements runtime.Log. Marks are committed at once.
func (l *Log) Join(ctx context.Context, joining runtime.Group, own func(context.Context, runtime.Held) error) error {
	return (&Client{Log: l}).Join(ctx, joining, own)
}

// Join implements runtime.Log. Marks are committed at once.
func (c *Client) Join(ctx context.Context, joining runtime.Group, own func(context.Context, runtime.Held) error) error {
	l := c.Log
	if joining.Release == 0 {
		joining.Release = defaultRelease
	}
	m := &member{group: joining, client: c, changed: newSignal()}
	c.pace()
	if err := l.enter(m); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	session := &session{log: l, member: m, own: own, fail: cancel, running: map[runtime.TopicPartition]*tenure{}}
	for rebalances := 0; ctx.Err() == nil; {
		rebalances = session.follow(ctx, rebalances)
	}
	session.leave()
	return session.failure
}

func (l *Log) enter(m *member) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range m.group.Topics {
		if _, ok := l.topics[name]; !ok {
			return unknown(name)
		}
	}
	g := l.group(m.group.Name)
	g.members = append(g.members, m)
	l.rebalance(g)
	return nil
}

// session is the part of a member that only its Join knows.
type session struct {
	log     *Log
	member  *member
	own     func(context.Context, runtime.Held) error
	fail    context.CancelFunc
	failing sync.Once
	failure error
	running map[runtime.TopicPartition]*tenure
	owning  sync.WaitGroup
}

// tenure is one partition while it is held.
type tenure struct {
	cancel context.CancelFunc
	done   chan struct{}
	// over says that the partition was given back, done or not; it is guarded by the mutex of the Log.
	over bool
}

// follow starts and ends tenures until they are what the last rebalance says, then waits for the next.
func (s *session) follow(ctx context.Context, seen int) int {
	_, changed, rebalances := s.target()
	if rebalances == seen {
		select {
		case <-ctx.Done():
		case <-changed:
		}
		return seen
	}
	s.member.client.pace()
	target, _, rebalances := s.target()
	// One that is told so while it gives something back lets go of the rest first, in the next round.
	evicted := target == nil
	s.release(target)
	if evicted {
		s.rejoin()
	}
	for _, partition := range runtime.SortedPartitions(target) {
		if s.running[partition] == nil {
			s.start(ctx, partition)
		}
	}
	if s.member.group.Assigned != nil {
		s.member.group.Assigned(len(s.running))
	}
	return rebalances
}

func (s *session) target() (map[runtime.TopicPartition]bool, <-chan struct{}, int) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return maps.Clone(s.member.target), s.member.changed.wait(), s.member.rebalances
}

// rejoin makes a member that was evicted one again.
func (s *session) rejoin() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if !s.member.evicted {
		return
	}
	s.member.evicted = false
	g := s.log.group(s.member.group.Name)
	g.members = append(g.members, s.member)
	s.log.rebalance(g)
}

func (s *session) start(ctx context.Context, partition runtime.TopicPartition) {
	ctx, cancel := context.WithCancel(ctx)
	t := &tenure{cancel: cancel, done: make(chan struct{})}
	s.running[partition] = t
	held := runtime.Held{TopicPartition: partition, Mark: func(offset int64) { s.mark(t, partition, offset) }}
	s.owning.Go(func() {
		defer close(t.done)
		if err := s.own(ctx, held); err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
			s.failing.Do(func() { s.failure = err })
			s.fail()
		}
	})
}

func (s *session) mark(t *tenure, partition runtime.TopicPartition, offset int64) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	g := s.log.group(s.member.group.Name)
	if g.owners[partition] == s.member && !t.over {
		g.committed[partition] = offset
	}
}

// release ends the tenures that are not to be kept, waits for them as long as the group allows, and gives the
// partitions back.
func (s *session) release(keep map[runtime.TopicPartition]bool) {
	var ending []*tenure
	for partition, t := range s.running {
		if !keep[partition] {
			t.cancel()
			ending = append(ending, t)
		}
	}
	timeout := time.NewTimer(s.member.group.Release)
	defer timeout.Stop()
	for _, t := range ending {
		select {
		case <-t.done:
		case <-timeout.C:
			timeout.Reset(0)
		}
	}
	maps.DeleteFunc(s.running, func(p runtime.TopicPartition, _ *tenure) bool { return !keep[p] })
	if len(ending) > 0 {
		s.member.client.pace()
	}
	s.giveBack(keep, ending)
}

func (s *session) giveBack(keep map[runtime.TopicPartition]bool, ending []*tenure) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for _, t := range ending {
		t.over = true
	}
	g := s.log.group(s.member.group.Name)
	owned := len(g.owners)
	maps.DeleteFunc(g.owners, func(p runtime.TopicPartition, owner *member) bool { return owner == s.member && !keep[p] })
	if len(g.owners) < owned {
		s.log.rebalance(g)
	}
}

// leave gives everything back and returns when nothing of this member runs any more.
func (s *session) leave() {
	s.member.client.pace()
	s.log.mu.Lock()
	g := s.log.group(s.member.group.Name)
	g.members = slices.DeleteFunc(g.members, func(m *member) bool { return m == s.member })
	s.log.mu.Unlock()
	s.release(nil)
	s.owning.Wait()
}
