package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// measuredParts is a file with results of every part: each figure is n for the nth contender, and half as much in
// the second of two runs.
func measuredParts(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "results.jsonl")
	s := settings{Messages: 3_000_000, Keys: 100_000, Size: 100, Partitions: 4, Runs: 2, Rate: 1000, Seconds: 15, States: manyStates, Functions: 1, Idle: 60}
	for _, p := range parts {
		o := &outcome{Part: p.id, Date: "2026-01-02", Commit: "abc", Settings: s}
		for run := 1; run <= s.Runs; run++ {
			for _, at := range p.places(s) {
				for n, c := range p.contenders {
					f := figures{}
					for _, column := range p.columns {
						f[column] = float64(n+1) / float64(run)
					}
					for _, percentile := range percentiles {
						f[percentile.name] = float64(n+1) * (1 + percentile.at)
					}
					o.Runs = append(o.Runs, runOutcome{Contender: c.name, At: at, Run: run, Figures: f})
				}
			}
		}
		require.NoError(t, keep(path, o))
	}
	return path
}

func render(t *testing.T, results string) (text, folder string) {
	t.Helper()
	notes, out := filepath.Join(t.TempDir(), "notes.md"), filepath.Join(t.TempDir(), "benchmarks.md")
	require.NoError(t, os.WriteFile(notes, []byte("What people say.\n"), 0o600))
	require.NoError(t, reportCommand([]string{"-results", results, "-notes", notes, "-out", out}))
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	return string(data), strings.TrimSuffix(out, ".md")
}

func TestReportHasEverything(t *testing.T) {
	results := measuredParts(t)
	text, folder := render(t, results)
	for _, wrong := range []string{"Not measured.", "| not measured |", "%!"} {
		require.Zero(t, strings.Count(text, wrong), wrong)
	}
	require.Contains(t, text, "What people say.")
	goals := 0
	for _, p := range parts {
		require.Contains(t, text, "\n## "+p.title+"\n")
		require.Contains(t, text, "ONLY="+p.id)
		for _, g := range p.goals {
			require.Contains(t, text, g.aim())
			goals++
		}
		for _, c := range p.contenders {
			require.Contains(t, text, "| "+c.name+" |")
		}
	}
	require.Contains(t, text, fmt.Sprintf("of %d goals are met", goals))
	for _, name := range []string{"throughput", "latency", "keys", "batch", "partitions", "functions", "states"} {
		require.Contains(t, text, "/"+name+".svg)")
		require.FileExists(t, filepath.Join(folder, name+".svg"))
	}
	again, _ := render(t, results)
	require.Equal(t, text, again)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") {
			require.True(t, strings.HasSuffix(line, "|\n"), line)
		}
	}
}

func TestReportOfAFewParts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	require.NoError(t, keep(path, &outcome{Part: "map", Settings: settings{Runs: 1}, Runs: []runOutcome{{Contender: franzLoopName, Figures: figures{rate: 5}}}}))
	text, _ := render(t, path)
	require.Contains(t, text, "| franz-go | 5 (5 to 5) | | |")
	require.Contains(t, text, "Not measured.")
	require.Contains(t, text, "\n0 of ")
}

func TestGoals(t *testing.T) {
	o := outcome{Runs: []runOutcome{
		{Contender: "a", Figures: figures{rate: 30, memory: 7}},
		{Contender: "a", Figures: figures{rate: 10, memory: 9}},
		{Contender: "a", Figures: figures{rate: 20, memory: 8}},
		{Contender: "b", Figures: figures{rate: 10}},
		{Contender: "b", At: 64, Figures: figures{rate: 1}},
	}}
	for _, c := range []struct {
		goal
		measured float64
		met      bool
	}{
		{atLeast(2, "a", "b"), 2, true},
		{atLeast(2.1, "a", "b"), 2, false},
		{goal{of: entry{"a", 0, memory}, bound: 8, most: true}, 8, true},
		{goal{of: entry{"a", 0, memory}, bound: 7.9, most: true}, 8, false},
		{goal{of: entry{"b", 64, rate}, to: entry{"b", 0, rate}, bound: 0.85}, 0.1, false},
	} {
		v := c.judge(o)
		require.True(t, v.known)
		require.InDelta(t, c.measured, v.measured, 1e-9)
		require.Equal(t, c.met, v.met, "%v", v)
	}
	for _, g := range []goal{atLeast(1, "a", "c"), atLeast(1, "c", "a"), {of: entry{"a", 64, rate}}} {
		v := g.judge(o)
		require.False(t, v.known)
		require.False(t, v.met)
		require.Equal(t, "not measured", v.result())
	}
}

// A figure of a misspelled contender, column or value of a sweep would never be there.
func TestGoalsAreOfWhatIsMeasured(t *testing.T) {
	all, err := readResults(measuredParts(t))
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, p := range parts {
		require.False(t, seen[p.id], p.id)
		seen[p.id] = true
		for _, g := range p.goals {
			require.True(t, g.judge(*all[p.id]).known, "%s: %s", p.id, g.text)
		}
	}
}

func TestResultsAreKeptByPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	s := settings{Messages: 1, how: how{results: path, only: "map"}}
	known, err := measured(context.Background(), s, "map")
	require.NoError(t, err)
	require.False(t, known)
	one, other := &outcome{Part: "map", Commit: commit(context.Background()), Settings: s}, &outcome{Part: "join", Commit: "old", Settings: s}
	require.NoError(t, keep(path, other))
	require.NoError(t, keep(path, &outcome{Part: "map"}))
	require.NoError(t, keep(path, one))
	all, err := readResults(path)
	require.NoError(t, err)
	require.Len(t, all, 2)
	for id, want := range map[string]bool{"map": true, "join": false, "rows": false} {
		known, err := measured(context.Background(), s, id)
		require.NoError(t, err)
		require.Equal(t, want, known, id)
	}
	s.Messages++
	known, err = measured(context.Background(), s, "map")
	require.NoError(t, err)
	require.False(t, known)
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	require.Error(t, keep(path, one))
}

func TestFiguresAreReadable(t *testing.T) {
	for want, v := range map[string]float64{"1,234,567": 1234567.2, "999": 999.4, "12.3": 12.34, "0.12": 0.123, "0.012": 0.0123, "-1,000": -1000, "3": 3, "2.50": 2.5} {
		require.Equal(t, want, short(v))
	}
	require.Equal(t, spread{2.5, 1, 4}, spreadOf([]float64{4, 1, 3, 2}))
	require.Equal(t, "back-at-work-after-kill--9", anchor("Back at work after kill -9"))
}

func TestKeys(t *testing.T) {
	for _, shape := range []string{uniform, zipf, hot, fresh} {
		first, second := keys(input{keys: 1000, shape: shape}), keys(input{keys: 1000, shape: shape})
		distinct := map[string]bool{}
		for range 5000 {
			key := string(first())
			require.Equal(t, key, string(second()))
			require.True(t, strings.HasPrefix(key, keyPrefix))
			distinct[key] = true
		}
		switch shape {
		case hot:
			require.Len(t, distinct, 1)
		case fresh:
			require.Len(t, distinct, 5000)
		default:
			require.Greater(t, len(distinct), 100)
			require.LessOrEqual(t, len(distinct), 1000)
		}
	}
}
