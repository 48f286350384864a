package kafka

import (
	gort "runtime"
	"sync"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

// producers are the connections that record batches are sent on. They are apart from all others: a broker answers the
// requests of one connection in order, and one that waits for records to read would hold up what is sent.
type producers struct {
	log  *Log
	mu   sync.Mutex
	open map[producerKey]*sarama.Broker
}

// producerKey names a connection. An identity keeps to one of a broker's slots, so that its batches stay in order;
// several slots encode at the same time.
type producerKey struct {
	address string
	slot    int64
}

const maxSlots = 4

func (p *producers) slot(identity runtime.Identity) int64 {
	return max(0, identity.ProducerID) % int64(min(maxSlots, gort.GOMAXPROCS(0)))
}

func (p *producers) send(key producerKey, request *sarama.ProduceRequest) (*sarama.ProduceResponse, error) {
	broker, err := p.broker(key)
	if err != nil {
		return nil, err
	}
	type answer struct {
		response *sarama.ProduceResponse
		err      error
	}
	answers := make(chan answer, 1)
	err = broker.AsyncProduce(request, func(response *sarama.ProduceResponse, err error) { answers <- answer{response, err} })
	if err == nil {
		a := <-answers
		if a.err == nil {
			return a.response, nil
		}
		err = a.err
	}
	p.drop(key, broker)
	return nil, err
}

func (p *producers) broker(key producerKey) (*sarama.Broker, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if broker, ok := p.open[key]; ok {
		return broker, nil
	}
	broker := sarama.NewBroker(key.address)
	if err := broker.Open(p.log.settings); err != nil {
		return nil, err
	}
	p.open[key] = broker
	return broker, nil
}

// drop forgets a connection that failed; the next batch gets a new one.
func (p *producers) drop(key producerKey, broker *sarama.Broker) {
	p.mu.Lock()
	if p.open[key] == broker {
		delete(p.open, key)
	}
	p.mu.Unlock()
	_ = broker.Close() // it is broken already
}

func (p *producers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, broker := range p.open {
		_ = broker.Close() // its connection is cut already
		delete(p.open, key)
	}
}
