package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

// Log is a runtime.Log on a Kafka cluster. Open makes one.
type Log struct {
	config   Config
	settings *sarama.Config
	logger   *slog.Logger

	connections *connections
	// client knows the cluster, and asks what takes no time to answer.
	client    sarama.Client
	producers *producers
	readers   *readers
	// calls are the requests that nobody may wait for any more.
	calls sync.WaitGroup
}

var _ runtime.Log = (*Log)(nil)

// Open connects to a cluster. It fails within seconds where no broker answers; the error then wraps
// runtime.ErrUnavailable. Wrong credentials and certificates are final errors.
func Open(ctx context.Context, config Config) (*Log, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	settings, err := config.settings()
	if err != nil {
		return nil, err
	}
	l := &Log{config: config, settings: settings, logger: config.Logger, connections: track(settings)}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	l.connections.listen(*settings, l.logger)
	l.producers = &producers{log: l, open: map[producerKey]*sarama.Broker{}}
	l.readers = newReaders(l)
	if err := l.connect(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Log) connect(ctx context.Context) error {
	addresses := strings.Join(l.config.Brokers, ", ")
	answering, err := await(ctx, l, l.answering)
	if err != nil {
		return classify("kafka: connect to "+addresses, err)
	}
	if l.client, err = sarama.NewClient(answering, l.settings); err != nil {
		return classify("kafka: connect to "+addresses, err)
	}
	return nil
}

// answering returns the addresses with those first that answer, or the error of the first where none does.
func (l *Log) answering() ([]string, error) {
	failures := make([]error, len(l.config.Brokers))
	var tries sync.WaitGroup
	for i, address := range l.config.Brokers {
		tries.Go(func() { failures[i] = l.try(address) })
	}
	tries.Wait()
	var answering []string
	for i, address := range l.config.Brokers {
		if failures[i] == nil {
			answering = append(answering, address)
		}
	}
	if len(answering) == 0 {
		return nil, errors.Join(failures...)
	}
	return answering, nil
}

// try connects to one address.
func (l *Log) try(address string) error {
	settings := *l.settings
	settings.Net.ReadTimeout, settings.Net.WriteTimeout = dialTimeout, dialTimeout
	return l.hint(reach(address, &settings))
}

// reach connects to one address and asks something, since encryption only begins with the first request.
func reach(address string, settings *sarama.Config) error {
	broker := sarama.NewBroker(address)
	if err := broker.Open(settings); err != nil {
		return err
	}
	defer func() { _ = broker.Close() }() // nothing was asked that could get lost
	if _, err := broker.Connected(); err != nil {
		return err
	}
	_, err := broker.ApiVersions(&sarama.ApiVersionsRequest{
		Version: 3, ClientSoftwareName: "flows", ClientSoftwareVersion: "1",
	})
	return err
}

// hint explains a broker that hangs up or says nothing, which is all that some do about a client that does not encrypt,
// or does, or does not say who it is; and one that says in a word that it does not take what this process shows.
func (l *Log) hint(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("the broker gave no answer; check whether it wants TLS or SASL: %w", err)
	case alerted(err):
		return fmt.Errorf("the broker does not take this process's TLS certificate, or that it has none: %w", err)
	}
	return err
}

// await runs a call that can't be called off and waits for it, or for ctx. Close waits for those left behind.
func await[T any](ctx context.Context, l *Log, call func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	l.calls.Go(func() {
		value, err := call()
		answers <- answer{value, err}
	})
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// ask sends a request to any broker. One that does not answer is dropped and another one asked.
func ask[T any](l *Log, request func(*sarama.Broker) (T, error)) (answer T, err error) {
	const attempts = 3
	for range attempts {
		broker := l.client.LeastLoadedBroker()
		if broker == nil {
			err = sarama.ErrOutOfBrokers
		} else if answer, err = request(broker); err == nil {
			return answer, nil
		}
		if _, answered := errors.AsType[sarama.KError](err); answered || misconfigured(err) {
			return answer, err
		}
		if broker != nil {
			_ = broker.Close() // it is broken already
		}
		// Any topic does: it is the brokers that are looked for. The answer says whether there are any.
		if e := l.client.RefreshMetadata("__consumer_offsets"); e != nil && !errors.Is(e, sarama.ErrUnknownTopicOrPartition) {
			return answer, err
		}
	}
	return answer, err
}

// Ping implements runtime.Log.
func (l *Log) Ping(ctx context.Context) error {
	_, err := await(ctx, l, func() (*sarama.ApiVersionsResponse, error) {
		return ask(l, func(b *sarama.Broker) (*sarama.ApiVersionsResponse, error) {
			return b.ApiVersions(&sarama.ApiVersionsRequest{
				Version: 3, ClientSoftwareName: "flows", ClientSoftwareVersion: "1",
			})
		})
	})
	return classify("kafka", err)
}

// Close implements runtime.Log. Requests still under way are cut off.
func (l *Log) Close() error {
	l.connections.end()
	l.readers.close()
	l.calls.Wait()
	l.producers.close()
	if l.client == nil || l.client.Closed() {
		return nil
	}
	if err := l.client.Close(); err != nil {
		return fmt.Errorf("kafka: close: %w", err)
	}
	return nil
}
