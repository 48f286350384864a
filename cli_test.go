package flows_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/runtime/postgres"
)

// How long a test waits for something that comes, and how often it looks.
const (
	patience = 20 * time.Second
	tick     = 10 * time.Millisecond
)

func TestWrongUsageIsOneLineAndStatusTwo(t *testing.T) {
	for args, want := range map[string]string{
		"":                                      `expected one of "run", "list", "graph", "topics", "produce", ...; see NAME --help`,
		"rum":                                   `unexpected argument rum, did you mean "run"?; see NAME --help`,
		"run nothing":                           `no function is called "nothing"; there are split, count`,
		"list --wide":                           `unknown flag --wide; see NAME --help`,
		"graph --format=dot":                    `--format must be one of "mermaid","json" but got "dot"; see NAME --help`,
		"topics create --partitions=0":          `topics create: --partitions takes 1 or more, --replicas 0 or more; see NAME --help`,
		"produce":                               `expected "<topic>"; see NAME --help`,
		"produce nowhere":                       `no function uses a topic "nowhere"; there are lines, words, counts`,
		"produce lines --rate=-1":               `produce: --rate takes a number above 0; see NAME --help`,
		"produce lines --key=a --key-separator": `--key-separator: expected string value but got "EOL" (<EOL>); see NAME --help`,
		"listen nowhere":                        `no function uses a topic "nowhere"; there are lines, words, counts, split.dead-letter, count.dead-letter`,
		"listen lines --partition=2":            `topic lines has partitions 0 to 1`,
		"run --log-level=loud":                  `--log-level: "loud" is no level; debug, info, warn and error are; see NAME --help`,
	} {
		t.Run(args, func(t *testing.T) {
			status, stdout, stderr := wordcount(newLog(t)).run(t, strings.Fields(args)...)
			require.Equal(t, name()+": "+strings.ReplaceAll(want, "NAME", name())+"\n", stderr)
			require.Empty(t, stdout)
			require.Equal(t, 2, status)
		})
	}
}

func TestHelpAndVersionAreStatusZero(t *testing.T) {
	for _, args := range [][]string{
		{"--help"},
		{"run", "--help"},
		{"topics", "create", "--help"},
		{"listen", "--help"},
		{"version"},
		{"run", "no-such-function", "--help"},
	} {
		status, stdout, stderr := wordcount(newLog(t)).run(t, args...)
		require.Equal(t, 0, status, args)
		require.NotEmpty(t, stdout, args)
		require.Empty(t, stderr, args)
	}
}

func TestHelpShowsCommandsAndEnvironmentAndNoSecret(t *testing.T) {
	t.Setenv("POSTGRES_URL", "postgres://user:geheim@host/db")
	p := wordcount(newLog(t))
	p.app.With(flows.Command{Name: "demo", Help: "Show it.", Run: func(context.Context, *flows.Invocation) error { return nil }})
	_, stdout, _ := p.run(t, "--help")
	for _, text := range []string{
		"run ", "list ", "graph ", "topics create ", "produce ", "listen ", "version ", "demo ", "Show it.",
		"$KAFKA_BROKERS", "$POSTGRES_URL", "$HTTP_ADDR", "$LOG_LEVEL", "produce lines words.txt",
	} {
		require.Contains(t, stdout, text)
	}
	require.NotContains(t, stdout, "geheim")
}

func TestListShowsAFunctionALine(t *testing.T) {
	status, stdout, _ := wordcount(nil).run(t, "list")
	require.Equal(t, 0, status)
	require.Equal(t, ""+
		"FUNCTION  KIND       READS  WRITES  TABLE       DELIVERY\n"+
		"split     stateless  lines  words   -           exactly once\n"+
		"count     stateful   words  counts  word_count  exactly once\n", stdout)
}

func TestTopicsCreateCreatesWhatIsMissing(t *testing.T) {
	log := memory.NewLog()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{{Name: "words", Partitions: 3}}))
	p := wordcount(log)
	status, stdout, stderr := p.run(t, "topics", "create", "--partitions=2")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "lines: created, 2 partitions\nwords: exists, 3 partitions\ncounts: created, 2 partitions\n"+
		"split.dead-letter: created, 2 partitions\ncount.dead-letter: created, 3 partitions\n", stdout)
	_, stdout, _ = p.run(t, "topics", "create")
	require.Equal(t, "lines: exists, 2 partitions\nwords: exists, 3 partitions\ncounts: exists, 2 partitions\n"+
		"split.dead-letter: exists, 2 partitions\ncount.dead-letter: exists, 3 partitions\n", stdout)
}

