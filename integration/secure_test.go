package integration

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/kappaflows/flows/internal/services"
)

// secure is a broker and a database that want to know who comes, and encrypt.
type secure struct {
	t         *testing.T
	authority *authority
	broker    *services.Broker
	server    *services.Server
	scram     string
	plain     string
	postgres  string
	// wrong is a password that is nobody's; it is not for logs either.
	wrong     string
	client    pair
	badClient pair
	program   string
	oracle    oracle
	database  string
}

// Users of the broker and of the database.
const (
	appUser     = "app"
	scramUser   = "wordcount"
	migrateUser = "wordcount_migrate"
)

// saslListener is what a listener needs that asks for a user and a password.
func saslListener(name, mechanism, module, options string) []string {
	prefix := "listener.name." + name + "."
	return []string{
		prefix + "sasl.enabled.mechanisms=" + mechanism,
		prefix + strings.ToLower(mechanism) + ".sasl.jaas.config=org.apache.kafka.common.security." + module + " required" + options + ";",
	}
}

// newSecure starts the services. Programs reach them as their tests say; the oracle and the set-up come through
// listeners that let anybody in, whom the broker takes for its administrator.
func newSecure(t *testing.T, example string, properties ...string) *secure {
	t.Helper()
	s := &secure{
		t: t, authority: newAuthority(t, "authority"), program: build(t, example),
		scram: "scram-" + random(), plain: "plain-" + random(), postgres: "postgres:/?#@" + random(), wrong: "wrong-" + random(),
	}
	s.client = s.authority.issue(appUser, nil)
	s.badClient = newAuthority(t, "stranger").issue("stranger", nil)
	s.startBroker(properties)
	s.server, s.database = s.newServer(s.authority.issue("server", nil))
	t.Cleanup(func() {
		s.searchSecrets("the broker's log", s.broker.Log())
		s.searchSecrets("the server's log", s.server.Log())
	})
	s.oracle = oracle{brokers: s.broker.Addr(), database: s.database}
	return s
}

func random() string { return strings.ToLower(rand.Text()) }

func (s *secure) startBroker(properties []string) {
	s.t.Helper()
	good := s.authority.issue("broker", nil)
	properties = append([]string{
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + good.both,
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + s.authority.file,
		"listener.name.mutual.ssl.client.auth=required",
		"listener.name.mutual.ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/",
		"listener.name.expired.ssl.keystore.location=" + s.authority.issue("expired", expired).both,
		"listener.name.elsewhere.ssl.keystore.location=" + s.authority.issue("elsewhere", elsewhere).both,
	}, properties...)
	properties = append(properties, saslListener("scram", "SCRAM-SHA-512", "scram.ScramLoginModule", "")...)
	properties = append(properties, saslListener("plain", "PLAIN", "plain.PlainLoginModule", fmt.Sprintf(" user_%s=%q", appUser, s.plain))...)
	s.broker = services.NewListeningBroker(s.t, map[string]string{
		"SCRAM": "SASL_SSL", "PLAIN": "SASL_SSL", "MUTUAL": "SSL", "EXPIRED": "SSL", "ELSEWHERE": "SSL",
	}, properties...)
	s.addUser(scramUser)
}

// addUser makes a user of the broker who has the password of SCRAM.
func (s *secure) addUser(name string) {
	s.t.Helper()
	admin := kadm.NewClient(oracle{brokers: s.broker.Addr()}.client(s.t))
	answers, err := admin.AlterUserSCRAMs(s.t.Context(), nil, []kadm.UpsertSCRAM{{
		User: name, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: s.scram,
	}})
	require.NoError(s.t, err)
	require.NoError(s.t, answers.Error())
}

// newServer starts a database that shows a certificate, and returns the URL of one in it. The user of the example has a
// password, that of the app a certificate.
func (s *secure) newServer(shown pair) (*services.Server, string) {
	s.t.Helper()
	giveToPostgres(s.t, shown.key)
	rules := filepath.Join(s.authority.folder, "hba.conf")
	require.NoError(s.t, os.WriteFile(rules, []byte("host all postgres 127.0.0.1/32 trust\nhostssl all "+appUser+" 127.0.0.1/32 cert\n"+
		"hostssl all all 127.0.0.1/32 scram-sha-256\n"), 0o644))
	server := services.NewPostgres(s.t, "ssl = on", "ssl_cert_file = '"+shown.certificate+"'", "ssl_key_file = '"+shown.key+"'",
		"ssl_ca_file = '"+s.authority.file+"'", "password_encryption = 'scram-sha-256'", "hba_file = '"+rules+"'", "log_connections = on")
	return server, server.NewDatabase()
}

