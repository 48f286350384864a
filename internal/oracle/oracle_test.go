package oracle

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/internal/services"
)

// output is one output of a word count.
type output struct {
	key string
	n   int
}

// world is what a word count leaves behind.
type world struct {
	inputs  []string
	outputs []output
	rows    map[string]int64
}

// right is what a word count without faults leaves behind.
func right(inputs []string) world {
	w := world{inputs: inputs, rows: map[string]int64{}}
	for _, key := range inputs {
		w.rows[key]++
		w.outputs = append(w.outputs, output{key, int(w.rows[key])})
	}
	return w
}

func (w world) judge() Report {
	var c Counting
	for _, key := range w.inputs {
		c.Input(key)
	}
	for _, o := range w.outputs {
		c.Output(o.key, strconv.Itoa(o.n))
	}
	for key, n := range w.rows {
		c.Row(key, strconv.FormatInt(n, 10))
	}
	return c.Report()
}

func inputs() *rapid.Generator[[]string] {
	return rapid.SliceOfN(rapid.StringMatching(`[a-d]`), 1, 40)
}

func TestNothingIsWrong(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := right(inputs().Draw(r, "inputs"))
		report := w.judge()
		require.True(r, report.Clean(), report)
		require.Equal(r, len(w.inputs), report.Inputs)
		require.Equal(r, len(w.inputs), report.Outputs)
	})
}

// corruptions are what may go wrong, each with what the oracle must say.
var corruptions = map[string]struct {
	corrupt func(*rapid.T, *world, int)
	want    Faults
}{
	"an output is lost": {func(_ *rapid.T, w *world, at int) {
		w.outputs = slices.Delete(w.outputs, at, at+1)
	}, Faults{Lost: 1}},
	"an output is doubled": {func(r *rapid.T, w *world, at int) {
		to := rapid.IntRange(at, len(w.outputs)).Draw(r, "to")
		w.outputs = slices.Insert(w.outputs, to, w.outputs[at])
	}, Faults{Doubled: 1}},
	"an input is counted twice": {func(_ *rapid.T, w *world, at int) {
		key := w.outputs[at].key
		w.rows[key]++
		w.outputs = append(w.outputs, output{key, int(w.rows[key])})
	}, Faults{Doubled: 1, Wrong: 1}},
	"a row is one short": {func(_ *rapid.T, w *world, at int) {
		w.rows[w.outputs[at].key]--
	}, Faults{Wrong: 1}},
	"a row is missing": {func(_ *rapid.T, w *world, at int) {
		delete(w.rows, w.outputs[at].key)
	}, Faults{Wrong: 1}},
	"a row is too many": {func(_ *rapid.T, w *world, _ int) {
		w.rows["z"] = 1
	}, Faults{Wrong: 1}},
	"an output of a key that never came in": {func(_ *rapid.T, w *world, _ int) {
		w.outputs = append(w.outputs, output{"z", 1})
	}, Faults{Doubled: 1}},
	"an output that counts from zero": {func(_ *rapid.T, w *world, at int) {
		w.outputs = slices.Insert(w.outputs, at, output{w.outputs[at].key, 0})
	}, Faults{Wrong: 1}},
}

func TestCorruptionsAreFound(t *testing.T) {
	for name, corruption := range corruptions {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				w := right(inputs().Draw(r, "inputs"))
				corruption.corrupt(r, &w, rapid.IntRange(0, len(w.outputs)-1).Draw(r, "at"))
				report := w.judge()
				require.Equal(r, corruption.want, report.Faults, report)
				require.Len(r, report.Keys, 1)
			})
		})
	}
}

// TestSwappedOutputsAreFound: where two outputs of one key change places, each that now comes behind a larger one is reordered.
func TestSwappedOutputsAreFound(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := right(append(inputs().Draw(r, "inputs"), "a", "a"))
		var at []int
		for i, o := range w.outputs {
			if o.key == "a" {
				at = append(at, i)
			}
		}
		first := rapid.IntRange(0, len(at)-2).Draw(r, "first")
		second := rapid.IntRange(first+1, len(at)-1).Draw(r, "second")
		w.outputs[at[first]], w.outputs[at[second]] = w.outputs[at[second]], w.outputs[at[first]]
		require.Equal(r, Faults{Reordered: second - first}, w.judge().Faults)
	})
}

