package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// results are what came of parts, by their ids; the latest of each.
type results map[string]*outcome

// outcome is what came of one part.
type outcome struct {
	Part     string       `json:"part"`
	Date     string       `json:"date"`
	Commit   string       `json:"commit"`
	Machine  machine      `json:"machine"`
	Settings settings     `json:"settings"`
	Runs     []runOutcome `json:"runs"`
}

// machine is where it was measured.
type machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	// Memory is in GiB.
	Memory   int    `json:"memory"`
	Go       string `json:"go"`
	Java     string `json:"java"`
	Postgres string `json:"postgres"`
}

// runOutcome is one run of one contender.
type runOutcome struct {
	Contender string `json:"contender"`
	// At is the value of the part's sweep.
	At      int     `json:"at,omitempty"`
	Run     int     `json:"run"`
	Figures figures `json:"figures"`
}

func newOutcome(ctx context.Context, p *place, part string, s settings) *outcome {
	return &outcome{
		Part: part, Date: time.Now().UTC().Format(time.DateOnly), Commit: commit(ctx), Settings: s,
		Machine: machine{
			Processor: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Memory: memoryGiB(),
			Go: runtime.Version(), Java: firstLine(ctx, "java", "-version"),
			Postgres: firstLine(ctx, "psql", p.postgres, "-Atc", "select 'PostgreSQL ' || current_setting('server_version')"),
		},
	}
}

// commit names what is measured; a plus says that it was changed since.
func commit(ctx context.Context) string {
	name := firstLine(ctx, "git", "rev-parse", "--short", "HEAD")
	if name != unknown && firstLine(ctx, "git", "status", "--porcelain", "--untracked-files=no", "--", "..", ":!results.jsonl", ":!../docs") != "" {
		name += "+"
	}
	return name
}

const unknown = "unknown"

// firstLine returns the first line of what a program prints.
func firstLine(ctx context.Context, program string, arguments ...string) string {
	output, err := exec.CommandContext(ctx, program, arguments...).CombinedOutput()
	if err != nil {
		return unknown
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	return line
}

// field returns the value of the first line of a file that begins with a name.
func field(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return unknown
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, found := strings.Cut(lines.Text(), ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

func memoryGiB() int {
	kilobytes, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"))
	if err != nil {
		return 0
	}
	return (kilobytes + 1<<19) >> 20
}

// figure returns a figure's median and spread over a contender's runs.
func (o outcome) figure(contender string, at int, name string) (spread, bool) {
	var all []float64
	for _, r := range o.Runs {
		if v, ok := r.Figures[name]; ok && r.Contender == contender && r.At == at {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return spread{}, false
	}
	return spreadOf(all), true
}

// readResults returns what a file keeps; one that is not there keeps nothing.
func readResults(path string) (results, error) {
	all := results{}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for decoder := json.NewDecoder(file); ; {
		var one outcome
		switch err := decoder.Decode(&one); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all[one.Part] = &one
	}
}

// measured says whether a file has what would come of a part: of the same commit and settings.
func measured(ctx context.Context, s settings, id string) (bool, error) {
	all, err := readResults(s.results)
	if err != nil || all[id] == nil {
		return false, err
	}
	s.how = how{}
	return all[id].Commit == commit(ctx) && all[id].Settings == s, nil
}

// keep puts what came of a part into a file, in place of what was there of it: one line a part.
func keep(path string, result *outcome) error {
	all, err := readResults(path)
	if err != nil {
		return err
	}
	all[result.Part] = result
	var lines bytes.Buffer
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if err := json.NewEncoder(&lines).Encode(all[id]); err != nil {
			return err
		}
	}
	// Whole or not at all: an interrupt must not cost what was measured before.
	if err := os.WriteFile(path+".new", lines.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
