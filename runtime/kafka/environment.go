package kafka

import (
	"fmt"
	"strconv"
	"strings"
)

// Environment variables that FromEnvironment reads.
const (
	BrokersVariable       = "KAFKA_BROKERS"
	ClientIDVariable      = "KAFKA_CLIENT_ID"
	InstanceIDVariable    = "KAFKA_INSTANCE_ID"
	TLSVariable           = "KAFKA_TLS"
	TLSCAVariable         = "KAFKA_TLS_CA"
	TLSCertVariable       = "KAFKA_TLS_CERT"
	TLSKeyVariable        = "KAFKA_TLS_KEY"
	TLSServerNameVariable = "KAFKA_TLS_SERVER_NAME"
	SASLMechanismVariable = "KAFKA_SASL_MECHANISM"
	SASLUsernameVariable  = "KAFKA_SASL_USERNAME"
	SASLPasswordVariable  = "KAFKA_SASL_PASSWORD"
)

// FromEnvironment reads a configuration from environment variables; lookup is os.LookupEnv. KAFKA_TLS is implied by
// any other KAFKA_TLS_ variable, KAFKA_SASL_MECHANISM is PLAIN unless set. The error names every problem and no secret.
func FromEnvironment(lookup func(string) (string, bool)) (Config, error) {
	get := func(name string) string {
		value, _ := lookup(name)
		return strings.TrimSpace(value)
	}
	c := Config{ClientID: get(ClientIDVariable), InstanceID: get(InstanceIDVariable)}
	for address := range strings.SplitSeq(get(BrokersVariable), ",") {
		if address = strings.TrimSpace(address); address != "" {
			c.Brokers = append(c.Brokers, address)
		}
	}
	var problems []error
	var err error
	if c.TLS, err = tlsFromEnvironment(get); err != nil {
		problems = append(problems, err)
	}
	password, _ := lookup(SASLPasswordVariable)
	c.SASL = saslFromEnvironment(get, password)
	if err := c.Validate(); err != nil {
		problems = append(problems, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "kafka: ")))
	}
	return c, joined(problems)
}

func tlsFromEnvironment(get func(string) string) (*TLS, error) {
	t := &TLS{
		CA: get(TLSCAVariable), Certificate: get(TLSCertVariable), Key: get(TLSKeyVariable),
		ServerName: get(TLSServerNameVariable),
	}
	given := *t != TLS{}
	enabled := given
	if text := get(TLSVariable); text != "" {
		var err error
		if enabled, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("%s is %q; it takes true or false", TLSVariable, text)
		}
	}
	switch {
	case enabled:
		return t, nil
	case given:
		return nil, fmt.Errorf("%s is false, but other %s_ variables are set", TLSVariable, TLSVariable)
	}
	return nil, nil
}

func saslFromEnvironment(get func(string) string, password string) *SASL {
	s := SASL{Mechanism: strings.ToUpper(get(SASLMechanismVariable)), Username: get(SASLUsernameVariable), Password: password}
	if s == (SASL{}) {
		return nil
	}
	if s.Mechanism == "" {
		s.Mechanism = "PLAIN"
	}
	return &s
}
