package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// binary is the program that the tests run, as users do.
var binary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	folder, err := os.MkdirTemp("", "wordcount-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary = filepath.Join(folder, "wordcount")
	if output, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil { //nolint:noctx // before any test
		fmt.Fprintf(os.Stderr, "cannot build the program: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// patience is how long a test waits for something that comes.
const patience = 60 * time.Second

// child is a running program.
type child struct {
	command        *exec.Cmd
	stdout, stderr output
	ended          chan error
}

// output collects what a program writes while a test looks.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// environment is the test's own without what would change the program, and with settings.
func environment(settings []string) (all []string) {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case strings.HasPrefix(name, "KAFKA_"), strings.HasPrefix(name, "LOG_"):
		case name == "POSTGRES_URL", name == "HTTP_ADDR", name == "DATA_DIR", name == "TEXT", name == "ONCE":
		default:
			all = append(all, variable)
		}
	}
	return append(append(all, "HTTP_ADDR=127.0.0.1:0"), settings...)
}

// start starts the program; the test ends it.
func start(t *testing.T, settings []string, args ...string) *child {
	t.Helper()
	c := &child{command: exec.Command(binary, args...), ended: make(chan error, 1)} //nolint:noctx // the test ends it
	c.command.Env = environment(settings)
	c.command.Stdout, c.command.Stderr = &c.stdout, &c.stderr
	require.NoError(t, c.command.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.ended <- c.command.Wait()
	}()
	t.Cleanup(func() {
		_ = c.command.Process.Kill() // it may have ended
		<-done
		if t.Failed() {
			t.Logf("%s %s\n%s%s", binary, strings.Join(args, " "), &c.stdout, &c.stderr)
		}
	})
	return c
}

// wait waits for the program to end and returns its status, -1 for one that a signal ended.
func (c *child) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		require.FailNow(t, "the program does not end")
	}
	return c.command.ProcessState.ExitCode()
}

func run(t *testing.T, settings []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	c := start(t, settings, args...)
	status = c.wait(t)
	return status, c.stdout.String(), c.stderr.String()
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	require.NoError(t, c.command.Process.Signal(s))
}

// url waits until the program serves HTTP and returns where.
func (c *child) url(t *testing.T) string {
	t.Helper()
	var found []string
	require.Eventually(t, func() bool {
		found = regexp.MustCompile(`url=(\S+)`).FindStringSubmatch(c.stderr.String())
		return found != nil
	}, patience, 10*time.Millisecond)
	return found[1]
}

func get(url string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(body)
}

func TestWrongUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":        `wordcount: expected one of "run", "list", "graph", "topics", "produce", ...; see wordcount --help`,
		"run sum": `wordcount: no function is called "sum"; there are split, count`,
		"--sum":   `wordcount: unknown flag --sum; see wordcount --help`,
		"listen lines": `wordcount: KAFKA_BROKERS is not set, and an embedded log without DATA_DIR is empty and gone at ` +
			`the end`,
	} {
		status, stdout, stderr := run(t, nil, strings.Fields(args)...)
		require.Equal(t, 2, status, args)
		require.Equal(t, want+"\n", stderr)
		require.Empty(t, stdout)
	}
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := run(t, []string{"POSTGRES_URL=postgres://u:geheim@h/d"}, "--help")
	require.Equal(t, 0, status)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "wordcount produce lines words.txt")
	require.Contains(t, stdout, "demo ")
	require.NotContains(t, stdout, "geheim")
	status, stdout, _ = run(t, nil, "version")
	require.Equal(t, 0, status)
	require.Regexp(t, `^wordcount \S+ \(flows \S+, go1\.\d+`, stdout)
}

// What can't be reached is one line and status 1, without a stack and without a secret.
func TestWhatCannotBeReached(t *testing.T) {
	nobody := func() string {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, listener.Close()) }()
		return listener.Addr().String()
	}()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	database := "POSTGRES_URL=postgres://user:geheim@" + nobody + "/db"
	for name, test := range map[string]struct {
		settings []string
		want     string
	}{
		"no broker":      {[]string{"KAFKA_BROKERS=" + nobody, database}, "wordcount: kafka: connect to " + nobody},
		"no port":        {[]string{"HTTP_ADDR=" + taken.Addr().String()}, "wordcount: cannot listen on " + taken.Addr().String() + ": the address is in use"},
		"no authority":   {[]string{"KAFKA_BROKERS=" + nobody, "KAFKA_TLS=true", "KAFKA_TLS_CA=/no/such/file", database}, "/no/such/file"},
		"no such folder": {[]string{"DATA_DIR=/dev/null/data"}, "/dev/null"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := run(t, append(test.settings, "LOG_LEVEL=error"), "run")
			require.Equal(t, 1, status)
			require.Contains(t, stderr, test.want)
			require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
			require.NotContains(t, stderr, "geheim")
			require.Empty(t, stdout)
		})
	}
}

func TestTopologyAndReadinessOfARunningProgram(t *testing.T) {
	c := start(t, nil, "run", "--log-format=text")
	url := c.url(t)
	require.Eventually(t, func() bool { code, _ := get(url + "/ready"); return code == 200 }, patience, 20*time.Millisecond)
	code, body := get(url + "/topology")
	require.Equal(t, 200, code)
	require.Contains(t, body, `"table": "word_count"`)
	code, body = get(url + "/metrics")
	require.Equal(t, 200, code)
	require.Contains(t, body, `flows_function_ready{function="count"} 1`)
	c.signal(t, syscall.SIGTERM)
	require.Equal(t, 0, c.wait(t))
}
