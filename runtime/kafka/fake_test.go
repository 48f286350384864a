package kafka_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/kafka"
)

// TestLeadersMove moves partitions about while they are written and read; nothing is lost or doubled.
func TestLeadersMove(t *testing.T) {
	cluster := fake(t, kfake.NumBrokers(3))
	ctx := withPatience(t)
	log := connect(t, cluster.ListenAddrs()[0])
	p := newTopic(ctx, t, log, 1)
	identity := identityOf(ctx, t, log)
	reader, err := log.Open(ctx, runtime.Position{TopicPartition: p}, runtime.ReadLimits{})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	for i := range int32(12) {
		require.NoError(t, cluster.MoveTopicPartition(p.Topic, 0, i%3))
		require.NoError(t, send(ctx, t, log, identity, batch(p, 10*i)).Err)
		messages := read(ctx, t, reader, 10)
		require.EqualValues(t, 10*i, messages[0].Offset)
		require.EqualValues(t, 10*i+9, messages[9].Offset)
	}
}

// TestFormerLeader has one broker know that another leads a partition than the others say: what is not found at these may
// be there.
func TestFormerLeader(t *testing.T) {
	cluster := fake(t, kfake.NumBrokers(3))
	ctx := withPatience(t)
	log := connect(t, cluster.ListenAddrs()[0])
	p := newTopic(ctx, t, log, 1)
	require.NoError(t, send(ctx, t, log, identityOf(ctx, t, log), batch(p, 0)).Err)
	headers := func(stop bool) error {
		return log.Batches(ctx, runtime.Position{TopicPartition: p}, func(runtime.BatchHeader) bool { return !stop })
	}
	require.NoError(t, headers(false))

	known := cluster.PartitionInfo(p.Topic, 0)
	cluster.KeepControl()
	cluster.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		if cluster.CurrentNode() != (known.Leader+1)%3 {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.MetadataResponse)
		found := kmsg.NewMetadataResponseTopic()
		found.Topic = &p.Topic
		found.Partitions = []kmsg.MetadataResponseTopicPartition{{Leader: known.Leader, LeaderEpoch: known.Epoch + 1}}
		response.Topics = append(response.Topics, found)
		for id, address := range cluster.ListenAddrs() {
			broker := kmsg.NewMetadataResponseBroker()
			host, port, err := net.SplitHostPort(address)
			require.NoError(t, err)
			broker.NodeID, broker.Host = int32(id), host
			number, err := strconv.Atoi(port)
			require.NoError(t, err)
			broker.Port = int32(number)
			response.Brokers = append(response.Brokers, broker)
		}
		return response, nil, true
	})
	require.ErrorIs(t, headers(false), runtime.ErrUnavailable, "one of the others knows a later leader")
	require.NoError(t, headers(true), "what is found is there")
}

// TestCompacted reads a topic whose offsets have gaps.
func TestCompacted(t *testing.T) {
	cluster := fake(t)
	ctx := withPatience(t)
	log := connect(t, cluster.ListenAddrs()[0])
	name := "compacted"
	require.NoError(t, log.Create(ctx, []runtime.NewTopic{{Name: name, Partitions: 1, Compacted: true}}))
	p := runtime.TopicPartition{Topic: name}
	identity := identityOf(ctx, t, log)
	for i := range int32(20) {
		b := batch(p, i)
		b[0].Records = runtime.Encode(runtime.Output{Key: []byte{byte(i % 3)}, Value: []byte("v"), Timestamp: time.Now().UnixMilli()})
		require.NoError(t, send(ctx, t, log, identity, b).Err)
	}
	cluster.Compact()
	start, end, err := log.Bounds(ctx, p)
	require.NoError(t, err)
	reader, err := log.Open(ctx, runtime.Position{TopicPartition: p, Offset: start}, runtime.ReadLimits{})
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	last := start - 1
	for last < end-1 {
		for _, m := range read(ctx, t, reader, 1) {
			require.Greater(t, m.Offset, last)
			last = m.Offset
		}
	}
}

// TestStaticMember has a member come back under its name: it need not wait for its former self to be given up.
func TestStaticMember(t *testing.T) {
	cluster := fake(t)
	ctx := withPatience(t)
	log, err := kafka.Open(ctx, kafka.Config{Brokers: cluster.ListenAddrs(), InstanceID: "pod-0", Logger: logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	p := newTopic(ctx, t, log, 1)
	for range 3 {
		joining, leave := context.WithCancel(ctx)
		require.NoError(t, log.Join(joining, runtime.Group{Name: "g", Topics: []string{p.Topic}}, func(ctx context.Context, _ runtime.Held) error {
			leave()
			return nil
		}))
	}
}

func TestSASL(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			cluster := fake(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "alice", "open sesame"))
			config := kafka.Config{
				Brokers: cluster.ListenAddrs(), Logger: logger(t),
				SASL: &kafka.SASL{Mechanism: mechanism, Username: "alice", Password: "open sesame"},
			}
			log, err := kafka.Open(t.Context(), config)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, log.Close()) })
			ctx := withPatience(t)
			p := newTopic(ctx, t, log, 1)
			require.NoError(t, send(ctx, t, log, identityOf(ctx, t, log), batch(p, 0)).Err)
			require.True(t, <-hold(ctx, t, log, p.Topic))

			// A broker says so; kfake by itself hangs up.
			cluster.KeepControl()
			cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
				response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
				response.ErrorCode = kerr.SaslAuthenticationFailed.Code
				return response, nil, bytes.Contains(request.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes, []byte("mallory"))
			})
			config.SASL = &kafka.SASL{Mechanism: mechanism, Username: "mallory", Password: "wrong guess"}
			_, err = kafka.Open(t.Context(), config)
			require.ErrorIs(t, err, runtime.ErrDenied)
			require.NotErrorIs(t, err, runtime.ErrUnavailable)
			require.NotContains(t, err.Error(), "wrong guess")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestTLS(t *testing.T) {
	certificate, ca := selfSigned(t)
	cluster := fake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}))
	config := kafka.Config{Brokers: cluster.ListenAddrs(), Logger: logger(t), TLS: &kafka.TLS{CA: ca}}
	log, err := kafka.Open(t.Context(), config)
	require.NoError(t, err)
	ctx := withPatience(t)
	p := newTopic(ctx, t, log, 1)
	require.NoError(t, send(ctx, t, log, identityOf(ctx, t, log), batch(p, 0)).Err)
	require.NoError(t, log.Close())

	for name, wrong := range map[string]*kafka.TLS{
		"unknown authority": {},
		"another name":      {CA: ca, ServerName: "elsewhere.example"},
	} {
		config.TLS = wrong
		_, err = kafka.Open(t.Context(), config)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, runtime.ErrUnavailable, name)
		require.ErrorContains(t, err, "certificate", name)
	}
	plain := fake(t)
	_, err = kafka.Open(t.Context(), kafka.Config{Brokers: plain.ListenAddrs(), TLS: &kafka.TLS{CA: ca}})
	require.Error(t, err)
	_, err = kafka.Open(t.Context(), kafka.Config{Brokers: cluster.ListenAddrs()})
	require.Error(t, err)
}

// selfSigned makes a certificate for 127.0.0.1 and a file with it.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	var file bytes.Buffer
	require.NoError(t, pem.Encode(&file, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(path, file.Bytes(), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}
