package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/topic"
)

// patience is how long anything may take.
const patience = 90 * time.Second

func withPatience(t *testing.T) context.Context { return services.WithPatience(t, patience) }

func newTopic(ctx context.Context, t *testing.T, log *kafka.Log, partitions int32) runtime.TopicPartition {
	t.Helper()
	name := services.Name(t)
	eventually(ctx, t, func() error {
		return log.Create(ctx, []runtime.NewTopic{{Name: name, Partitions: partitions}})
	})
	return runtime.TopicPartition{Topic: name}
}

// eventually tries again as long as the log is unavailable.
func eventually(ctx context.Context, t *testing.T, try func() error) {
	t.Helper()
	for {
		err := try()
		if !errors.Is(err, runtime.ErrUnavailable) {
			require.NoError(t, err)
			return
		}
		select {
		case <-ctx.Done():
			require.NoError(t, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func identityOf(ctx context.Context, t *testing.T, log *kafka.Log) (identity runtime.Identity) {
	t.Helper()
	eventually(ctx, t, func() (err error) {
		identity, err = log.NewIdentity(ctx)
		return err
	})
	return identity
}

// batch is ten records.
func batch(to runtime.TopicPartition, sequence int32) []runtime.RecordBatch {
	records := make([]runtime.Output, 10)
	for i := range records {
		records[i] = runtime.Output{Value: fmt.Appendf(nil, "%d", int(sequence)+i), Timestamp: time.Now().UnixMilli()}
	}
	return []runtime.RecordBatch{{TopicPartition: to, Sequence: sequence, Records: runtime.Encode(records...)}}
}

// send tries until the outcome is known.
func send(ctx context.Context, t *testing.T, log *kafka.Log, as runtime.Identity, batches []runtime.RecordBatch) (ack runtime.Ack) {
	t.Helper()
	for {
		acks, err := log.Send(ctx, as, batches)
		require.NoError(t, err)
		if ack = acks[0]; !errors.Is(ack.Err, runtime.ErrUnavailable) {
			return ack
		}
	}
}

func read(ctx context.Context, t *testing.T, reader runtime.Reader, n int) (messages []topic.Raw) {
	t.Helper()
	for len(messages) < n {
		eventually(ctx, t, func() (err error) {
			messages, err = reader.Read(ctx, messages, n-len(messages))
			return err
		})
	}
	return messages
}

// TestRestart holds the broker to what the engine does when it sends pending batches again: after a restart, clean or
// not, only the last batch of an identity is remembered. Readers and members live through it.
func TestRestart(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*services.Broker)
	}{
		{"stop", func(b *services.Broker) { b.Stop() }},
		{"kill", func(b *services.Broker) { b.Kill() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			broker := services.NewBroker(t)
			ctx := withPatience(t)
			log := connect(t, broker.Addr())
			p := newTopic(ctx, t, log, 1)
			identity := identityOf(ctx, t, log)
			reader, err := log.Open(ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
			require.NoError(t, err)
			defer func() { require.NoError(t, reader.Close()) }()
			held := hold(ctx, t, log, p.Topic)
			require.True(t, <-held)
			for i := range int32(4) {
				require.Equal(t, runtime.Ack{Offset: int64(10 * i)}, send(ctx, t, log, identity, batch(p, 10*i)))
			}
			require.Len(t, read(ctx, t, reader, 40), 40)

			test.end(broker)
			acks, err := log.Send(ctx, identity, batch(p, 40))
			require.NoError(t, err)
			require.ErrorIs(t, acks[0].Err, runtime.ErrUnavailable)
			require.ErrorIs(t, log.Ping(ctx), runtime.ErrUnavailable)
			_, err = reader.Read(ctx, nil, 1)
			require.ErrorIs(t, err, runtime.ErrUnavailable)
			require.False(t, <-held, "a member that hears nothing of its group must let go")
			broker.Start()

			require.ErrorIs(t, send(ctx, t, log, identity, batch(p, 10)).Err, runtime.ErrOutOfOrder)
			require.ErrorIs(t, send(ctx, t, log, identity, batch(p, 20)).Err, runtime.ErrOutOfOrder)
			require.NoError(t, send(ctx, t, log, identity, batch(p, 30)).Err, "the last one is remembered")
			require.Equal(t, runtime.Ack{Offset: 40}, send(ctx, t, log, identity, batch(p, 40)))
			require.NoError(t, send(ctx, t, log, identity, batch(p, 30)).Err)
			messages := read(ctx, t, reader, 10)
			require.EqualValues(t, 40, messages[0].Offset)
			require.Equal(t, "49", string(messages[9].Value))
			require.True(t, <-held, "the member is back")
			eventually(ctx, t, func() error { return log.Ping(ctx) })
		})
	}
}

// hold joins a group for the rest of the test; the channel says when its only partition comes and goes.
func hold(ctx context.Context, t *testing.T, log *kafka.Log, name string) <-chan bool {
	held, done := make(chan bool, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		done <- log.Join(ctx, runtime.Group{Name: name, Topics: []string{name}}, func(ctx context.Context, h runtime.Held) error {
			held <- true
			<-ctx.Done()
			held <- false
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return held
}

// TestHangingBroker freezes the broker: everything can be called off, and closing does not wait for an answer.
func TestHangingBroker(t *testing.T) {
	t.Parallel()
	broker := services.NewBroker(t)
	ctx := withPatience(t)
	log := open(t, broker.Addr())
	p := newTopic(ctx, t, log, 1)
	identity := identityOf(ctx, t, log)
	reader, err := log.Open(ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
	require.NoError(t, err)
	joining, leave := context.WithCancel(ctx)
	left := make(chan error, 1)
	holding := make(chan struct{})
	go func() {
		left <- log.Join(joining, runtime.Group{Name: p.Topic, Topics: []string{p.Topic}}, func(ctx context.Context, _ runtime.Held) error {
			close(holding)
			<-ctx.Done()
			return nil
		})
	}()
	<-holding

	broker.Pause()
	defer broker.Continue()
	for name, call := range map[string]func(context.Context) error{
		"Send":        func(ctx context.Context) error { _, err := log.Send(ctx, identity, batch(p, 0)); return err },
		"Read":        func(ctx context.Context) error { _, err := reader.Read(ctx, nil, 1); return err },
		"Describe":    func(ctx context.Context) error { _, err := log.Describe(ctx, p.Topic); return err },
		"Bounds":      func(ctx context.Context) error { _, _, err := log.Bounds(ctx, p); return err },
		"NewIdentity": func(ctx context.Context) error { _, err := log.NewIdentity(ctx); return err },
		"Ping":        log.Ping,
	} {
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		require.ErrorIs(t, call(short), context.DeadlineExceeded, name)
		cancel()
	}
	leave()
	require.NoError(t, <-left)
	require.NoError(t, reader.Close())
	require.NoError(t, log.Close())
}

func TestNoBroker(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, err = kafka.Open(t.Context(), kafka.Config{
		Brokers: []string{address}, SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: "hush"},
	})
	require.ErrorIs(t, err, runtime.ErrUnavailable)
	require.ErrorContains(t, err, "connect to "+address)
	require.NotContains(t, err.Error(), "\n")
	require.NotContains(t, err.Error(), "hush")
}

// TestOneOfManyAddresses connects where only one of the addresses answers.
func TestOneOfManyAddresses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	dead := listener.Addr().String()
	require.NoError(t, listener.Close())
	cluster := fake(t)
	log := open(t, strings.Join(append([]string{dead}, cluster.ListenAddrs()...), ","))
	require.NoError(t, log.Ping(t.Context()))
	require.NoError(t, log.Close())
}

// TestNewPartitions shows that a member gets the partitions that a topic grows by.
func TestNewPartitions(t *testing.T) {
	brokers := services.Kafka(t)
	ctx := withPatience(t)
	log := connect(t, brokers)
	p := newTopic(ctx, t, log, 1)
	held := hold(ctx, t, log, p.Topic)
	require.True(t, <-held)
	admin, err := sarama.NewClusterAdmin(strings.Split(brokers, ","), sarama.NewConfig())
	require.NoError(t, err)
	require.NoError(t, admin.CreatePartitions(p.Topic, 3, nil, false))
	require.NoError(t, admin.Close())
	require.True(t, <-held)
	require.True(t, <-held)
}
