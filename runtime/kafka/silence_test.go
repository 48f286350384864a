package kafka_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	proxies "github.com/kappaflows/flows/internal/proxy"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
)

// through dials a proxy, whatever it is asked to dial.
type through struct{ *proxies.Proxy }

func (t through) Dial(network, _ string) (net.Conn, error) { return net.Dial(network, t.Addr()) }

// TestSilence lets nothing pass to and from a broker: it is found out, whatever is asked, and asked no more until it
// answers again.
func TestSilence(t *testing.T) {
	t.Parallel()
	proxy, err := proxies.Start()
	require.NoError(t, err)
	defer func() { require.NoError(t, proxy.Close()) }()
	cluster := fake(t, kfake.NumBrokers(1))
	proxy.Forward(cluster.ListenAddrs()[0])
	ctx := withPatience(t)
	log, err := kafka.Open(ctx, kafka.Config{
		Brokers: cluster.ListenAddrs(), Logger: logger(t),
		Sarama: func(s *sarama.Config) { s.Net.Proxy.Enable, s.Net.Proxy.Dialer = true, through{proxy} },
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close()) }()
	p := newTopic(ctx, t, log, 1)
	identity := identityOf(ctx, t, log)
	require.NoError(t, send(ctx, t, log, identity, batch(p, 0)).Err)

	proxy.Stall()
	found := func(call func(context.Context) error) {
		for said := ""; !strings.Contains(said, "takes connections and does not answer"); {
			err := call(ctx)
			require.ErrorIs(t, err, runtime.ErrUnavailable, "it is found out that the broker does not answer")
			said = err.Error()
		}
	}
	found(log.Ping)
	found(func(ctx context.Context) error {
		acks, err := log.Send(ctx, identity, batch(p, 10))
		require.NoError(t, err)
		return acks[0].Err
	})
	proxy.Resume()
	require.NoError(t, send(ctx, t, log, identity, batch(p, 10)).Err)
	eventually(ctx, t, func() error { return log.Ping(ctx) })
}
