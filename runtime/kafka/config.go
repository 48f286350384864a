package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// Config says how to reach a cluster.
type Config struct {
	// Brokers are the addresses to begin with, each host:port. One that answers is enough.
	Brokers []string
	// ClientID is what brokers log and meter this process as; empty is "flows".
	ClientID string
	// InstanceID, where set, makes the process a static member of its groups: it gets its partitions back when it
	// returns within the session timeout, and does not give them away when it leaves. It must be unique in a group.
	InstanceID string
	// TLS, where set, encrypts connections.
	TLS *TLS
	// SASL, where set, says who connects.
	SASL *SASL
	// Logger gets what happens to connections and groups; nil discards it.
	Logger *slog.Logger
	// Sarama may change the client's own settings, after everything else has been set. Those of its consumers and
	// producers, which are not used, have no effect.
	Sarama func(*sarama.Config)
}

// TLS says how connections are encrypted. The zero value trusts what the machine trusts.
type TLS struct {
	// CA is a PEM file of the authorities to trust instead of the machine's.
	CA string
	// Certificate and Key are PEM files of what the process shows as its own, both or none.
	Certificate, Key string
	// ServerName is the name to expect in certificates; empty is the host that is connected to.
	ServerName string
}

// SASL says who connects.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism          string
	Username, Password string
}

// String leaves the password out.
func (s SASL) String() string { return s.Mechanism + " as " + s.Username }

// GoString leaves the password out.
func (s SASL) GoString() string { return s.String() }

// LogValue leaves the password out.
func (s SASL) LogValue() slog.Value { return slog.StringValue(s.String()) }

const (
	defaultClientID = "flows"
	dialTimeout     = 3 * time.Second
	requestTimeout  = 15 * time.Second
	// refreshInterval is how often metadata is asked for again; new partitions are found within twice as long.
	refreshInterval = 10 * time.Second
	sessionTimeout  = 10 * time.Second
	// heartbeat is how often a member asks whether the group is rebalancing, so how long it takes to hear of it.
	heartbeat = time.Second
)

// Validate returns all that is wrong with the configuration in one error.
func (c Config) Validate() error {
	var problems []error
	if len(c.Brokers) == 0 {
		problems = append(problems, errors.New("no broker addresses"))
	}
	for i, address := range c.Brokers {
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" || strings.Contains(address, "@") {
			// The address is not shown: it may be a URL that has a password in it.
			problems = append(problems, fmt.Errorf("broker address %d of %d is not host:port", i+1, len(c.Brokers)))
		}
	}
	if c.TLS != nil && (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		problems = append(problems, errors.New("TLS certificate and key go together"))
	}
	if c.SASL != nil {
		problems = append(problems, c.SASL.problems()...)
	}
	return joined(problems)
}

func (s *SASL) problems() (problems []error) {
	if _, known := mechanisms[s.Mechanism]; !known {
		problems = append(problems, fmt.Errorf("SASL mechanism %q; it takes PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism))
	}
	if s.Username == "" {
		problems = append(problems, errors.New("SASL without a user name"))
	}
	if s.Password == "" {
		problems = append(problems, errors.New("SASL without a password"))
	}
	return problems
}

// joined makes one line of many problems.
func joined(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, len(problems))
	for i, problem := range problems {
		lines[i] = problem.Error()
	}
	return errors.New("kafka: " + strings.Join(lines, "; "))
}

// mechanisms are the SASL mechanisms, with the hash of those that have one.
var mechanisms = map[string]scram.HashGeneratorFcn{
	sarama.SASLTypePlaintext:   nil,
	sarama.SASLTypeSCRAMSHA256: scram.SHA256,
	sarama.SASLTypeSCRAMSHA512: scram.SHA512,
}

// settings are sarama's for this configuration.
func (c Config) settings() (*sarama.Config, error) {
	s := sarama.NewConfig()
	s.Version = sarama.V4_0_0_0
	s.ClientID = c.ClientID
	if s.ClientID == "" {
		s.ClientID = defaultClientID
	}
	s.Net.DialTimeout, s.Net.ReadTimeout, s.Net.WriteTimeout = dialTimeout, requestTimeout, requestTimeout
	s.Net.KeepAlive = 30 * time.Second
	s.Metadata.Full = false
	s.Metadata.AllowAutoTopicCreation = false
	s.Metadata.RefreshFrequency = refreshInterval
	s.Metadata.Retry.Max, s.Metadata.Retry.Backoff = 2, 100*time.Millisecond
	s.Metadata.Timeout = requestTimeout
	if err := c.secure(s); err != nil {
		return nil, err
	}
	if c.Sarama != nil {
		c.Sarama(s)
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return s, nil
}

func (c Config) secure(s *sarama.Config) error {
	if c.TLS != nil {
		config, err := c.TLS.config()
		if err != nil {
			return err
		}
		s.Net.TLS.Enable, s.Net.TLS.Config = true, config
	}
	if c.SASL == nil {
		return nil
	}
	s.Net.SASL.Enable = true
	s.Net.SASL.Mechanism = sarama.SASLMechanism(c.SASL.Mechanism)
	s.Net.SASL.User, s.Net.SASL.Password = c.SASL.Username, c.SASL.Password
	if hash := mechanisms[c.SASL.Mechanism]; hash != nil {
		s.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: hash} }
	}
	return nil
}

func (t *TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("kafka: TLS authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka: TLS authorities: no certificate in %s", t.CA)
		}
	}
	if t.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("kafka: TLS certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// conversation is a SCRAM exchange as sarama wants it.
type conversation struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

func (c *conversation) Begin(user, password, authorization string) error {
	client, err := c.hash.NewClient(user, password, authorization)
	if err != nil {
		return err
	}
	c.ClientConversation = client.NewConversation()
	return nil
}
