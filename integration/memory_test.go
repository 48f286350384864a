package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/proxy"
	"github.com/kappaflows/flows/internal/services"
)

// knobs are what bounds the memory of the program under test, in bytes.
type knobs struct{ buffers, caches int }

func (k knobs) env() []string {
	return []string{fmt.Sprint("BUFFER_BYTES=", k.buffers), fmt.Sprint("CACHE_BYTES=", k.caches)}
}

// most is how much memory a process may take that runs one function over some partitions of messages up to a size, in bytes:
// the formula of "How much memory a process takes" in docs/operations.md.
func (k knobs) most(partitions, message int) int {
	const (
		program = 64 << 20 // What it takes without work, and more.
		inEach  = 10       // Those of a partition, each of which may be exceeded by one message.
		forms   = 2        // As they are, and as drivers send them.
		rubbish = 2        // Go collects it when there is as much of it as is in use.
	)
	return program + rubbish*(forms*(k.buffers+partitions*inEach*message)+k.caches)
}

// bounded is the program whose memory is measured, with a broker behind a proxy and a database.
type bounded struct {
	oracle
	proxy    *proxy.Proxy
	server   *services.Server
	client   *kgo.Client
	program  string
	env      []string
	expected map[string]int64
}

// The input is far more than what the knobs let the program have.
var smallKnobs = knobs{buffers: 8 << 20, caches: 2 << 20}

const boundedPartitions = 4

func newBounded(t *testing.T) *bounded {
	t.Helper()
	b := &bounded{proxy: newProxy(t), server: services.NewPostgres(t), program: filepath.Join(t.TempDir(), "bounded"), expected: map[string]int64{}}
	broker := services.NewBroker(t, "advertised.listeners=PLAINTEXT://"+b.proxy.Addr())
	b.proxy.Forward(broker.Addr())
	buildPackage(t, b.program, "./bounded")
	// The test's own clients go past the proxy.
	direct := kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == b.proxy.Addr() {
			address = broker.Addr()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	})
	b.oracle = oracle{brokers: broker.Addr(), database: b.server.NewDatabase(), options: []kgo.Opt{direct}}
	b.client = b.oracle.client(t, kgo.ProducerBatchMaxBytes(1048588), kgo.ProducerBatchCompression(kgo.NoCompression()))
	b.env = append(environment(b.proxy.Addr(), b.database), smallKnobs.env()...)
	run(t, b.env, b.program, "topics", "create", "--partitions", strconv.Itoa(boundedPartitions))
	return b
}

// produce appends messages of a size to a topic.
func (b *bounded) produce(t *testing.T, topic, output string, messages, size int) {
	t.Helper()
	value := noise(size)
	for i := range messages {
		b.client.Produce(t.Context(), &kgo.Record{Topic: topic, Key: fmt.Append(nil, "key-", i%1000), Value: value}, nil)
	}
	require.NoError(t, b.client.Flush(t.Context()))
	b.expected[output] += int64(messages)
}

// finish waits until all outputs are there, ends the program, and holds its memory against what it may have.
func (b *bounded) finish(t *testing.T, p *process, output string, message int) {
	t.Helper()
	awaitTopic(t, b.oracle, b.client, p, output, b.expected[output])
	peak, most := peakMemory(t, p), smallKnobs.most(boundedPartitions, message)
	p.terminate(t)
	t.Logf("%d MiB of memory at most; %d MiB are allowed", peak>>20, most>>20)
	require.LessOrEqual(t, peak, most)
	require.Equal(t, b.expected[output], b.records(t, b.client, output), "records in %s", output)
}

// stall lets something be stalled for as long as the program needs to read much more than it may keep, were it to.
func (b *bounded) stall(t *testing.T, p *process) {
	t.Helper()
	const long = 6 * time.Second
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		require.True(t, p.running(), "the program ended: %s", p.log.tail())
	}
	t.Logf("%d MiB of memory while it is stalled", peakMemory(t, p)>>20)
}

// TestMemoryIsBounded stalls what a program writes to while its input has far more than it may keep, and gives it messages as
// large as they can be. Its memory stays below what its knobs add up to, and then it goes on and does everything once.
func TestMemoryIsBounded(t *testing.T) {
	b := newBounded(t)
	t.Run("database stalled, 1 GB of input", func(t *testing.T) {
		const messages, size = 100_000, 10 << 10
		b.produce(t, "lines", "counts", messages, size)
		p := start(t, b.env, b.program, "run", "count")
		awaitTopic(t, b.oracle, b.client, p, "counts", 1)
		b.server.Pause()
		b.stall(t, p)
		require.Less(t, b.records(t, b.client, "counts"), int64(messages), "there was nothing left to read while the database was stalled")
		b.server.Continue()
		b.finish(t, p, "counts", size)
		require.EqualValues(t, messages, b.counted(t))
	})
	t.Run("broker takes nothing", func(t *testing.T) {
		const messages, size = 20_000, 10 << 10
		b.produce(t, "bulk", "copies", messages, size)
		p := start(t, b.env, b.program, "run", "copy")
		awaitTopic(t, b.oracle, b.client, p, "copies", 1)
		// What is about as large as a message, perhaps compressed, is outputs: the broker gives as before and takes nothing.
		release := b.proxy.Keep(size / 2)
		b.stall(t, p)
		require.NotZero(t, b.proxy.Counts().Kept)
		release()
		b.finish(t, p, "copies", size)
	})
	t.Run("messages of 1 MiB", func(t *testing.T) {
		const messages, size = 200, 1<<20 - 200 // A record batch has to fit into what a topic takes, which is 1 MiB and 12 bytes.
		b.produce(t, "bulk", "copies", messages, size)
		p := start(t, b.env, b.program, "run", "copy")
		b.finish(t, p, "copies", size)
	})
}

// counted is the sum of all counts.
func (b *bounded) counted(t *testing.T) (sum int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.database)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), `select sum(convert_from(state, 'UTF8')::bigint) from line_count`).Scan(&sum))
	return sum
}

// peakMemory returns the most memory that a process has had, in bytes.
func peakMemory(t *testing.T, p *process) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kilobytes, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			require.NoError(t, err)
			return kilobytes << 10
		}
	}
	require.Fail(t, "no VmHWM")
	return 0
}
