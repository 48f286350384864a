package simulation

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/mutation"
)

// rule is a rule of the engine that a bug breaks from inside: in a build for this test alone, wrong stands in place of right
// in a file of the package runtime. There, BUG is true where the bug is switched on.
type rule struct{ bug, file, right, wrong string }

var rules = []rule{
	{
		bug: "states that are not committed are evicted", file: "cache.go",
		right: "if e.used || e.batch >= committed {",
		wrong: "if e.used || e.batch >= committed && !BUG {",
	},
	{
		bug: "states outlive the failure of a batch", file: "pipeline.go",
		right: "cache: newCache(",
		wrong: "cache: keepCache(BUG, c.owner, newCache)(",
	},
	{
		bug: "states of a void batch stay", file: "processor.go",
		right: "for _, e := range b.dirty {\n\t\tp.cache.drop(e)",
		wrong: "for _, e := range b.dirty {\n\t\tif BUG {\n\t\t\tbreak\n\t\t}\n\t\tp.cache.drop(e)",
	},
	{
		bug: "a void batch does not wait for those before it", file: "compute.go",
		right: "func (p *pipeline) takeBack(work context.Context, b *batch) error {\n\tif err := p.await(work, b.ordinal); err != nil {",
		wrong: "func (p *pipeline) takeBack(work context.Context, b *batch) error {\n\tif BUG {\n\t\twork = nil\n\t} else if err := p.await(work, b.ordinal); err != nil {",
	},
	{
		bug: "locked rows are not what is computed from", file: "processor.go",
		right: "if e := p.cache.entries[key]; e != nil {\n\t\t\tp.cache.drop(e)",
		wrong: "if e := p.cache.entries[key]; e != nil && !BUG {\n\t\t\tp.cache.drop(e)",
	},
	{
		bug: "locked rows are not what is computed from", file: "processor.go",
		right: "state, err := p.function.State.Decode(rows[i].State)",
		wrong: "if BUG && e.loaded {\n\t\t\tcontinue\n\t\t}\n\t\tstate, err := p.function.State.Decode(rows[i].State)",
	},
	{
		bug: "outputs of a locked batch are those of the first attempt", file: "commit.go",
		right: "err = p.store.Commit(work, p.entry(b))",
		wrong: "if err = p.store.Commit(work, p.entry(b)); BUG && errors.Is(err, ErrConflict) {\n\t\t\tp.conflicted.keep(b)\n\t\t}",
	},
	{
		bug: "outputs of a locked batch are those of the first attempt", file: "processor.go",
		right: "failed = p.encode(b, messages[:n], identity)\n\t}\n\tb.stats.In",
		wrong: "if BUG {\n\t\t\tp.conflicted.replace(b)\n\t\t}\n\t\tfailed = p.encode(b, messages[:n], identity)\n\t}\n\tb.stats.In",
	},
	{
		bug: "sequences of a void batch are not given back", file: "router.go",
		right: "\t\t\td.batch = -1\n",
		wrong: "\t\t\td.batch = -1\n\t\t\tif BUG {\n\t\t\t\tcontinue\n\t\t\t}\n",
	},
	{
		bug: "rows that are made again look like those that were", file: "processor.go",
		right: "return int64(random.Uint64()>>2) + 1 }",
		wrong: "\n\tif BUG {\n\t\treturn 1\n\t}\n\treturn int64(random.Uint64()>>2) + 1\n}",
	},
	{
		bug: "no rows are locked after a conflict", file: "compute.go",
		right: "locked := lockedBatches(p.conflicts)",
		wrong: "locked := lockedBatches(p.conflicts)\n\tif BUG {\n\t\tlocked = 0\n\t}",
	},
	{
		bug: "a conflict is taken for a commit", file: "commit.go",
		right: "switch {\n\tcase errors.Is(err, errVoid):",
		wrong: "switch {\n\tcase BUG && errors.Is(err, ErrConflict):\n\tcase errors.Is(err, errVoid):",
	},
	{
		bug: "a fenced batch is taken for a commit", file: "commit.go",
		right: "case errors.Is(err, ErrRefused):\n\t\treturn false, &refusedError",
		wrong: "case BUG && errors.Is(err, ErrFenced):\n\tcase errors.Is(err, ErrRefused):\n\t\treturn false, &refusedError",
	},
	{
		bug: "outputs are cleared before they are acknowledged", file: "ledger.go",
		right: "if ordinal != free && ordinal < acked {\n\t\t\tc.Put[s]",
		wrong: "if ordinal != free && (ordinal < acked || BUG) {\n\t\t\tc.Put[s]",
	},
	{
		bug: "a slot is used again before its batch is acknowledged", file: "ledger.go",
		right: "if ordinal < acked {\n\t\t\treturn s",
		wrong: "if ordinal < acked || BUG {\n\t\t\treturn s",
	},
	{
		bug: "sequences are not kept", file: "ledger.go",
		right: "l.outlets[section.TopicPartition] = o",
		wrong: "if !BUG {\n\t\t\tl.outlets[section.TopicPartition] = o\n\t\t}",
	},
	{
		bug: "batches are acknowledged when they are handed over", file: "send.go",
		right: "if err := p.deliver(work, b); err != nil {",
		wrong: "if BUG {\n\t\t\tp.acked.Store(b.ordinal + 1)\n\t\t\ttell(p.acking)\n\t\t}\n\t\tif err := p.deliver(work, b); err != nil {",
	},
	{
		bug: "a record batch that is refused is taken for sent", file: "send.go",
		right: "left = append(left, sections[i])",
		wrong: "if BUG {\n\t\t\tcontinue\n\t\t}\n\t\tleft = append(left, sections[i])",
	},
	{
		bug: "record batches of one partition are sent at once", file: "send.go",
		right: "n := round(sections)",
		wrong: "n := round(sections)\n\t\tif BUG {\n\t\t\tn = len(sections)\n\t\t}",
	},
	{
		bug: "a batch is looked for behind its first record batch", file: "send.go",
		right: "if p.noted[key] != ordinal && offset >= 0 {",
		wrong: "if (p.noted[key] != ordinal || BUG) && offset >= 0 {",
	},
	{
		bug: "pending outputs are not sent again", file: "claim.go",
		right: "return c.settle(ctx)",
		wrong: "if BUG {\n\t\treturn nil\n\t}\n\treturn c.settle(ctx)",
	},
	{
		bug: "pending outputs are sent again in any order", file: "pending.go",
		right: "slices.SortFunc(batches, func(a, b *pending) int { return int(a.ordinal - b.ordinal) })",
		wrong: "slices.SortFunc(batches, func(a, b *pending) int {\n\t\tif BUG {\n\t\t\treturn int(b.ordinal - a.ordinal)\n\t\t}\n\t\treturn int(a.ordinal - b.ordinal)\n\t})",
	},
	{
		bug: "the last batch being out of order is accepted", file: "resend.go",
		right: "if len(doubt) == 0 {\n\t\treturn nil\n\t}\n\tlost",
		wrong: "if len(doubt) == 0 || BUG {\n\t\treturn nil\n\t}\n\tlost",
	},
	{
		bug: "old pending outputs are not looked for", file: "resend.go",
		right: "old := c.cp.Now.Sub(c.cp.Updated) > doubtful",
		wrong: "old := c.cp.Now.Sub(c.cp.Updated) > doubtful && !BUG",
	},
	{
		bug: "old pending outputs are there where the first record batch is", file: "resend.go",
		right: "// So are all before it.\n",
		wrong: "if BUG {\n\t\t\t\t\tbreak\n\t\t\t\t}\n\t\t\t\t// So are all before it.\n",
	},
	{
		bug: "what is out of order is lost without a look", file: "resend.go",
		right: "if found {\n\t\t\t\tbreak\n\t\t\t}\n\t\t\tlost[key]",
		wrong: "if found && !BUG {\n\t\t\t\tbreak\n\t\t\t}\n\t\t\tlost[key]",
	},
	{
		bug: "lost outputs are sent again under the old identity", file: "resend.go",
		right: "c.identity.Epoch++",
		wrong: "if !BUG {\n\t\t\tc.identity.Epoch++\n\t\t}",
	},
	{
		bug: "a new identity is used before it is written", file: "resend.go",
		right: "err = c.rewrite(ctx, renewed)",
		wrong: "if !BUG {\n\t\terr = c.rewrite(ctx, renewed)\n\t}",
	},
	{
		bug: "the group's offset is not compared", file: "claim.go",
		right: "reached := max(committed, c.reached)",
		wrong: "if BUG {\n\t\tcommitted = -1\n\t}\n\treached := max(committed, c.reached)",
	},
	{
		bug: "what the broker has of a producer is not compared", file: "claim.go",
		right: "if !ahead {",
		wrong: "if !ahead || BUG {",
	},
	{
		bug: "a superseded process blames the store", file: "claim.go",
		right: "if !errors.Is(err, ErrStoreBehind) && !errors.Is(err, ErrDeleted) {",
		wrong: "if BUG || !errors.Is(err, ErrStoreBehind) && !errors.Is(err, ErrDeleted) {",
	},
	{
		bug: "the first message of a batch is blamed for a row", file: "rows.go",
		right: "if s.searching = e.messages > 1; s.searching {",
		wrong: "if s.searching = e.messages > 1 && !BUG; s.searching {",
	},
	{
		bug: "messages behind a full batch are left out", file: "compute.go",
		right: "backlog = rest(backlog, n)",
		wrong: "backlog = rest(backlog, n)\n\t\tif BUG {\n\t\t\tbacklog = nil\n\t\t}",
	},
	{
		bug: "nobody tells the sender that nothing more comes", file: "commit.go",
		right: "defer close(p.sends)",
		wrong: "if !BUG {\n\t\tdefer close(p.sends)\n\t}",
	},
	{
		bug: "dead letters lose their headers", file: "deadletter.go",
		right: "for _, h := range in.Headers {\n\t\tif !strings",
		wrong: "for _, h := range in.Headers {\n\t\tif !BUG && !strings",
	},
	{
		bug: "what came before a failure is cut off", file: "compute.go",
		right: "if _, ok := errors.AsType[*MessageError](err); ok {",
		wrong: "if _, ok := errors.AsType[*MessageError](err); ok && !BUG {",
	},
	{
		bug: "a function stops behind its message", file: "attempt.go",
		right: "if action == Stop {\n\t\treturn",
		wrong: "if action == Stop {\n\t\tif BUG && p.processor.discardOne(b, message, Skip, p.attempts, reason, p.identity) == nil {\n\t\t\t_ = p.hand(work, b)\n\t\t}\n\t\treturn",
	},
	{
		bug: "messages that fail are left out", file: "processor.go",
		right: "b.discards.add(action, in.Offset, reason)\n\tif action == Skip {",
		wrong: "b.discards.add(action, in.Offset, reason)\n\tif action == Skip || BUG {",
	},
}

