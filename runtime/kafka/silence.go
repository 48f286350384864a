package kafka

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	// silenceBefore is how long a broker may leave an answer due before it is asked whether it answers at all, and how
	// long it may take to say so. One that is busy may take longer with a request than with this.
	silenceBefore = 3 * time.Second
	// watchInterval is how often that is looked after.
	watchInterval = 500 * time.Millisecond
)

// silence knows the brokers that take connections and answer nothing: their process stands still, or their network takes
// packets and loses them. Requests to one would fail at their timeouts only, one after the other; and since each
// connection begins with a question, whoever asks any broker for the leader of something may first wait for this one.
// So a broker that says nothing is treated as one that is gone, until it answers again.
type silence struct {
	connections *connections
	// probe asks a broker something on a connection of its own.
	probe  func(address string) error
	logger *slog.Logger

	running sync.WaitGroup
	mu      sync.Mutex
	brokers map[string]*suspect
}

// suspect is a broker that was asked, or is.
type suspect struct {
	probing, silent bool
	asked           time.Time
}

var errSilent = errors.New("kafka: the broker takes connections and does not answer")

// listen watches the connections until they end.
func (c *connections) listen(settings sarama.Config, logger *slog.Logger) {
	settings.Net.DialTimeout, settings.Net.ReadTimeout, settings.Net.WriteTimeout = silenceBefore, silenceBefore, silenceBefore
	settings.Net.Proxy.Enable, settings.Net.Proxy.Dialer = true, c.dialer
	probes := track(&settings)
	c.silence = &silence{
		connections: c, logger: logger, brokers: map[string]*suspect{},
		probe: func(address string) error {
			// A connection begins with several questions, each of which may take as long as this.
			limit := time.AfterFunc(silenceBefore, func() { probes.cutThose(address) })
			defer limit.Stop()
			err := reach(address, &settings)
			if errors.Is(err, net.ErrClosed) {
				return errSilent
			}
			return err
		},
	}
	context.AfterFunc(c.ctx, probes.end)
	c.silence.running.Go(func() { c.silence.watch(c.ctx) })
}

func (s *silence) watch(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, address := range s.due(now, s.connections.waiting(now.Add(-silenceBefore))) {
				s.running.Go(func() { s.ask(ctx, address) })
			}
		}
	}
}

// due returns the brokers to be asked now: those that leave an answer due, and those that are silent.
func (s *silence) due(now time.Time, waiting map[string]bool) (addresses []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for address := range waiting {
		if s.brokers[address] == nil {
			s.brokers[address] = &suspect{}
		}
	}
	for address, broker := range s.brokers {
		switch {
		case broker.probing:
		case broker.silent, waiting[address] && now.Sub(broker.asked) >= silenceBefore:
			broker.probing = true
			addresses = append(addresses, address)
		case !waiting[address]:
			delete(s.brokers, address)
		}
	}
	return addresses
}

// ask asks one broker. Where it says nothing its connections are cut, and no more are made until it does.
func (s *silence) ask(ctx context.Context, address string) {
	err := s.probe(address)
	_, answered := errors.AsType[sarama.KError](err)
	silent := err != nil && !answered && !misconfigured(err)
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	broker := s.brokers[address]
	before := broker.silent
	broker.probing, broker.silent, broker.asked = false, silent, time.Now()
	s.mu.Unlock()
	switch {
	case silent && !before:
		s.logger.Warn("a broker does not answer", "broker", address, "error", err)
	case !silent && before:
		s.logger.Info("a broker answers again", "broker", address)
	}
	if silent {
		s.connections.cutThose(address)
	}
}

// refuse returns an error for the address of a broker that is silent.
func (s *silence) refuse(address string) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if broker := s.brokers[address]; broker != nil && broker.silent {
		return errSilent
	}
	return nil
}
