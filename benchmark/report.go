package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func reportCommand(arguments []string) error {
	flags := flag.NewFlagSet("report", flag.ExitOnError)
	from := flags.String("results", "results.jsonl", "the file that measure kept results in")
	notes := flags.String("notes", "notes.md", "what people say of the results, in Markdown")
	out := flags.String("out", "../docs/benchmarks.md", "the file to write; figures go into the folder of the same name")
	_ = flags.Parse(arguments) // It ends the process by itself.
	all, err := readResults(*from)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("nothing is measured yet")
	}
	said, err := os.ReadFile(*notes)
	if err != nil {
		return err
	}
	folder := strings.TrimSuffix(*out, filepath.Ext(*out))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	r := &report{results: all, folder: folder}
	if err := r.draw(); err != nil {
		return err
	}
	r.head()
	r.goals()
	fmt.Fprintf(&r.out, "## What stands in the way\n\n%s\n\n", strings.TrimSpace(string(said)))
	r.peers()
	for _, p := range parts {
		r.part(p)
	}
	r.out.WriteString(programs)
	return os.WriteFile(*out, r.out.Bytes(), 0o644)
}

// report is written from results.
type report struct {
	results results
	// folder is that of the figures, and drawn the names of those that there are.
	folder string
	drawn  map[string]bool
	out    bytes.Buffer
}

// newest is what came of the part that was measured last.
func (r *report) newest() *outcome {
	return slices.MaxFunc(slices.Collect(maps.Values(r.results)), func(a, b *outcome) int { return strings.Compare(a.Date+a.Part, b.Date+b.Part) })
}

func (r *report) head() {
	o := r.newest()
	fmt.Fprintf(&r.out, `# Benchmarks

Written by "make bench". Contenders take turns on one broker and one database on the same machine as they, so that ratios
say more than rates; each is a process of its own. Figures are medians of the runs of a part. A goal is a ratio of two
medians of one part, or a median. Figures in parentheses are the lowest and the highest run.

| | |
|---|---|
| machine | %d cores of %s, %d GiB of memory, shared by broker, database and program |
| versions | %s, %s, Kafka 4.1.0 (one broker, KRaft, 768 MB of heap), Kafka Streams 4.1.0, %s |
| settings of the database | %s; otherwise defaults, so that every commit is on disk |
| commands | make bench, or make bench ONLY=%s for some parts |

`, o.Machine.Cores, o.Machine.Processor, o.Machine.Memory, o.Machine.Go, o.Machine.Java, o.Machine.Postgres, strings.Join(tuned, ", "),
		parts[0].id+","+parts[1].id)
	r.figure("throughput", "Messages a second by how they spread over keys")
}

// goals writes all goals and what came of them.
func (r *report) goals() {
	r.out.WriteString("## The goals\n\n| part | what | goal | measured | met |\n|---|---|---|---:|---|\n")
	met, all := 0, 0
	for _, p := range parts {
		for _, g := range p.goals {
			v := verdict{goal: g}
			if o := r.results[p.id]; o != nil {
				v = g.judge(*o)
			}
			if all++; v.met {
				met++
			}
			fmt.Fprintf(&r.out, "| [%s](#%s) | %s | %s | %s | %s |\n", p.title, anchor(p.title), v.text, v.aim(), v.result(), v.answer())
		}
	}
	fmt.Fprintf(&r.out, "\n%d of %d goals are met.\n\n", met, all)
}

// anchor is where a heading is linked to.
func anchor(title string) string {
	kept := strings.Map(func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z':
			return c
		default:
			return -1
		}
	}, strings.ToLower(title))
	return kept
}

// peers writes where a program is better than the best of flows.
func (r *report) peers() {
	r.out.WriteString("## Where another program is better\n\nThan flows, or than the best of its ways in that part; no row means nowhere.\n\n" +
		"| part | program | in what | flows | it |\n|---|---|---|---:|---:|\n")
	for _, p := range parts {
		o := r.results[p.id]
		if o == nil {
			continue
		}
		for _, at := range p.places(o.Settings) {
			for _, column := range p.columns {
				r.better(p, *o, at, column)
			}
		}
	}
	r.out.WriteString("\n")
}