// switches is what the build has besides.
const switches = `package runtime

import "bytes"

// Mutation is the bug that is switched on.
var Mutation string

func mutated(bug string) bool { return Mutation == bug }

func keepCache[L any](bug bool, o *owner, newCache func(L) *cache) func(L) *cache {
	return func(limit L) *cache {
		if !bug || o.kept == nil {
			o.kept = newCache(limit)
		}
		return o.kept
	}
}

// conflicted is a batch that met a conflict.
type conflicted struct {
	from, next int64
	sections   []RecordBatch
}

func (c *conflicted) keep(b *batch) {
	*c = conflicted{from: b.from, next: b.next}
	for _, section := range b.outputs.sections {
		section.Records.Bytes = bytes.Clone(section.Records.Bytes)
		c.sections = append(c.sections, section)
	}
}

// replace gives a batch of the same messages, done again with its rows locked, the outputs that it had first.
func (c *conflicted) replace(b *batch) {
	if b.locked == nil || c.from != b.from || c.next != b.next || len(c.sections) != len(b.outputs.sections) {
		return
	}
	for i, first := range c.sections {
		now := &b.outputs.sections[i]
		if now.TopicPartition == first.TopicPartition && now.Sequence == first.Sequence && now.Records.Count == first.Records.Count {
			now.Records.Bytes = bytes.Clone(first.Records.Bytes)
		}
	}
}
`