func TestProduceAndListen(t *testing.T) {
	p := wordcount(newLog(t))
	file := filepath.Join(t.TempDir(), "counts.txt")
	require.NoError(t, os.WriteFile(file, []byte("the=3\r\na=b=7\n\x1b[31m=1"), 0o600))
	status, stdout, stderr := p.run(t, "produce", "counts", "--key-separator==", file)
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "3 messages appended to counts\n", stdout)

	status, stdout, stderr = p.run(t, "listen", "counts", "--from=oldest", "--until-end")
	require.Equal(t, 0, status, stderr)
	var shown []string
	for line := range strings.Lines(stdout) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.Len(t, fields, 5)
		_, err := time.Parse(time.RFC3339, fields[2])
		require.NoError(t, err)
		shown = append(shown, fields[3]+" -> "+fields[4])
	}
	require.ElementsMatch(t, []string{
		"the -> 3", `a -> "b=7" (value is no int64: strconv.ParseInt: parsing "b=7": invalid syntax)`, `"\x1b[31m" -> 1`,
	}, normalise(shown))
}

// normalise leaves out how the format words what it refuses, which is its own matter.
func normalise(shown []string) []string {
	for i, s := range shown {
		if strings.HasPrefix(s, `"a" -> "b=7" (value is no int64`) {
			shown[i] = `a -> "b=7" (value is no int64: strconv.ParseInt: parsing "b=7": invalid syntax)`
		}
	}
	return shown
}

func TestProduceReadsTheStandardInput(t *testing.T) {
	log := newLog(t)
	p := wordcount(log)
	p.stdin = "one\n\ntwo"
	status, stdout, stderr := p.run(t, "produce", "lines", "--rate=100000")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "3 messages appended to lines\n", stdout)
	records := append(log.Records("lines", 0), log.Records("lines", 1)...)
	require.Len(t, records, 3)
	for _, r := range records {
		require.Nil(t, r.Key)
		require.NotNil(t, r.Value, "an empty line is an empty message, not a tombstone")
	}
}

func TestProduceWithOneKey(t *testing.T) {
	log := newLog(t)
	p := wordcount(log)
	p.stdin = "one\ntwo\n"
	status, _, stderr := p.run(t, "produce", "lines", "--key=", "-")
	require.Equal(t, 0, status, stderr)
	for _, r := range append(log.Records("lines", 0), log.Records("lines", 1)...) {
		require.NotNil(t, r.Key)
		require.Empty(t, r.Key)
	}
}

func TestProduceNamesTheLineThatIsWrong(t *testing.T) {
	p := wordcount(newLog(t))
	p.stdin = "a\tb\nno separator\n"
	status, stdout, stderr := p.run(t, "produce", "words", `--key-separator=\t`)
	require.Equal(t, 1, status)
	require.Equal(t, name()+`: -, line 2: there is no "\t" between a key and a value`+"\n", stderr)
	require.Equal(t, "1 messages appended to words\n", stdout, "what came before is appended")
	status, _, stderr = p.run(t, "produce", "words", "no-such-file")
	require.Equal(t, 1, status)
	require.Equal(t, name()+": open no-such-file: no such file or directory\n", stderr)
}

func TestListenStopsAfterAsManyAsAsked(t *testing.T) {
	log := newLog(t)
	_, err := log.Append("lines", 1, runtime.Output{Value: []byte("x\ty")}, runtime.Output{}, runtime.Output{Value: []byte("z")})
	require.NoError(t, err)
	status, stdout, stderr := wordcount(log).run(t, "listen", "lines", "--from=oldest", "--partition=1", "--max=2")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "1\t0\t1970-01-01T00:00:00.000Z\t(null)\t\"x\\ty\"\n1\t1\t1970-01-01T00:00:00.000Z\t(null)\t(tombstone)\n", stdout)
	status, stdout, _ = wordcount(log).run(t, "listen", "lines", "--until-end")
	require.Equal(t, 0, status)
	require.Empty(t, stdout)
}

func TestListenGoesOnUntilItIsTold(t *testing.T) {
	log := newLog(t)
	_, err := log.Append("lines", 0, runtime.Output{Value: []byte("seen")})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var out, problems syncBuffer
	status := make(chan int, 1)
	go func() {
		status <- wordcount(log).app.Execute(ctx, []string{"--kafka-brokers=m:1", "listen", "lines", "--from=oldest"}, strings.NewReader(""), &out, &problems)
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "seen") }, patience, tick)
	cancel()
	require.Equal(t, 0, <-status, problems.String())
	require.Empty(t, problems.String())
}

