package integration

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services"
)

// TestWordCountOverEncryptedConnections runs the whole program by each way to say who one is, to a broker and a database
// that encrypt, and holds what it counted against the oracle.
func TestWordCountOverEncryptedConnections(t *testing.T) {
	s := newSecure(t, "wordcount")
	s.addRoles()
	s.run(s.environment(), "topics", "create", "--partitions", "4")
	client := s.oracle.client(t)
	words := 0
	for name, changed := range map[string][]string{
		"scram": nil, "plain": append(s.byPlain(), "LOG_FORMAT=json"), "certificate": s.byCertificate(s.client),
	} {
		t.Run(name, func(t *testing.T) {
			address, profiles := services.FreeAddress(t), services.FreeAddress(t)
			p := s.start(s.environment(append(changed, "HTTP_ADDR="+address, "DEBUG_ADDR="+profiles)...), "run")
			words += produceLines(t, client, 2_000)
			awaitRecords(t, s.oracle, client, p, int64(words))
			awaitReady(t, p, address, http.StatusOK)
			for _, path := range []string{"/ready", "/metrics", "/topology", "/live"} {
				s.searchSecrets(path, fetch(t, address, path))
			}
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1"} {
				s.searchSecrets(path, fetch(t, profiles, path))
				require.Contains(t, fetch(t, address, path), "404", "not where everybody gets")
			}
			p.terminate(t)
			require.Equal(t, faults{}, s.oracle.counts(t, "words", "counts", "word_count"))
		})
	}
	s.commands()
}

// commands runs what the program has besides; what each prints is looked through for secrets.
func (s *secure) commands() {
	s.t.Helper()
	env := s.environment()
	for _, command := range []string{
		"--help", "version", "list", "graph --format json", "lag", "migrate", "state list count --limit 3", "state get count line",
		"dead-letter list count", "listen counts --from oldest --max 3", "deploy compose", "deploy kubernetes --image registry.example/app:1",
		"reset count --yes",
	} {
		s.run(env, strings.Fields(command)...)
	}
}

// addRoles makes the roles of the database: one that has a password, and one that has a certificate and the same rights.
func (s *secure) addRoles() {
	s.t.Helper()
	s.asAdministrator(
		fmt.Sprintf("create role %s login password '%s'", scramUser, s.postgres),
		"grant create on schema public to "+scramUser,
		fmt.Sprintf("create role %s login in role %s", appUser, scramUser),
	)
}

// former makes a certificate one that the app's user had.
func former(c *x509.Certificate) {
	expired(c)
	c.Subject.CommonName = appUser
}

// urlAt returns the URL of the usual user for another server.
func (s *secure) urlAt(database string) string {
	s.t.Helper()
	from, err := url.Parse(s.database)
	require.NoError(s.t, err)
	to, err := url.Parse(database)
	require.NoError(s.t, err)
	return strings.Replace(s.url(scramUser, s.postgres), from.Host, to.Host, 1)
}

// produced numbers the lines, so that each has a word that is new beside those that are known.
var produced atomic.Int64

// produceLines appends lines of text and returns how many words they have.
func produceLines(t *testing.T, client *kgo.Client, lines int) (words int) {
	t.Helper()
	records := make([]*kgo.Record, lines)
	for i := range records {
		text := fmt.Sprintf("line %d of these", produced.Add(1))
		words += len(strings.Fields(text))
		records[i] = &kgo.Record{Topic: "lines", Value: []byte(text)}
	}
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
	return words
}

// fetch returns what the program answers to a GET.
func fetch(t *testing.T, address, path string) string {
	t.Helper()
	response, err := (&http.Client{Timeout: 5 * time.Second}).Get("http://" + address + path)
	require.NoError(t, err)
	defer response.Body.Close()
	var text strings.Builder
	require.NoError(t, response.Write(&text))
	return text.String()
}