// fields are where those functions keep what they know from one claim to the next.
var fields = []rule{
	{file: "owner.go", right: "type owner struct {", wrong: "type owner struct {\n\tkept *cache\n\tconflicted conflicted"},
	{file: "processor.go", right: "type processor struct {", wrong: "type processor struct {\n\tconflicted *conflicted"},
	{file: "pipeline.go", right: "processor: &processor{", wrong: "processor: &processor{\n\t\t\tconflicted: &c.conflicted,"},
}

// TestBrokenRulesAreCaught: each bug inside of the engine is found by some seed. The engine is built anew with all of them,
// by go build's -overlay, and they are switched on one after the other.
func TestBrokenRulesAreCaught(t *testing.T) {
	build := mutation.Build{
		Package: "internal/simulation", Tags: "mutation", Added: map[string]string{"runtime/mutation.go": switches},
	}
	for _, r := range append(rules, fields...) {
		edit := mutation.Edit{File: "runtime/" + r.file, Right: r.right, Wrong: r.wrong}
		build.Bugs = append(build.Bugs, mutation.Bug{Name: r.bug, Edits: []mutation.Edit{edit}})
	}
	output, err := exec.Command(build.Binary(t), "-test.v", "-test.run", "^TestRules$", fmt.Sprint("-sim.table=", *writeTable)).CombinedOutput()
	for line := range strings.Lines(string(output)) {
		if !strings.HasPrefix(line, "===") {
			t.Log(strings.TrimSpace(line))
		}
	}
	require.NoError(t, err)
}
