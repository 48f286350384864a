package flows

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/runtime/postgres"
)

// Settings say where and how an app runs. The zero value runs everything inside the process: the embedded log and
// store, empty at every start.
type Settings struct {
	// Kafka is the cluster. Without Brokers the app runs on the embedded log and store.
	Kafka kafka.Config
	// Postgres is the database. It goes with a cluster: neither or both, except that functions whose delivery is at
	// least once need no database.
	Postgres postgres.Config
	// DataDir is where the embedded log and store keep their data; without it they keep nothing.
	DataDir string
	// HTTPAddr is where the app answers /live, /ready, /metrics and /topology; empty is ":8080" on a cluster and
	// "127.0.0.1:8080" embedded, and NoHTTP is not at all.
	HTTPAddr string
	// DebugAddr, where set, is where the process serves profiles of itself under /debug/pprof/. Only an address that no
	// other machine can reach is taken, such as "127.0.0.1:6060".
	DebugAddr string
	// BufferBytes bounds what all partitions of the process together hold of messages and outputs that are on their way, and
	// CacheBytes what they keep of states; 0 is 256 MiB each. Partitions share them, see runtime.Config. A process takes up to
	// about twice as much, see "How much memory a process takes" in docs/operations.md.
	BufferBytes, CacheBytes int
	// Functions are the names of the functions to run; none is all.
	Functions []string
	// Logger gets what the app has to say; nil discards it.
	Logger *slog.Logger
}

// NoHTTP as Settings.HTTPAddr means that the app serves no HTTP.
const NoHTTP = "off"

const (
	clusterAddr  = ":8080"
	embeddedAddr = "127.0.0.1:8080"
)

// FromEnvironment reads settings from environment variables: KAFKA_BROKERS and the TLS and SASL settings beside it (see
// kafka.FromEnvironment), POSTGRES_URL, HTTP_ADDR, DEBUG_ADDR, DATA_DIR, and BUFFER_BYTES and CACHE_BYTES, which are sizes
// such as 64MiB. lookup is os.LookupEnv or one like it.
func FromEnvironment(lookup func(string) (string, bool)) (Settings, error) {
	value := func(name string) string {
		text, _ := lookup(name)
		return strings.TrimSpace(text)
	}
	settings := Settings{
		Postgres:  postgres.Config{URL: value("POSTGRES_URL")},
		DataDir:   value("DATA_DIR"),
		HTTPAddr:  value("HTTP_ADDR"),
		DebugAddr: value("DEBUG_ADDR"),
	}
	var problems [3]error
	settings.BufferBytes, problems[0] = byteSize("BUFFER_BYTES", value("BUFFER_BYTES"))
	settings.CacheBytes, problems[1] = byteSize("CACHE_BYTES", value("CACHE_BYTES"))
	if value("KAFKA_BROKERS") != "" {
		settings.Kafka, problems[2] = kafka.FromEnvironment(lookup)
	}
	return settings, errors.Join(problems[:]...)
}

// byteSize reads how many bytes a setting is; none is 0.
func byteSize(name, text string) (int, error) {
	const least, most = 1 << 20, 1 << 40
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s=%q is no size from 1 MiB to 1 TiB; 256MiB is one", name, text)
	}
	return int(n), nil
}

// Embedded says whether the settings mean the log and the store inside the process.
func (s *Settings) Embedded() bool { return len(s.Kafka.Brokers) == 0 }

func (s *Settings) check() error {
	if s.Embedded() && s.Postgres.URL != "" {
		return usagef("POSTGRES_URL is set and KAFKA_BROKERS is not: set both to run on a cluster, or neither to run embedded")
	}
	return nil
}

func (s *Settings) httpAddr() string {
	switch {
	case s.HTTPAddr == NoHTTP || s.HTTPAddr == "-":
		return NoHTTP
	case s.HTTPAddr != "":
		return s.HTTPAddr
	case s.Embedded():
		return embeddedAddr
	default:
		return clusterAddr
	}
}

// redact removes the settings' secrets from a line for people. Drivers keep them out of their errors; this is for what
// comes from further down.
func (s *Settings) redact(line string) string {
	if s.Postgres.URL == "" {
		return line
	}
	parsed, err := url.Parse(s.Postgres.URL)
	if err != nil {
		return strings.ReplaceAll(line, s.Postgres.URL, "POSTGRES_URL")
	}
	line = strings.ReplaceAll(line, s.Postgres.URL, parsed.Redacted())
	if password, set := parsed.User.Password(); set && password != "" {
		// Each part of a URL is escaped in its own way.
		_, escaped, _ := strings.Cut(parsed.User.String(), ":")
		for _, spelled := range []string{password, escaped, url.QueryEscape(password), url.PathEscape(password)} {
			line = strings.ReplaceAll(line, ":"+spelled+"@", ":xxxxx@")
			line = strings.ReplaceAll(line, "password="+spelled, "password=xxxxx")
		}
	}
	return line
}

// usageError is a mistake of whoever called the program, not of the program: its exit status is 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func isUsage(err error) bool {
	_, is := errors.AsType[usageError](err)
	return is
}
