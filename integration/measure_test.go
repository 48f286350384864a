package integration

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// measurements are what was measured of a cluster, from time to time.
type measurements struct {
	c      *cluster
	start  time.Time
	series []series
	rows   [][]float64

	// Of the sample before: when it was, and how many words had been counted and bytes of the journal written by then.
	at             time.Time
	words, journal float64
}

// series is one column of what is measured.
type series struct {
	name string
	// slack is how much it may grow by besides a tenth; negative where it says how it went, and is not judged.
	slack float64
}

const unjudged = -1

func newMeasurements(c *cluster) *measurements {
	c.t.Helper()
	m := &measurements{c: c, start: time.Now(), series: []series{
		{"words counted (1/s)", unjudged},
		{"messages waiting", unjudged},
		{"memory of a word count (MiB)", 4},
		{"memory of a shop (MiB)", 4},
		{"memory of a table (MiB)", 4},
		// It grows with the orders that have come, up to what CACHE_BYTES lets it.
		{"states that this shop keeps in memory (MiB)", unjudged},
		{"goroutines of these three", 10},
		{"open files and sockets of these three", 10},
		{"sessions of the database", 5},
		{"largest checkpoint row (KiB)", 4},
		{"outputs kept in checkpoints (KiB)", 64},
		// It is vacuumed within a minute of 200 dead rows, of which each may have a page, and of 1,000 dead pieces of outputs,
		// of which each has a quarter of one.
		{"table of checkpoints (MiB)", 4},
		{"dead checkpoints", 400},
		{"table of word counts (MiB)", 1},
		{"dead word counts", 1000},
		{"bytes a sale", 10},
		{"journal of the database (MiB/s)", unjudged},
	}}
	c.session(func(ctx context.Context, connection *pgx.Conn) { m.words, m.journal = m.counters(ctx, connection) })
	m.at = m.start
	return m
}

func (m *measurements) took() time.Duration { return time.Since(m.start) }

// counters are those that only grow.
func (m *measurements) counters(ctx context.Context, connection *pgx.Conn) (words, journal float64) {
	m.c.t.Helper()
	require.NoError(m.c.t, connection.QueryRow(ctx, "select (pg_current_wal_lsn() - '0/0')::float8").Scan(&journal))
	return float64(m.c.outputs("counts")), journal
}

// tablesNow is what the database says of its tables: rows that are dead, and the size of a row of a table that grows by
// its rows.
const tablesNow = `select
	(select count(*) from pg_stat_activity where application_name = 'flows')::float8,
	(select max(pg_column_size(c.*) + pending) / 1024.0 from kept c)::float8,
	(select sum(pending) / 1024.0 from kept)::float8,
	pg_total_relation_size('flows_checkpoint') / 1048576.0::float8,
	(select n_dead_tup from pg_stat_user_tables where relname = 'flows_checkpoint')::float8,
	pg_total_relation_size('word_count') / 1048576.0::float8,
	(select n_dead_tup from pg_stat_user_tables where relname = 'word_count')::float8,
	pg_total_relation_size('sales') / (select count(*) + 1 from sales)::float8`

const keptOutputs = `with kept as (select function, sequences, coalesce(pg_column_size(pending_a), 0) + coalesce(pg_column_size(pending_b), 0) +
	coalesce(pg_column_size(pending_c), 0) + coalesce(pg_column_size(pending_d), 0) as pending from flows_checkpoint) `

