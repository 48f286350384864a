package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// measurement is one line of the report: a work, and what is aimed at in it.
type measurement struct {
	title, work, shape string
	goals              []goal
}

// goal is a ratio of two contenders' medians that is aimed at.
type goal struct {
	of, to string
	least  float64
}

// measurements are what a report has.
var measurements = []measurement{
	{"Count, uniform keys", "count", "uniform", countGoals(2.5, 0.65)},
	{"Count, zipf keys", "count", "zipf", countGoals(5, 1.4)},
	{"Count, one hot key", "count", "hot", countGoals(8, 2.2)},
	{"Count, every key new", "count", "new", nil},
	{"Map", "map", "uniform", []goal{
		{"flows-at-least-once", "franz-go", 1},
		{"flows-at-least-once", "sarama", 2},
		{"flows-exactly-once", "sarama", 0.9},
		{"flows-exactly-once", "streams-exactly-once", 2},
	}},
	{"Join of two topics", "join", "uniform", []goal{{"flows", "streams-exactly-once", 1.5}}},
	{"Rows of five columns", "rows", "uniform", []goal{{"flows-new-rows", "psql-copy", 0.7}, {"flows-upserts", "psql-copy", 0.5}}},
}

func countGoals(streams, memory float64) []goal {
	return []goal{{"flows", "streams-exactly-once", streams}, {"flows", "sarama-in-memory", memory}}
}

// report measures everything and writes it to a file.
func (p *place) report(ctx context.Context, path string) error {
	var out bytes.Buffer
	p.head(ctx, &out)
	asked := p.settings
	for _, m := range measurements {
		p.settings = asked
		p.settings.work, p.settings.keyShape = m.work, m.shape
		standings, err := p.compare(ctx)
		if err != nil {
			return err
		}
		m.write(&out, p.settings, standings)
	}
	p.settings = asked
	p.settings.work = "latency"
	all, err := measureLatency(ctx, p)
	if err != nil {
		return err
	}
	writeLatencies(&out, p.settings, all)
	out.WriteString(notes)
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func (p *place) head(ctx context.Context, out *bytes.Buffer) {
	fmt.Fprintf(out, `# Benchmarks

What "make bench" wrote on %s. Contenders take turns on one broker and one database on the same machine as they, so
that ratios say more than rates. Rates are medians of %d runs, with the lowest and the highest. A goal is a ratio of medians.

| | |
|---|---|
| machine | %d cores of %s, %s, shared by broker, database and program |
| versions | %s, Kafka 4.1.0 (one broker, KRaft), %s |
| database settings | %s; otherwise defaults, so that every commit is on disk |
| command | make bench BENCHFLAGS='%s' |

`, time.Now().Format(time.DateOnly), p.settings.runs, runtime.NumCPU(), processor(), memory(), runtime.Version(), p.version(ctx),
		strings.Join(tuned, ", "), strings.Join(os.Args[1:], " "))
}

func (m measurement) write(out *bytes.Buffer, s settings, standings []standing) {
	fmt.Fprintf(out, "## %s\n\n%d messages of %d bytes", m.title, s.messages, s.size)
	if s.keyShape != "new" && s.keyShape != "hot" {
		fmt.Fprintf(out, ", %d keys", s.keys)
	}
	fmt.Fprintf(out, ", %d partitions.\n\n| program | messages/s | lowest to highest | CPU of the program per message |\n|---|---:|---:|---:|\n", s.partitions)
	rates := map[string]float64{}
	for _, c := range standings {
		rates[c.name] = median(c.results)
		var cpu []time.Duration
		for _, r := range c.results {
			cpu = append(cpu, r.cpu)
		}
		slices.Sort(cpu)
		fmt.Fprintf(out, "| %s | %.0f | %.0f to %.0f | %.2f µs |\n", c.name, median(c.results), lowest(c.results), highest(c.results),
			cpu[len(cpu)/2].Seconds()*1e6/float64(s.messages))
	}
	if len(m.goals) > 0 {
		out.WriteString("\n| goal | ratio | met |\n|---|---:|---|\n")
	}
	for _, g := range m.goals {
		ratio := rates[g.of] / rates[g.to]
		fmt.Fprintf(out, "| %s at least %.2f times %s | %.2f | %s |\n", g.of, g.least, g.to, ratio, yes(ratio >= g.least))
	}
	out.WriteString("\n")
}

func writeLatencies(out *bytes.Buffer, s settings, all map[string][]latencies) {
	fmt.Fprintf(out, "## Latency of count\n\n%d messages/s for %s after a warm-up, %d keys, %d partitions; from when a message was meant to be sent until its output was\n"+
		"read, so that what waits because the program is late counts. Medians of the runs' percentiles.\n\n| program | p50 | p90 | p99 | p99.9 |\n|---|---:|---:|---:|---:|\n",
		s.rate, s.duration, s.keys, s.partitions)
	for _, c := range counters {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", c.name, show(middle(all[c.name], 50)), show(middle(all[c.name], 90)),
			show(middle(all[c.name], 99)), show(middle(all[c.name], 99.9)))
	}
	out.WriteString("\n| goal | ratio | met |\n|---|---:|---|\n")
	for _, g := range []struct{ percentile, most float64 }{{50, 0.03}, {99, 0.06}} {
		ratio := middle(all["flows"], g.percentile).Seconds() / middle(all["streams-exactly-once"], g.percentile).Seconds()
		fmt.Fprintf(out, "| p%.0f at most %.2f times streams-exactly-once | %.3f | %s |\n", g.percentile, g.most, ratio, yes(ratio <= g.most))
	}
	out.WriteString("\n")
}

func middle(runs []latencies, percentile float64) time.Duration {
	var all []time.Duration
	for _, l := range runs {
		all = append(all, l.at(percentile))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "no"
}

const notes = `## The contenders

- **flows** runs in the benchmark's process, exactly once: states, checkpoint and pending outputs in Postgres, one
  transaction a batch, default options. Its time ends with the last acknowledged output.
- **streams** is Kafka Streams 4.1.0 (benchmark/streams): 2 threads, RocksDB, no cache, since every update is wanted,
  linger 20 ms, batches of 256 KiB, 10,000 records a poll. Its time ends when the last message is processed, before the last
  commit, which favours it.
- **sarama** reads each partition in a goroutine and gives outputs to one AsyncProducer, acks=all, no idempotence; positions are
  not kept. **sarama-in-memory** counts in a map, which a crash loses.
- **franz-go** polls and produces in one client, acks=all, idempotent as it is by default; positions are not kept.
- **psql-copy** is one \copy of as many rows of the same columns, from a file, into a table with the same key.
`

func processor() string { return field("/proc/cpuinfo", "model name") }

func memory() string { return field("/proc/meminfo", "MemTotal") + " of memory" }

// field returns the value of the first line of a file that begins with a name.
func field(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, found := strings.Cut(lines.Text(), ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// version is the database's.
func (p *place) version(ctx context.Context) string {
	output, err := exec.CommandContext(ctx, "psql", p.postgres, "-Atc", "select 'PostgreSQL ' || current_setting('server_version')").Output()
	if err != nil {
		return "PostgreSQL"
	}
	return strings.TrimSpace(string(output))
}
