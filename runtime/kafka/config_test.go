package kafka_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime/kafka"
)

func lookup(environment map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	}
}

func TestFromEnvironment(t *testing.T) {
	for _, test := range []struct {
		name        string
		environment map[string]string
		want        kafka.Config
	}{
		{"plain", map[string]string{"KAFKA_BROKERS": " a:1, b:2,"}, kafka.Config{Brokers: []string{"a:1", "b:2"}}},
		{
			"names",
			map[string]string{"KAFKA_BROKERS": "a:1", "KAFKA_CLIENT_ID": "me", "KAFKA_INSTANCE_ID": "pod-0"},
			kafka.Config{Brokers: []string{"a:1"}, ClientID: "me", InstanceID: "pod-0"},
		},
		{"tls", map[string]string{"KAFKA_BROKERS": "a:1", "KAFKA_TLS": "true"}, kafka.Config{Brokers: []string{"a:1"}, TLS: &kafka.TLS{}}},
		{"no tls", map[string]string{"KAFKA_BROKERS": "a:1", "KAFKA_TLS": "false"}, kafka.Config{Brokers: []string{"a:1"}}},
		{
			"tls implied",
			map[string]string{"KAFKA_BROKERS": "a:1", "KAFKA_TLS_CA": "ca", "KAFKA_TLS_CERT": "c", "KAFKA_TLS_KEY": "k", "KAFKA_TLS_SERVER_NAME": "n"},
			kafka.Config{Brokers: []string{"a:1"}, TLS: &kafka.TLS{CA: "ca", Certificate: "c", Key: "k", ServerName: "n"}},
		},
		{
			"sasl",
			map[string]string{"KAFKA_BROKERS": "a:1", "KAFKA_SASL_MECHANISM": "scram-sha-512", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": " p "},
			kafka.Config{Brokers: []string{"a:1"}, SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-512", Username: "u", Password: " p "}},
		},
		{
			"sasl by default",
			map[string]string{"KAFKA_BROKERS": "a:1", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p"},
			kafka.Config{Brokers: []string{"a:1"}, SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: "p"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := kafka.FromEnvironment(lookup(test.environment))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestFromEnvironmentTellsEverythingAtOnce(t *testing.T) {
	_, err := kafka.FromEnvironment(lookup(map[string]string{
		"KAFKA_BROKERS": "a:1,kafka://admin:hush@b:2", "KAFKA_TLS": "perhaps", "KAFKA_SASL_MECHANISM": "GSSAPI", "KAFKA_SASL_PASSWORD": "hush",
	}))
	require.EqualError(t, err, `kafka: KAFKA_TLS is "perhaps"; it takes true or false; broker address 2 of 2 is not host:port; `+
		`SASL mechanism "GSSAPI"; it takes PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; SASL without a user name`)
	_, err = kafka.FromEnvironment(lookup(map[string]string{"KAFKA_TLS": "false", "KAFKA_TLS_CERT": "c"}))
	require.EqualError(t, err, "kafka: KAFKA_TLS is false, but other KAFKA_TLS_ variables are set; no broker addresses")
	_, err = kafka.FromEnvironment(lookup(map[string]string{"KAFKA_BROKERS": "a:1", "KAFKA_TLS_CERT": "c"}))
	require.EqualError(t, err, "kafka: TLS certificate and key go together")
}

func TestSecretsStayOutOfText(t *testing.T) {
	c := kafka.Config{Brokers: []string{"a:1"}, SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u", Password: "hush"}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("connecting", "sasl", *c.SASL)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", *c.SASL, *c.SASL, *c.SASL, c.SASL), log.String()} {
		require.NotContains(t, text, "hush")
		require.Contains(t, text, "PLAIN as u")
	}
}

func TestWrongFilesAreNamed(t *testing.T) {
	_, err := kafka.Open(t.Context(), kafka.Config{Brokers: []string{"a:1"}, TLS: &kafka.TLS{CA: "/nowhere/ca.pem"}})
	require.ErrorContains(t, err, "/nowhere/ca.pem")
	_, err = kafka.Open(t.Context(), kafka.Config{Brokers: []string{"a:1"}, TLS: &kafka.TLS{Certificate: "/nowhere/c.pem", Key: "/nowhere/k.pem"}})
	require.ErrorContains(t, err, "/nowhere/c.pem")
}

// TestSaramaSettings shows that the client's own settings can be changed, and that wrong ones are refused.
func TestSaramaSettings(t *testing.T) {
	cluster := fake(t)
	seen := ""
	config := kafka.Config{Brokers: cluster.ListenAddrs(), Sarama: func(c *sarama.Config) { seen = c.ClientID }}
	log, err := kafka.Open(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, log.Close())
	require.Equal(t, "flows", seen)
	config.Sarama = func(c *sarama.Config) { c.Net.MaxOpenRequests = 0 }
	_, err = kafka.Open(t.Context(), config)
	require.ErrorContains(t, err, "MaxOpenRequests")
}

func FuzzFromEnvironment(f *testing.F) {
	f.Add("a:1,b:2", "true", "PLAIN", "user")
	f.Add("kafka://u:p@host:1", "", "scram-sha-256", "")
	f.Add(",,:", "no", "", "x\ny")
	f.Fuzz(func(t *testing.T, brokers, tls, mechanism, user string) {
		const secret = "a-secret-that-nothing-else-has"
		c, err := kafka.FromEnvironment(lookup(map[string]string{
			"KAFKA_BROKERS": brokers, "KAFKA_TLS": tls, "KAFKA_SASL_MECHANISM": mechanism, "KAFKA_SASL_USERNAME": user, "KAFKA_SASL_PASSWORD": secret,
		}))
		if err != nil {
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.NotEmpty(t, c.Brokers)
		require.NotNil(t, c.SASL)
	})
}
