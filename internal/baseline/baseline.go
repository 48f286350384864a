// Package baseline holds what a hot path allocates against a baseline that is committed, so that a change that costs a
// tenth more is noticed. Allocations and their bytes are the same on every machine; times are not.
package baseline

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

var write = flag.Bool("baseline.write", false, "write the baseline anew in place of testing against it")

// file is below the folder of the package under test.
var file = filepath.Join("testdata", "allocations.txt")

// Cost is what a message costs in a stage.
type Cost struct{ Allocations, Bytes float64 }

// Stages are the parts of a hot path by name. A call of one handles as many messages as the path has.
type Stages map[string]func()

// Bench measures the stages, so that benchstat can compare them.
func Bench(b *testing.B, messages int, stages Stages) {
	for _, name := range slices.Sorted(maps.Keys(stages)) {
		call := stages[name]
		b.Run(name, func(b *testing.B) {
			call()
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(messages), "ns/msg")
		})
	}
}

// Hold fails the test where a stage allocates a tenth more than the package's testdata/allocations.txt says, and returns the
// cost of a message in each. Where one became cheaper, or dearer for a good reason, the file is to be written
// anew with the change: make baseline.
func Hold(t *testing.T, messages int, stages Stages) map[string]Cost {
	t.Helper()
	costs := map[string]Cost{}
	for name, call := range stages {
		c := measure(call)
		costs[name] = Cost{c.Allocations / float64(messages), c.Bytes / float64(messages)}
	}
	if *write {
		if err := os.WriteFile(file, format(costs), 0o644); err != nil {
			t.Fatal(err)
		}
		return costs
	}
	before, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(costs)) {
		t.Logf("%-12s %8.4f allocations and %8.1f bytes a message", name, costs[name].Allocations, costs[name].Bytes)
		if problem := compare(before, name, costs[name]); problem != "" {
			t.Error(problem)
		}
	}
	for name := range before {
		if _, ok := costs[name]; !ok {
			t.Errorf("%s has a line for %q, which is not measured any more", file, name)
		}
	}
	return costs
}

// runs is how often a stage is called.
const runs = 20

// measure returns what a call allocates when it is not the first.
func measure(call func()) Cost {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	call()
	runtime.GC()
	// Pools forget when rubbish is collected.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	call()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		call()
	}
	runtime.ReadMemStats(&after)
	return Cost{float64(after.Mallocs-before.Mallocs) / runs, float64(after.TotalAlloc-before.TotalAlloc) / runs}
}

// A call may start a chunk of an arena, or grow a map, or not; and what is nearly nothing may double.
const slackAllocations, slackBytes = 0.002, 2

// compare says what is wrong with a cost.
func compare(before map[string]Cost, name string, got Cost) string {
	want, ok := before[name]
	switch {
	case !ok:
		return fmt.Sprintf("%s has no line for %q: run make baseline", file, name)
	case got.Allocations > want.Allocations*growth+slackAllocations:
		return fmt.Sprintf("%s takes %.4f allocations a message; it took %.4f", name, got.Allocations, want.Allocations)
	case checksBytes && got.Bytes > want.Bytes*growth+slackBytes:
		return fmt.Sprintf("%s allocates %.1f bytes a message; it took %.1f", name, got.Bytes, want.Bytes)
	default:
		return ""
	}
}

const head = `# What the stages of the hot path allocate for each message: allocations, and their bytes. A tenth more fails the tests.
# Written by make baseline.
`

func format(costs map[string]Cost) []byte {
	var out bytes.Buffer
	out.WriteString(head)
	for _, name := range slices.Sorted(maps.Keys(costs)) {
		fmt.Fprintf(&out, "%-12s %.4f %.1f\n", name, costs[name].Allocations, costs[name].Bytes)
	}
	return out.Bytes()
}

// read returns the costs that a file has; none where it is not there.
func read(path string) (map[string]Cost, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]Cost{}, nil
	}
	if err != nil {
		return nil, err
	}
	costs := map[string]Cost{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var name string
		var c Cost
		if _, err := fmt.Sscan(line, &name, &c.Allocations, &c.Bytes); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, line, err)
		}
		costs[name] = c
	}
	return costs, nil
}
