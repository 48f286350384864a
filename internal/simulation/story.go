package simulation

import (
	"fmt"
	"io"
	"regexp"
)

// told are the kinds of calls that a story tells even where nothing goes wrong.
var told = map[kind]bool{claiming: true, committing: true, sending: true, grouping: true, pausing: true, arriving: true}

// trace is a number in the journal that tells people nothing.
var trace = regexp.MustCompile(`[,:;]? trace [0-9a-f]+`)

// tell writes what happened in a run, for people, and what the check found: all of it, or what matters most.
func (o outcome) tell(to io.Writer, s schedule, all bool) {
	lines, words := 0, 0
	for _, e := range s.events {
		if e.what == lineComes {
			lines++
			words += len(e.line.words)
		}
	}
	p := s.plan
	_, _ = fmt.Fprintf(to, "seed %d: lines: %d, words: %d, other events: %d, faults: %d\n", s.seed, lines, words, len(s.events)-lines, len(o.happened))
	_, _ = fmt.Fprintf(to, "partitions of %s: %d, of %s: %d, of %s: %d; messages of a batch: %d at most\n",
		input, p.inputs, middle, p.middles, output, p.outputs, p.batchMessages)
	n := 0
	for _, e := range o.journal.sorted() {
		if !all && !e.told() {
			continue
		}
		n++
		_, _ = fmt.Fprintf(to, "%3d  %10.3f s  %s%s\n", n, e.at.Seconds(), e.lane.who(), trace.ReplaceAllString(e.text, ""))
	}
	_, _ = fmt.Fprintf(to, "%3s  the check: %v\n", "", o.err)
}

// told says whether an entry is one that matters to people.
func (e entry) told() bool { return e.lane.process == 0 || told[e.lane.kind] || e.wrong }

// who names a lane; processes and the world are named by what they do.
func (l lane) who() string {
	switch {
	case l.process == 0, l.kind == grouping, l.kind == pausing:
		return ""
	case l.partition == 0:
		return fmt.Sprintf("process %d, %s: ", l.process, functionNames[l.function])
	default:
		return fmt.Sprintf("process %d, %s %s/%d: ", l.process, functionNames[l.function], inputNames[l.function], l.partition-1)
	}
}
