package kafka_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/runtime/logtest"
)

// metricsTicker is a goroutine that sarama's metrics start once and never end.
var metricsTicker = goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, metricsTicker) }

// open connects to a cluster and logs to the test.
func open(t *testing.T, brokers string) *kafka.Log {
	t.Helper()
	log, err := kafka.Open(t.Context(), kafka.Config{Brokers: strings.Split(brokers, ","), Logger: logger(t)})
	require.NoError(t, err)
	return log
}

// connect is open, and close at the end of the test.
func connect(t *testing.T, brokers string) *kafka.Log {
	t.Helper()
	log := open(t, brokers)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return log
}

func logger(t *testing.T) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// fake starts a cluster in this process.
func fake(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(options...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

func TestSuiteFake(t *testing.T) {
	for _, test := range []struct {
		name    string
		brokers int
	}{{"one broker", 1}, {"three brokers", 3}} {
		t.Run(test.name, func(t *testing.T) {
			cluster := fake(t, kfake.NumBrokers(test.brokers))
			brokers := strings.Join(cluster.ListenAddrs(), ",")
			logtest.Run(t, logtest.Driver{
				Open:   func(t *testing.T) runtime.Log { return open(t, brokers) },
				Lacks:  logtest.AnyFirstSequence | logtest.ProducerStates,
				Ignore: []goleak.Option{metricsTicker},
			})
		})
	}
}

// TestForgetting is the part of the suite that needs a broker of its own, which it stops, and kills.
func TestForgetting(t *testing.T) {
	for name, end := range map[string]func(*services.Broker){
		"stop": func(b *services.Broker) { b.Stop() }, "kill": func(b *services.Broker) { b.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			broker := services.NewBroker(t)
			logtest.RunForgetting(t, logtest.Driver{
				Open:   func(t *testing.T) runtime.Log { return open(t, broker.Addr()) },
				Ignore: []goleak.Option{metricsTicker},
			}, logtest.Broker{
				Restart: func() {
					end(broker)
					broker.Start()
				},
				Delete: func(_ context.Context, p runtime.TopicPartition, before int64) error {
					return deleteRecords(t, broker.Addr(), p, before)
				},
			})
		})
	}
}

func deleteRecords(t *testing.T, broker string, p runtime.TopicPartition, before int64) error {
	config := sarama.NewConfig()
	config.Version = sarama.V4_0_0_0
	admin, err := sarama.NewClusterAdmin([]string{broker}, config)
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close()) }()
	return admin.DeleteRecords(p.Topic, map[int32]int64{p.Partition: before})
}

func TestSuite(t *testing.T) {
	brokers := services.Kafka(t)
	logtest.Run(t, logtest.Driver{
		Open:   func(t *testing.T) runtime.Log { return open(t, brokers) },
		Ignore: []goleak.Option{metricsTicker},
	})
}