func TestCopies(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		words := inputs().Draw(r, "words")
		lost := rapid.IntRange(0, len(words)).Draw(r, "lost")
		var c Copying
		for _, word := range words {
			c.Input(word)
			c.Output(word)
		}
		require.True(r, c.Report().Clean())
		for _, word := range words[:lost] {
			c.Input(word)
		}
		require.Equal(r, Faults{Lost: lost}, c.Report().Faults)
		c.Output("unheard of")
		c.Output("unheard of")
		require.Equal(r, Faults{Lost: lost, Doubled: 2}, c.Report().Faults)
		require.Equal(r, Faults{Doubled: 2}, c.Report().Keys["unheard of"])
	})
}

func TestLatest(t *testing.T) {
	for name, test := range map[string]struct {
		rows [][2]string
		want Faults
	}{
		"right":              {[][2]string{{"a", "2"}, {"c", "4"}}, Faults{}},
		"an older value":     {[][2]string{{"a", "1"}, {"c", "4"}}, Faults{Wrong: 1}},
		"a row is missing":   {[][2]string{{"c", "4"}}, Faults{Lost: 1}},
		"a row that is gone": {[][2]string{{"a", "2"}, {"b", "3"}, {"c", "4"}}, Faults{Wrong: 1}},
		"a row twice":        {[][2]string{{"a", "2"}, {"a", "2"}, {"c", "4"}}, Faults{Wrong: 1}},
		"nothing":            {nil, Faults{Lost: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			var l Latest
			l.Set("a", "1")
			l.Set("b", "3")
			l.Set("a", "2")
			l.Delete("b")
			l.Delete("c")
			l.Set("c", "4")
			for _, row := range test.rows {
				l.Row(row[0], row[1])
			}
			require.Equal(t, test.want, l.Report().Faults)
		})
	}
}

func TestReportsNameKeys(t *testing.T) {
	r := newReport(3, 2)
	for i := range shown + 2 {
		r.add("key-"+strconv.Itoa(100+i), Faults{Lost: 1})
	}
	r.add("fine", Faults{})
	text := r.String()
	require.Contains(t, text, "inputs 3, outputs 2: lost 22, doubled 0, reordered 0, wrong 0\n  \"key-100\": lost 1")
	require.Contains(t, text, "and 2 more keys")
}

// TestProgram runs the program on a real broker and database: first with nothing wrong, then with one more output.
func TestProgram(t *testing.T) {
	o := Oracle{Brokers: []string{services.NewBroker(t).Addr()}, Database: services.Postgres(t)}
	client, err := o.Client()
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	_, err = admin.CreateTopics(t.Context(), 2, 1, nil, "lines", "words", "counts", "split.dead-letter", "count.dead-letter")
	require.NoError(t, err)
	w := right([]string{"a", "b", "a", "a"})
	produce(t, client, "lines", "1", "a b")
	produce(t, client, "lines", "2", "a a")
	letter := letterOf("split", produce(t, client, "lines", "3", "a \xff"))
	require.NoError(t, client.ProduceSync(t.Context(), letter).FirstErr())
	for _, word := range w.inputs {
		produce(t, client, "words", word, word)
	}
	for _, o := range w.outputs {
		produce(t, client, "counts", o.key, strconv.Itoa(o.n))
	}
	connection, err := pgx.Connect(t.Context(), o.Database)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	_, err = connection.Exec(t.Context(), "create table word_count (key text, state bytea); insert into word_count values ('a', '3'), ('b', '1')")
	require.NoError(t, err)

	run := program(t, o)
	printed, status := run()
	require.Zero(t, status, printed)
	require.Equal(t, "counts: inputs 4, outputs 4: lost 0, doubled 0, reordered 0, wrong 0\n"+
		"dead letters: inputs 1, outputs 1: lost 0, doubled 0, reordered 0, wrong 0\n"+
		"partitions of keys: inputs 9, outputs 9: lost 0, doubled 0, reordered 0, wrong 0\n"+
		"words: inputs 4, outputs 4: lost 0, doubled 0, reordered 0, wrong 0\n", printed)

	manual, err := o.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer manual.Close()
	for partition := range 2 {
		// One of them is where it should not be.
		elsewhere := &kgo.Record{Topic: "counts", Partition: int32(partition), Key: []byte("b"), Value: []byte("1")}
		require.NoError(t, manual.ProduceSync(t.Context(), elsewhere).FirstErr())
	}
	word := produce(t, client, "counts", "a", "2")
	require.NoError(t, client.ProduceSync(t.Context(), letterOf("count", word)).FirstErr())
	printed, status = run()
	require.Equal(t, 1, status, printed)
	require.Contains(t, printed, "\n  \"a\": lost 0, doubled 1, reordered 0, wrong 0\n")
	require.Contains(t, printed, "dead letters: inputs 1, outputs 2: lost 0, doubled 1, reordered 0, wrong 0\n")
	require.Contains(t, printed, "partitions of keys: inputs 13, outputs 13: lost 0, doubled 0, reordered 0, wrong 1\n  \"b of topic counts in partition ")
	_, err = connection.Exec(t.Context(), "drop table word_count")
	require.NoError(t, err)
	printed, status = run()
	require.Equal(t, 2, status, printed)
	require.Contains(t, printed, "oracle: read rows: ")
}