// sample measures once.
func (m *measurements) sample() {
	c := m.c
	c.t.Helper()
	row := []float64{0, 0}
	for _, group := range slices.Concat(groups["wordcount"], groups["shop"], groups["table"]) {
		row[1] += float64(c.lag(group))
	}
	goroutines, files, states := 0.0, 0.0, 0.0
	for _, program := range []string{"wordcount", "shop", "table"} {
		of := c.scrape(c.staying()[program])
		row = append(row, of["process_resident_memory_bytes"]/(1<<20))
		goroutines += of["go_goroutines"]
		files += of["process_open_fds"]
		for name, value := range of {
			if program == "shop" && strings.HasPrefix(name, "flows_cache_bytes{") {
				states += value
			}
		}
	}
	row = append(row, states/(1<<20), goroutines, files)
	c.session(func(ctx context.Context, connection *pgx.Conn) {
		values := make([]float64, 8)
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(c.t, connection.QueryRow(ctx, keptOutputs+tablesNow).Scan(into...))
		words, journal := m.counters(ctx, connection)
		now := time.Now()
		passed := now.Sub(m.at).Seconds()
		row[0] = (words - m.words) / passed
		row = append(row, values...)
		row = append(row, (journal-m.journal)/passed/(1<<20))
		m.at, m.words, m.journal = now, words, journal
	})
	require.Len(c.t, row, len(m.series))
	m.rows = append(m.rows, append([]float64{m.took().Minutes()}, row...))
}

// scrape reads the metrics of a process.
func (c *cluster) scrape(i *instance) map[string]float64 {
	c.t.Helper()
	response, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + i.address + "/metrics")
	require.NoError(c.t, err)
	defer response.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			values[name] = value
		}
	}
	return values
}

// write writes all samples as comma-separated values.
func (m *measurements) write(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	table := csv.NewWriter(file)
	head := []string{"minutes"}
	for _, s := range m.series {
		head = append(head, s.name)
	}
	lines := [][]string{head}
	for _, row := range m.rows {
		line := make([]string, len(row))
		for i, value := range row {
			line[i] = strconv.FormatFloat(value, 'f', 2, 64)
		}
		lines = append(lines, line)
	}
	return table.WriteAll(lines)
}

// report says how each series went, as a table, and whether all that are judged are flat: the line through the second half
// of the samples may rise over that half by a tenth of their mean, or by the series' slack where that is more.
func (m *measurements) report(judge bool) (flat bool) {
	m.c.t.Helper()
	flat = true
	table := "\n| | median of the first half | of the second | highest | rise in the second half | flat |\n|---|---:|---:|---:|---:|---|\n"
	for i, s := range m.series {
		half := len(m.rows) / 2
		first, second := m.column(i+1, 0, half), m.column(i+1, half, len(m.rows))
		rise, mean := rise(second)
		verdict := "not judged"
		if s.slack >= 0 && judge {
			verdict = "yes"
			if rise > max(s.slack, mean/10) {
				verdict, flat = "**no**", false
			}
		}
		table += fmt.Sprintf("| %s | %.1f | %.1f | %.1f | %+.1f | %s |\n", s.name, median(first), median(second), slices.Max(m.column(i+1, 0, len(m.rows))),
			rise, verdict)
	}
	m.c.t.Log(table)
	return flat
}

func (m *measurements) column(i, from, to int) (values []float64) {
	for _, row := range m.rows[from:to] {
		values = append(values, row[i])
	}
	return values
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// rise is how much the line rises, from the first value to the last, that lies closest to values by the sum of squares.
func rise(values []float64) (rise, mean float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	middle := (n - 1) / 2
	above, below := 0.0, 0.0
	for i, v := range values {
		above += (float64(i) - middle) * (v - mean)
		below += (float64(i) - middle) * (float64(i) - middle)
	}
	if below == 0 {
		return 0, mean
	}
	return above / below * (n - 1), mean
}

func TestRise(t *testing.T) {
	for name, test := range map[string]struct {
		values     []float64
		rise, mean float64
	}{
		"a line":      {[]float64{1, 2, 3, 4}, 3, 2.5},
		"flat":        {[]float64{7, 7, 7}, 0, 7},
		"up and down": {[]float64{0, 1, 0, 1, 0}, 0, 0.4},
		"one":         {[]float64{5}, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			rise, mean := rise(test.values)
			require.InDelta(t, test.rise, rise, 1e-9)
			require.InDelta(t, test.mean, mean, 1e-9)
		})
	}
}
