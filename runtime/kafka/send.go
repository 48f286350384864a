package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

// acknowledgeTimeout is how long a broker may wait for its replicas.
const acknowledgeTimeout = 10 * time.Second

// NewIdentity implements runtime.Log.
func (l *Log) NewIdentity(ctx context.Context) (runtime.Identity, error) {
	identity, err := await(ctx, l, func() (runtime.Identity, error) {
		response, err := ask(l, func(b *sarama.Broker) (*sarama.InitProducerIDResponse, error) {
			return b.InitProducerID(&sarama.InitProducerIDRequest{
				Version: 4, TransactionTimeout: time.Minute, ProducerID: -1, ProducerEpoch: -1,
			})
		})
		if err != nil {
			return runtime.Identity{}, err
		}
		// A broker that has just started answers that it is loading here, not as an error of the request.
		if response.Err != sarama.ErrNoError {
			return runtime.Identity{}, response.Err
		}
		return runtime.Identity{ProducerID: response.ProducerID, Epoch: response.ProducerEpoch}, nil
	})
	return identity, classify("kafka: producer identity", err)
}

// Send implements runtime.Log. A ProducerID of -1 sends without an identity. Where ctx ends it early, the records may
// still be read for a moment.
func (l *Log) Send(ctx context.Context, identity runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	if len(batches) == 0 {
		return nil, ctx.Err()
	}
	return await(ctx, l, func() ([]runtime.Ack, error) {
		s := &sending{
			log: l, identity: identity, batches: batches,
			encoded: make([]*sarama.RecordBatch, len(batches)), acks: make([]runtime.Ack, len(batches)),
		}
		s.run()
		return s.acks, nil
	})
}

// sending is one call of Send.
type sending struct {
	log      *Log
	identity runtime.Identity
	batches  []runtime.RecordBatch
	encoded  []*sarama.RecordBatch
	acks     []runtime.Ack
}

// run sends what has the same leader in one request, and to all leaders at once.
func (s *sending) run() {
	leaders := map[string][]int{}
	for i := range s.batches {
		address, err := s.prepare(i)
		if err != nil {
			s.fail(i, err)
			continue
		}
		leaders[address] = append(leaders[address], i)
	}
	var requests sync.WaitGroup
	for address, indexes := range leaders {
		if len(leaders) == 1 {
			s.produce(address, indexes)
			continue
		}
		requests.Go(func() { s.produce(address, indexes) })
	}
	requests.Wait()
}

// prepare encodes a batch and returns the address that it goes to.
func (s *sending) prepare(i int) (address string, err error) {
	if s.batches[i].Records.Count == 0 {
		return "", sarama.PacketEncodingError{Info: "record batch without records"}
	}
	if s.encoded[i], err = encode(s.identity, &s.batches[i]); err != nil {
		return "", err
	}
	leader, err := s.log.client.Leader(s.batches[i].Topic, s.batches[i].Partition)
	if err != nil {
		return "", err
	}
	return leader.Addr(), nil
}

func (s *sending) produce(address string, indexes []int) {
	request := &sarama.ProduceRequest{
		Version: 8, RequiredAcks: sarama.WaitForAll, Timeout: int32(acknowledgeTimeout / time.Millisecond),
	}
	for _, i := range indexes {
		request.AddBatch(s.batches[i].Topic, s.batches[i].Partition, s.encoded[i])
	}
	response, err := s.log.producers.send(producerKey{address, s.log.producers.slot(s.identity)}, request)
	for _, i := range indexes {
		if err != nil {
			s.fail(i, err)
			continue
		}
		s.acknowledge(i, response.GetBlock(s.batches[i].Topic, s.batches[i].Partition))
	}
	s.refresh(indexes)
}

func (s *sending) acknowledge(i int, block *sarama.ProduceResponseBlock) {
	switch {
	case block == nil:
		s.fail(i, sarama.ErrIncompleteResponse)
	case block.Err == sarama.ErrNoError || block.Err == sarama.ErrDuplicateSequenceNumber:
		s.acks[i] = runtime.Ack{Offset: block.Offset}
	case block.ErrorMessage != nil:
		s.fail(i, fmt.Errorf("%w (%s)", block.Err, *block.ErrorMessage))
	default:
		s.fail(i, block.Err)
	}
}

func (s *sending) fail(i int, err error) {
	s.acks[i] = runtime.Ack{Offset: -1, Err: classify(at("send", s.batches[i].TopicPartition), err)}
}

// refresh looks for the leaders of what did not get through. A topic that a broker does not know may only be gone from
// that broker.
func (s *sending) refresh(indexes []int) {
	topics := map[string]error{}
	for _, i := range indexes {
		err, name := s.acks[i].Err, s.batches[i].Topic
		if !errors.Is(err, runtime.ErrUnavailable) && !errors.Is(err, runtime.ErrUnknownTopic) {
			continue
		}
		if _, done := topics[name]; !done {
			topics[name] = s.log.client.RefreshMetadata(name)
		}
		if errors.Is(err, runtime.ErrUnknownTopic) && !errors.Is(topics[name], sarama.ErrUnknownTopicOrPartition) {
			s.fail(i, sarama.ErrNotLeaderForPartition)
		}
	}
}