// program builds the program; run runs it and returns what it prints, and its status.
func program(t *testing.T, o Oracle) (run func() (string, int)) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "oracle")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/oracle").CombinedOutput()
	require.NoError(t, err, "%s", built)
	return func() (string, int) {
		command := exec.CommandContext(t.Context(), program)
		command.Env = append(os.Environ(), "KAFKA_BROKERS="+o.Brokers[0], "POSTGRES_URL="+o.Database)
		printed, err := command.CombinedOutput()
		if err != nil {
			require.ErrorAs(t, err, new(*exec.ExitError))
		}
		return string(printed), command.ProcessState.ExitCode()
	}
}

func produce(t *testing.T, client *kgo.Client, topic, key, value string) *kgo.Record {
	t.Helper()
	record := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
	require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	return record
}

// letterOf is the dead letter that a function makes of a message.
func letterOf(function string, of *kgo.Record) *kgo.Record {
	r := &kgo.Record{Topic: function + letterSuffix, Key: of.Key, Value: of.Value, Timestamp: of.Timestamp, Headers: slices.Clone(of.Headers)}
	for name, value := range map[string]string{
		"function": function, "topic": of.Topic, "partition": strconv.Itoa(int(of.Partition)), "offset": strconv.FormatInt(of.Offset, 10), "reason": "bad",
	} {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: ownPrefix + name, Value: []byte(value)})
	}
	return r
}

// TestLetters: a dead letter is right when everything of it is, and otherwise there is one too many and one is missing.
func TestLetters(t *testing.T) {
	bad := &kgo.Record{
		Topic: "lines", Partition: 3, Offset: 7, Key: []byte("k"), Value: []byte{0xff}, Timestamp: time.UnixMilli(9),
		Headers: []kgo.RecordHeader{{Key: "from", Value: []byte("a")}},
	}
	for name, test := range map[string]struct {
		change func(*kgo.Record)
		want   Faults
	}{
		"right":              {func(*kgo.Record) {}, Faults{}},
		"another key":        {func(r *kgo.Record) { r.Key = []byte("l") }, Faults{Lost: 1, Doubled: 1}},
		"no value":           {func(r *kgo.Record) { r.Value = nil }, Faults{Lost: 1, Doubled: 1}},
		"another time":       {func(r *kgo.Record) { r.Timestamp = time.UnixMilli(8) }, Faults{Lost: 1, Doubled: 1}},
		"a header is gone":   {func(r *kgo.Record) { r.Headers = r.Headers[1:] }, Faults{Lost: 1, Doubled: 1}},
		"one header more":    {func(r *kgo.Record) { r.Headers = append(r.Headers, kgo.RecordHeader{Key: "to"}) }, Faults{Lost: 1, Doubled: 1}},
		"another function's": {func(r *kgo.Record) { r.Topic = "count" + letterSuffix }, Faults{Lost: 1, Doubled: 1}},
		"no word of itself":  {func(r *kgo.Record) { r.Headers = r.Headers[:1] }, Faults{Lost: 1, Doubled: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var l Letters
			l.Input("split", bad)
			found := letterOf("split", bad)
			test.change(found)
			l.Output(found)
			require.Equal(t, test.want, l.Report().Faults)
		})
	}
}

// TestPlacing: the partitions are those of Kafka's own test of its hash (org.apache.kafka.common.utils.Utils.murmur2).
func TestPlacing(t *testing.T) {
	var p Placing
	for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536} {
		r := &kgo.Record{Topic: "t", Key: []byte(key), Partition: (hash & 0x7fffffff) % 7}
		p.Record(r, 7)
		p.Record(&kgo.Record{Topic: "t", Partition: r.Partition}, 7)
	}
	require.True(t, p.Report().Clean(), p.Report())
	require.Equal(t, 3, p.Report().Inputs)
	p.Record(&kgo.Record{Topic: "t", Key: []byte("21"), Partition: ((-973932308&0x7fffffff)%7 + 1) % 7}, 7)
	require.Equal(t, Faults{Wrong: 1}, p.Report().Faults)
}
