package kafka

import (
	"math"
	"time"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

const (
	defaultRelease = 10 * time.Second
	// rejoinMargin is what a member may take besides Group.Release to give partitions back.
	rejoinMargin = 20 * time.Second
	// commitInterval is how often marks are committed to the group.
	commitInterval = time.Second
)

// membershipClient is the client of a group's member. The group protocol gets connections of its own: a broker
// answers the requests of one in order, and one that joins waits for the other members.
type membershipClient struct {
	sarama.Client
	settings    *sarama.Config
	coordinator sarama.Client
}

// Config implements sarama.Client.
func (c *membershipClient) Config() *sarama.Config { return c.settings }

// Coordinator implements sarama.Client.
func (c *membershipClient) Coordinator(group string) (*sarama.Broker, error) {
	return c.coordinator.Coordinator(group)
}

// RefreshCoordinator implements sarama.Client.
func (c *membershipClient) RefreshCoordinator(group string) error {
	return c.coordinator.RefreshCoordinator(group)
}

// GetOffset implements sarama.Client. It makes sarama take the group's offset for one that is no longer there and begin
// at the end of the partition, wherever the group is: nothing is read by way of a claim, so that nothing need be
// fetched, and an offset that is really gone can't do harm.
func (c *membershipClient) GetOffset(name string, partition int32, which int64) (int64, error) {
	if which == sarama.OffsetOldest {
		return math.MaxInt64, nil
	}
	return c.Client.GetOffset(name, partition, which)
}

// Close implements sarama.Client; its parts are closed by those who made them.
func (c *membershipClient) Close() error { return nil }

// groupSettings are the settings of a member of a group.
func (l *Log) groupSettings(group runtime.Group, assigned func(int)) *sarama.Config {
	s := *l.settings
	s.Metadata.Retry.Max, s.Metadata.Retry.Backoff = 8, 250*time.Millisecond
	c := &s.Consumer
	c.Return.Errors = true
	c.MaxWaitTime = time.Millisecond // claims are paused; what they ask before that must not wait
	c.IsolationLevel = sarama.ReadCommitted
	c.Offsets.Initial = sarama.OffsetNewest
	c.Offsets.AutoCommit.Enable, c.Offsets.AutoCommit.Interval = true, commitInterval
	c.Group.ResetInvalidOffsets = true
	c.Group.InstanceId = l.config.InstanceID
	c.Group.Session.Timeout, c.Group.Heartbeat.Interval = sessionTimeout, heartbeat
	c.Group.Rebalance.Timeout = group.Release + rejoinMargin
	c.Group.Rebalance.Retry.Max, c.Group.Rebalance.Retry.Backoff = 8, 250*time.Millisecond
	c.Group.Rebalance.Strategy = nil
	c.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{
		&strategy{BalanceStrategy: sarama.NewBalanceStrategyCooperativeSticky(), assigned: assigned},
	}
	return &s
}

// coordinatorSettings are those of the connections for the group protocol: the answer to a member that joins comes when
// the others have joined too.
func (l *Log) coordinatorSettings(group runtime.Group) (*sarama.Config, *connections) {
	s := *l.settings
	s.Net.ReadTimeout = group.Release + rejoinMargin + requestTimeout
	s.Metadata.RefreshFrequency = 0
	return &s, track(&s)
}

// strategy is sarama's cooperative-sticky strategy, which also tells how many partitions a rebalance gave the member;
// sarama has no other way to hear of every one.
type strategy struct {
	sarama.BalanceStrategy
	assigned func(partitions int)
}

// SupportedProtocols implements sarama.RebalanceProtocolBalanceStrategy.
func (s *strategy) SupportedProtocols() []sarama.RebalanceProtocol {
	return s.BalanceStrategy.(sarama.RebalanceProtocolBalanceStrategy).SupportedProtocols()
}

// SubscriptionUserData implements sarama.SubscriptionUserDataBalanceStrategy.
func (s *strategy) SubscriptionUserData(topics []string) ([]byte, error) {
	return s.BalanceStrategy.(sarama.SubscriptionUserDataBalanceStrategy).SubscriptionUserData(topics)
}

// OnAssignment implements sarama.OnAssignmentBalanceStrategy.
func (s *strategy) OnAssignment(assignment *sarama.ConsumerGroupMemberAssignment, generation int32) {
	s.BalanceStrategy.(sarama.OnAssignmentBalanceStrategy).OnAssignment(assignment, generation)
	partitions := 0
	for _, held := range assignment.Topics {
		partitions += len(held)
	}
	s.assigned(partitions)
}