func (r *report) better(p part, o outcome, at int, column string) {
	sign := -1.0 // Most figures are the better the smaller.
	if column == rate {
		sign = 1
	}
	ours, found := 0.0, false
	for _, c := range p.contenders {
		if f, ok := o.figure(c.name, at, column); ok && strings.HasPrefix(c.name, flows) && (!found || sign*f.median > sign*ours) {
			ours, found = f.median, true
		}
	}
	for _, c := range p.contenders {
		if f, ok := o.figure(c.name, at, column); ok && found && !strings.HasPrefix(c.name, flows) && sign*f.median > sign*ours {
			fmt.Fprintf(&r.out, "| %s | %s | %s | %s | %s |\n", p.title+p.of(at), c.name, column, short(ours), short(f.median))
		}
	}
}

// of names a value of the part's sweep.
func (one part) of(at int) string {
	if one.sweep == nil {
		return ""
	}
	return ", " + grouped(float64(at)) + " " + one.sweep.name
}

// part writes one part: its table, its figure and its goals.
func (r *report) part(p part) {
	fmt.Fprintf(&r.out, "## %s\n\n%s\n\n", p.title, p.text)
	o := r.results[p.id]
	if o == nil {
		r.out.WriteString("Not measured.\n\n")
		return
	}
	fmt.Fprintf(&r.out, "%s Measured on %s at commit %s by `make bench ONLY=%s`, runs: %d.\n\n", p.size(o.Settings), o.Date, o.Commit, p.id, o.Settings.Runs)
	r.figure(p.id, p.title)
	header, line := "| program |", "|---|"
	if p.sweep != nil {
		header, line = header+" "+p.sweep.name+" |", line+"---:|"
	}
	for _, column := range p.columns {
		header, line = header+" "+column+" |", line+"---:|"
	}
	fmt.Fprintf(&r.out, "%s\n%s\n", header, line)
	for _, at := range p.places(o.Settings) {
		for _, c := range p.contenders {
			r.row(p, *o, at, c.name)
		}
	}
	r.out.WriteString("\n")
}

// size says what a part is of.
func (one part) size(s settings) string {
	switch {
	case one.sizes != nil:
		return one.sizes(s)
	case one.sweep != nil:
		return grouped(float64(s.Messages)) + " messages of " + grouped(float64(s.Size)) + " bytes."
	case s.Shape == fresh:
		return fmt.Sprintf("%s messages of %d bytes, %d partitions.", grouped(float64(s.Messages)), s.Size, s.Partitions)
	case s.Shape == hot:
		return fmt.Sprintf("%s messages of %d bytes, all of one key, %d partitions.", grouped(float64(s.Messages)), s.Size, s.Partitions)
	default:
		return fmt.Sprintf("%s messages of %d bytes, %s keys, %d partitions.", grouped(float64(s.Messages)), s.Size, grouped(float64(s.Keys)), s.Partitions)
	}
}

func (r *report) row(p part, o outcome, at int, contender string) {
	if _, ok := o.figure(contender, at, p.columns[0]); !ok {
		return
	}
	fmt.Fprintf(&r.out, "| %s |", contender)
	if p.sweep != nil {
		fmt.Fprintf(&r.out, " %s |", grouped(float64(at)))
	}
	for i, column := range p.columns {
		f, ok := o.figure(contender, at, column)
		switch {
		case !ok:
			r.out.WriteString(" |")
		case i == 0 || p.spread:
			fmt.Fprintf(&r.out, " %s (%s to %s) |", short(f.median), short(f.lowest), short(f.highest))
		default:
			fmt.Fprintf(&r.out, " %s |", short(f.median))
		}
	}
	r.out.WriteString("\n")
}

// figure shows a figure if it is drawn.
func (r *report) figure(name, text string) {
	if r.drawn[name] {
		fmt.Fprintf(&r.out, "![%s](%s/%s.svg)\n\n", text, filepath.Base(r.folder), name)
	}
}