// TestRefusedConnections tries what must not work. Each has one line that says what is wrong, within seconds, without a
// secret.
func TestRefusedConnections(t *testing.T) {
	s := newSecure(t, "wordcount")
	s.addRoles()
	_, elapsed := s.newServer(s.authority.issue("elapsed", expired))
	s.run(s.environment(), "topics", "create", "--partitions", "1")
	stranger := newAuthority(t, "unknown")
	wrong := s.wrong
	for name, try := range map[string]struct {
		changed []string
		words   []string
	}{
		"broker of an unknown authority":     {[]string{"KAFKA_TLS_CA=" + stranger.file}, []string{"certificate signed by unknown authority"}},
		"broker's certificate expired":       {[]string{"KAFKA_BROKERS=" + s.broker.Listener("EXPIRED")}, []string{"certificate has expired"}},
		"broker of another name":             {[]string{"KAFKA_BROKERS=" + s.broker.Listener("ELSEWHERE")}, []string{"certificate", "127.0.0.1"}},
		"broker of another name than asked":  {[]string{"KAFKA_TLS_SERVER_NAME=kafka.example"}, []string{"certificate", "kafka.example"}},
		"broker without encryption":          {[]string{"KAFKA_BROKERS=" + s.broker.Addr()}, []string{"TLS"}},
		"no encryption to the broker":        {[]string{"KAFKA_TLS_CA=", "KAFKA_TLS=false"}, []string{"TLS"}},
		"password of the broker, SCRAM":      {[]string{"KAFKA_SASL_PASSWORD=" + wrong}, []string{"permission denied", "SASL"}},
		"user of the broker, SCRAM":          {[]string{"KAFKA_SASL_USERNAME=nobody"}, []string{"permission denied", "SASL"}},
		"password of the broker, PLAIN":      {append(s.byPlain(), "KAFKA_SASL_PASSWORD="+wrong), []string{"permission denied", "Invalid username or password"}},
		"user of the broker, PLAIN":          {append(s.byPlain(), "KAFKA_SASL_USERNAME=nobody"), []string{"permission denied", "Invalid username or password"}},
		"mechanism that is not offered":      {[]string{"KAFKA_SASL_MECHANISM=PLAIN"}, []string{"SASL"}},
		"no user":                            {[]string{"KAFKA_SASL_MECHANISM=", "KAFKA_SASL_USERNAME=", "KAFKA_SASL_PASSWORD="}, []string{"SASL"}},
		"certificate of a stranger":          {s.byCertificate(s.badClient), []string{"does not take this process's TLS certificate"}},
		"no certificate":                     {append(s.byCertificate(s.client), "KAFKA_TLS_CERT=", "KAFKA_TLS_KEY="), []string{"certificate"}},
		"certificate that expired":           {s.byCertificate(s.authority.issue("former", expired)), []string{"certificate"}},
		"key that is no key":                 {append(s.byCertificate(s.client), "KAFKA_TLS_KEY="+s.client.certificate), []string{"TLS certificate"}},
		"database of an unknown authority":   {[]string{"POSTGRES_URL=" + s.url(scramUser, s.postgres, "sslrootcert="+stranger.file)}, []string{"postgres", "unknown authority"}},
		"database's certificate expired":     {[]string{"POSTGRES_URL=" + s.urlAt(elapsed)}, []string{"postgres", "certificate has expired"}},
		"database, certificate that expired": {[]string{"POSTGRES_URL=" + s.urlOf(s.authority.issue("before", former))}, []string{"postgres", "does not take this process's certificate", "expired"}},
		"database, stranger's certificate":   {[]string{"POSTGRES_URL=" + s.urlOf(s.badClient)}, []string{"postgres", "valid client certificate"}},
		"database, another's certificate":    {[]string{"POSTGRES_URL=" + s.urlOf(s.authority.issue("other", nil))}, []string{"postgres", "certificate authentication failed"}},
		"database, no certificate":           {[]string{"POSTGRES_URL=" + s.url(appUser, s.postgres)}, []string{"postgres", "valid client certificate"}},
		"database of another name":           {[]string{"POSTGRES_URL=" + strings.Replace(s.url(scramUser, s.postgres), "127.0.0.1", "localhost", 1)}, []string{"postgres", "localhost"}},
		"no encryption to the database":      {[]string{"POSTGRES_URL=" + s.url(scramUser, s.postgres, "sslmode=disable")}, []string{"postgres", "no encryption"}},
		"password of the database":           {[]string{"POSTGRES_URL=" + s.url(scramUser, wrong)}, []string{"postgres", "password authentication failed"}},
		"user of the database":               {[]string{"POSTGRES_URL=" + s.url("nobody", s.postgres)}, []string{"postgres", "nobody"}},
		"database without a password":        {[]string{"POSTGRES_URL=" + s.url(scramUser, "")}, []string{"postgres", "password"}},
		"authority's file is not there":      {[]string{"POSTGRES_URL=" + s.url(scramUser, s.postgres, "sslrootcert=/nonexistent.pem")}, []string{"postgres", "sslrootcert", "no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			at := *s
			at.t = t
			at.refused(at.environment(try.changed...), try.words, "run")
		})
	}
}
