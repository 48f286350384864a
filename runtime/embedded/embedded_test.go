package embedded_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/internal/folder"
	"github.com/kappaflows/flows/runtime/embedded"
)

// childVariable makes the test binary a child that runs a broker over a folder until it is killed.
const childVariable = "FLOWS_EMBEDDED_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		runChild(dir)
	}
	goleak.VerifyTestMain(m)
}

func runChild(dir string) {
	server, err := embedded.Start(embedded.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(server.Brokers()[0])
	bufio.NewReader(os.Stdin).ReadString('\n') // The parent's end closes it, too.
	os.Exit(0)                                 // Without Close: the parent should have killed this process.
}

// startChild starts a broker in a process of its own and returns its address and what kills it.
func startChild(t *testing.T, dir string) (brokers []string, kill func()) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dir)
	_, err := child.StdinPipe()
	require.NoError(t, err)
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	dead := false
	kill = func() {
		if !dead {
			dead = true
			require.NoError(t, child.Process.Kill())
			child.Wait() // It was killed: its status is an error.
		}
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	return []string{strings.TrimSpace(line)}, kill
}

func start(t *testing.T, config embedded.Config) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(config)
	require.NoError(t, err)
	return server
}

func TestPersistentLogGoesOnAfterAClose(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made for it")
	server := start(t, embedded.Config{Dir: dir})
	require.Equal(t, dir, filepath.Dir(server.StorePath()))
	c := connect(t, server.Brokers())
	c.createTopic("words", 2)
	id := c.newProducer()
	_, err := c.send("words", 1, id, 0, 0, 3)
	require.NoError(t, err)
	c.Close()
	require.NoError(t, server.Close())

	server = start(t, embedded.Config{Dir: dir})
	c = connect(t, server.Brokers())
	require.Equal(t, []string{"0", "1", "2"}, c.values("words", 1))
	require.Empty(t, c.values("words", 0))
	offset, err := c.send("words", 1, id, 0, 0, 3)
	require.NoError(t, err)
	require.Zero(t, offset, "a repeated batch")
	require.EqualValues(t, 3, c.end("words", 1))
	c.Close()
	require.NoError(t, server.Close())
}

func TestKilledBrokerKnowsWhatItHas(t *testing.T) {
	dir := t.TempDir()
	brokers, kill := startChild(t, dir)
	c := connect(t, brokers)
	c.createTopic("words", 1)
	id := c.newProducer()
	next := int32(0)
	// Each round is one life of the broker. The first ends cleanly, so that the second starts with what a clean end
	// writes and has to forget it.
	for round := range 4 {
		for range 7 {
			offset, err := c.send("words", 0, id, 0, next, 2)
			require.NoError(t, err)
			require.EqualValues(t, next, offset)
			next += 2
		}
		c.Close()
		kill()
		if round == 0 {
			require.NoError(t, start(t, embedded.Config{Dir: dir}).Close())
		}
		brokers, kill = startChild(t, dir)
		c = connect(t, brokers)
		requireRemembers(t, c, id, next)
	}
	values := c.values("words", 0)
	require.Len(t, values, int(next))
	for i, value := range values {
		require.Equal(t, fmt.Sprint(i), value)
	}
}

// requireRemembers sends again what was sent in batches of two: the last five are acknowledged where they are, an older
// one and a gap are refused, and nothing is appended.
func requireRemembers(t *testing.T, c client, id int64, next int32) {
	t.Helper()
	for sequence := next - 10; sequence < next; sequence += 2 {
		offset, err := c.send("words", 0, id, 0, sequence, 2)
		require.NoError(t, err)
		require.EqualValues(t, sequence, offset, "what is there is not appended again")
	}
	for _, sequence := range []int32{next - 12, next + 2} {
		_, err := c.send("words", 0, id, 0, sequence, 2)
		require.ErrorIs(t, err, kerr.OutOfOrderSequenceNumber)
	}
	require.EqualValues(t, next, c.end("words", 0))
}

func TestHalfWrittenBatchIsCutOff(t *testing.T) {
	dir := t.TempDir()
	brokers, kill := startChild(t, dir)
	c := connect(t, brokers)
	c.createTopic("words", 1)
	id := c.newProducer()
	for sequence := range int32(2) {
		_, err := c.send("words", 0, id, 0, sequence, 1)
		require.NoError(t, err)
	}
	c.Close()
	kill()
	segment := filepath.Join(dir, "log", "partitions", "words-0", "0.dat")
	info, err := os.Stat(segment)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(segment, info.Size()-5))

	server := start(t, embedded.Config{Dir: dir})
	c = connect(t, server.Brokers())
	require.Equal(t, []string{"0"}, c.values("words", 0))
	offset, err := c.send("words", 0, id, 0, 1, 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, offset)
	require.Equal(t, []string{"0", "1"}, c.values("words", 0), "the batch that was cut off is appended")
	c.Close()
	require.NoError(t, server.Close())
}

func TestTemporaryLogIsDeleted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	server := start(t, embedded.Config{})
	require.DirExists(t, filepath.Dir(server.StorePath()))
	c := connect(t, server.Brokers())
	c.createTopic("words", 1)
	c.Close()
	require.NoError(t, server.Close())
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestStartRefuses(t *testing.T) {
	dir := t.TempDir()
	server := start(t, embedded.Config{Dir: dir})
	_, port, err := net.SplitHostPort(server.Brokers()[0])
	require.NoError(t, err)
	var number int
	_, err = fmt.Sscan(port, &number)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))

	for name, test := range map[string]struct {
		config embedded.Config
		want   string
	}{
		"a folder in use": {embedded.Config{Dir: dir}, "in use"},
		"a port in use":   {embedded.Config{Port: number}, "address already in use"},
		"a file":          {embedded.Config{Dir: file}, "is not a folder"},
		"no port":         {embedded.Config{Port: 70_000}, "port 70000"},
		"no partitions":   {embedded.Config{Partitions: -1}, "-1 partitions"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := embedded.Start(test.config)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
	_, err = embedded.Start(embedded.Config{Dir: dir})
	require.ErrorIs(t, err, folder.ErrInUse)
	require.NoError(t, server.Close())
}

func TestTopicsAreNotMadeByAskingForThem(t *testing.T) {
	server := start(t, embedded.Config{Dir: t.TempDir()})
	c := connect(t, server.Brokers())
	require.Zero(t, c.topicID("missing"))
	require.Zero(t, c.topicID("missing"))
	c.Close()
	require.NoError(t, server.Close())
}