func TestAnAppsOwnCommandGetsItsArguments(t *testing.T) {
	var got *flows.Invocation
	p := wordcount(newLog(t))
	p.app.With(flows.Command{Name: "demo", Help: "Show it.", Run: func(_ context.Context, in *flows.Invocation) error {
		got = in
		return fmt.Errorf("it failed:\n%w", errors.New("in two lines"))
	}})
	status, _, stderr := p.run(t, "demo", "a", "b")
	require.Equal(t, 1, status)
	require.Equal(t, []string{"a", "b"}, got.Args)
	require.Equal(t, []string{"memory:9092"}, got.Settings.Kafka.Brokers)
	require.Equal(t, flows.NoHTTP, got.Settings.HTTPAddr)
	require.Equal(t, name()+": it failed:; in two lines\n", stderr)
}

func TestAnAppsOwnCommandHasFlags(t *testing.T) {
	flags := struct {
		Rate  float64  `default:"1.5" help:"How many a second."`
		Files []string `arg:"" optional:"" help:"Files."`
	}{}
	called := 0
	p := wordcount(newLog(t))
	p.app.With(flows.Command{Name: "generate", Help: "Make some.", Flags: &flags, Run: func(context.Context, *flows.Invocation) error {
		called++
		return nil
	}})
	status, _, stderr := p.run(t, "generate", "--rate=7", "a", "b")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, 1, called)
	require.InDelta(t, 7, flags.Rate, 0)
	require.Equal(t, []string{"a", "b"}, flags.Files)
	_, stdout, _ := p.run(t, "generate", "--help")
	require.Contains(t, stdout, "How many a second.")
	status, _, stderr = p.run(t, "generate", "--rate=fast")
	require.Equal(t, 2, status)
	require.Contains(t, stderr, "--rate: ")
	status, _, _ = p.run(t, "list")
	require.Equal(t, 0, status)
	require.Equal(t, 1, called)
}

func TestFlagsDecideOverTheEnvironment(t *testing.T) {
	t.Setenv("KAFKA_BROKERS", "elsewhere:9092,other:9092")
	t.Setenv("HTTP_ADDR", "off")
	var got flows.Settings
	app := flows.New(splitConfig).With(flows.Command{Name: "show", Help: "x", Run: func(_ context.Context, in *flows.Invocation) error {
		got = in.Settings
		return nil
	}})
	require.Equal(t, 0, app.Execute(t.Context(), []string{"show"}, nil, &syncBuffer{}, &syncBuffer{}))
	require.Equal(t, []string{"elsewhere:9092", "other:9092"}, got.Kafka.Brokers)
	require.Equal(t, 0, app.Execute(t.Context(), []string{"show", "--kafka-brokers=here:9092"}, nil, &syncBuffer{}, &syncBuffer{}))
	require.Equal(t, []string{"here:9092"}, got.Kafka.Brokers)
	require.Equal(t, "off", got.HTTPAddr)
}

func TestSizesAreRead(t *testing.T) {
	lookup := func(buffers, caches string) func(string) (string, bool) {
		return func(name string) (string, bool) {
			value := map[string]string{"BUFFER_BYTES": buffers, "CACHE_BYTES": caches}[name]
			return value, value != ""
		}
	}
	got, err := flows.FromEnvironment(lookup("64MiB", "1048576"))
	require.NoError(t, err)
	require.Equal(t, 64<<20, got.BufferBytes)
	require.Equal(t, 1<<20, got.CacheBytes)
	_, err = flows.FromEnvironment(lookup("much", "1KiB"))
	require.EqualError(t, err, "BUFFER_BYTES=\"much\" is no size from 1 MiB to 1 TiB; 256MiB is one\nCACHE_BYTES=\"1KiB\" is no size from 1 MiB to 1 TiB; 256MiB is one")
	_, err = flows.FromEnvironment(lookup("2TiB", "-1"))
	require.ErrorContains(t, err, "BUFFER_BYTES")
	require.ErrorContains(t, err, "CACHE_BYTES")
}

func TestSettingsThatContradictEachOther(t *testing.T) {
	t.Setenv("KAFKA_BROKERS", "")
	var out, problems syncBuffer
	status := flows.New(splitConfig).Execute(t.Context(), []string{"run", "--postgres-url=postgres://u:geheim@h/d"}, nil, &out, &problems)
	require.Equal(t, 2, status)
	require.Contains(t, problems.String(), "POSTGRES_URL is set and KAFKA_BROKERS is not")
	require.NotContains(t, problems.String(), "geheim")
}

func TestSecretsAreRedacted(t *testing.T) {
	s := flows.Settings{Postgres: postgres.Config{URL: "postgres://user:p%40ss@host/db"}}
	for line, want := range map[string]string{
		"cannot parse postgres://user:p%40ss@host/db": "cannot parse postgres://user:xxxxx@host/db",
		"dial user:p@ss@host":                         "dial user:xxxxx@host",
		"host=h password=p@ss":                        "host=h password=xxxxx",
		"nothing to hide":                             "nothing to hide",
	} {
		require.Equal(t, want, s.Redact(line))
	}
}