// asAdministrator runs statements as the superuser.
func (s *secure) asAdministrator(statements ...string) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.database)
	require.NoError(s.t, err)
	defer conn.Close(s.t.Context())
	for _, statement := range statements {
		_, err := conn.Exec(s.t.Context(), statement)
		require.NoError(s.t, err, statement)
	}
}

// url returns the database's URL for a user, who has a password, with encryption checked in full.
func (s *secure) url(user, password string, parameters ...string) string {
	s.t.Helper()
	address, err := url.Parse(s.database)
	require.NoError(s.t, err)
	address.User = url.UserPassword(user, password)
	values := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {s.authority.file}}
	for _, parameter := range parameters {
		name, value, _ := strings.Cut(parameter, "=")
		values.Set(name, value)
	}
	address.RawQuery = values.Encode()
	return address.String()
}

// urlOf returns the database's URL for the user that has a certificate, with one to show.
func (s *secure) urlOf(shown pair) string {
	s.t.Helper()
	return strings.Replace(s.url(appUser, "", "sslcert="+shown.certificate, "sslkey="+shown.key), appUser+":@", appUser+"@", 1)
}

// environment returns the variables of a program that comes by SCRAM, with some changed or added.
func (s *secure) environment(changed ...string) []string {
	return append(environment(s.broker.Listener("SCRAM"), s.url(scramUser, s.postgres)), append([]string{
		"LOG_LEVEL=debug", "KAFKA_TLS_CA=" + s.authority.file, "KAFKA_SASL_MECHANISM=SCRAM-SHA-512",
		"KAFKA_SASL_USERNAME=" + scramUser, "KAFKA_SASL_PASSWORD=" + s.scram,
	}, changed...)...)
}

// byPlain are the variables that change for PLAIN, byCertificate those for a certificate.
func (s *secure) byPlain() []string {
	return []string{
		"KAFKA_BROKERS=" + s.broker.Listener("PLAIN"), "KAFKA_SASL_MECHANISM=PLAIN", "KAFKA_SASL_USERNAME=" + appUser,
		"KAFKA_SASL_PASSWORD=" + s.plain,
	}
}

func (s *secure) byCertificate(shown pair) []string {
	return []string{
		"KAFKA_BROKERS=" + s.broker.Listener("MUTUAL"), "KAFKA_SASL_MECHANISM=", "KAFKA_SASL_USERNAME=", "KAFKA_SASL_PASSWORD=",
		"KAFKA_TLS_CERT=" + shown.certificate, "KAFKA_TLS_KEY=" + shown.key, "POSTGRES_URL=" + s.urlOf(shown),
	}
}

// start starts the program; what it prints is looked through for secrets at the end of the test.
func (s *secure) start(env []string, args ...string) *process {
	s.t.Helper()
	p := start(s.t, env, s.program, args...)
	s.t.Cleanup(func() { s.searchSecrets(strings.Join(args, " "), p.log.String()) })
	return p
}

// run runs the program to its good end.
func (s *secure) run(env []string, args ...string) string {
	s.t.Helper()
	p := s.start(env, args...)
	<-p.done
	require.NoError(s.t, p.err, "%v: %s", args, p.log.tail())
	return p.log.String()
}

// searchSecrets fails the test where a text has a secret, as it is or as it is written in a URL.
func (s *secure) searchSecrets(what, text string) {
	s.t.Helper()
	secrets := []string{s.scram, s.plain, s.postgres, s.wrong, url.QueryEscape(s.postgres), url.PathEscape(s.postgres), "PRIVATE KEY"}
	if address, err := url.Parse(s.url(scramUser, s.postgres)); err == nil {
		_, inURL, _ := strings.Cut(strings.TrimSuffix(address.User.String(), "@"), ":")
		secrets = append(secrets, inURL)
	}
	for _, file := range []string{s.client.key, s.badClient.key} {
		content, err := os.ReadFile(file)
		require.NoError(s.t, err)
		secrets = append(secrets, strings.Split(string(content), "\n")[1])
	}
	for _, secret := range secrets {
		require.NotContains(s.t, text, secret, what)
	}
}

// refused runs the program, which must end by itself with status 1 and one line that has all the words.
func (s *secure) refused(env []string, words []string, args ...string) {
	s.t.Helper()
	begin := time.Now()
	p := s.start(env, args...)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		require.Fail(s.t, "the program does not end", p.log.tail())
	}
	s.t.Logf("after %s: %s", time.Since(begin).Round(time.Millisecond), lastLine(p.log.String()))
	require.Equal(s.t, 1, p.command.ProcessState.ExitCode(), p.log.tail())
	var lines []string
	for line := range strings.Lines(p.log.String()) {
		if strings.HasPrefix(line, "wordcount: ") {
			lines = append(lines, line)
		}
	}
	require.Len(s.t, lines, 1, p.log.tail())
	for _, word := range words {
		require.Contains(s.t, lines[0], word)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
