// Package services gives tests a real Kafka broker and a real Postgres server.
//
// Kafka and Postgres give what all tests of a run share: the services named by KAFKA_BROKERS and POSTGRES_URL, or, where
// these are not set, one of each that is started for the test process and ends with it. NewBroker and NewPostgres
// start one of the test's own, to be killed, stopped and frozen. Where the machine lacks what a service needs the test is
// skipped, with the reason; with CI=true it fails. The package is no fake and keeps no state between runs.
package services

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/services/local"
)

// Environment variables that name services to use instead of starting some.
const (
	KafkaVariable    = "KAFKA_BROKERS"
	PostgresVariable = "POSTGRES_URL"
)

// The services that a test process shares. Nobody stops them: the kernel does, with the process.
var (
	sharedKafka    = sync.OnceValues(func() (*local.Service, error) { return local.StartKafka(context.Background(), local.Config{}) })
	sharedPostgres = sync.OnceValues(func() (*local.Service, error) {
		return local.StartPostgres(context.Background(), local.Config{Settings: unsafeButFast})
	})
)

// unsafeButFast spares the disk. A killed server loses nothing by it, only a machine that loses power does.
var unsafeButFast = []string{"fsync = off", "full_page_writes = off"}

// Kafka returns the bootstrap addresses of a broker, separated by commas. Tests share it: use topics and groups with
// names of your own (see Name).
func Kafka(t testing.TB) string {
	t.Helper()
	if brokers := os.Getenv(KafkaVariable); brokers != "" {
		return brokers
	}
	broker, err := sharedKafka()
	need(t, err)
	return broker.Address
}

// Postgres returns the URL of a fresh database, which is dropped at the end of the test. The server is shared.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(PostgresVariable)
	if server == "" {
		own, err := sharedPostgres()
		need(t, err)
		server = own.Address
	}
	return newDatabase(t, server)
}

// Name returns a name that nobody else has: the test's own and a random part, of letters, digits and hyphens.
func Name(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, t.Name())
	return name[:min(len(name), 100)] + "-" + random()
}

// FreeAddress returns an address of loopback at which nobody listens. It stays free while whoever is to have it is down, unless
// another test takes it.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := local.FreeAddress()
	require.NoError(t, err)
	return address
}

func random() string { return strings.ToLower(rand.Text()[:10]) }

// newDatabase creates a database on a server and returns the URL of it.
func newDatabase(t testing.TB, server string) string {
	t.Helper()
	name := "flows_test_" + random()
	execute(t, server, `create database "`+name+`"`)
	t.Cleanup(func() { execute(t, server, `drop database "`+name+`" with (force)`) })
	return withDatabase(t, server, name)
}

func withDatabase(t testing.TB, server, name string) string {
	t.Helper()
	address, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not a URL", PostgresVariable) // The error would show the password.
	}
	address.Path = "/" + name
	return address.String()
}

func execute(t testing.TB, server, statement string) {
	t.Helper()
	ctx := context.Background() // A cleanup runs after the end of the test's own context.
	connection, err := pgx.Connect(ctx, server)
	require.NoError(t, err)
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, statement)
	require.NoError(t, err)
}

// need skips the test where a service can't be had on this machine, and fails it where it should be.
func need(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if errors.Is(err, local.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	t.Fatal(err)
}
