package simulation

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/join"
	"github.com/kappaflows/flows/materialise"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

// The app splits lines into words and counts them. Besides, as the plan says, it counts the lines of authors, whose lines are
// in all partitions; joins words and counts; and keeps rows of the counts.
const (
	input, middle, output, tallies, pairs = "lines", "words", "counts", "tallies", "pairs"
	countTable, authorTable, pairTable    = "word_count", "author", "pair"
)

var (
	linesTopic   = topic.New(input, format.String(), format.String())
	wordsTopic   = topic.New(middle, format.String(), format.String())
	countsTopic  = topic.New(output, format.String(), format.Int64())
	talliesTopic = topic.New(tallies, format.String(), format.Int64(), topic.PartitionBy(byLastByte))
	pairsTopic   = topic.New(pairs, format.String(), format.Int64())
	latestRows   = materialise.TableOf[latestRow]()
	countRows    = materialise.TableOf[countRow]()
)

// functionNames are those of all functions that there can be, and inputNames of what they read. Their order numbers the functions,
// whichever the plan has.
var (
	functionNames = []string{splitName, "count", authorsName, rowsName, "pair", "pair.words", "pair.counts"}
	inputNames    = []string{input, middle, input, output, "pair.intermediate", middle, output}
)

const splitName, authorsName, rowsName = "split", "authors", "rows"

// latestRow is the last count of a word, and countRow every one of them.
type (
	latestRow struct {
		Word  string `bun:",pk"`
		Count int64
	}
	countRow struct {
		Word  string `bun:",pk"`
		Count int64  `bun:",pk"`
	}
)

// create makes the app, its topics and its tables.
func (w *world) create(ctx context.Context) error {
	if err := w.compile(); err != nil {
		return err
	}
	plan := w.schedule.plan
	w.lines, w.mended = make([][]line, plan.inputs), make([]int64, plan.inputs)
	err := w.log.Create(ctx, []runtime.NewTopic{
		{Name: input, Partitions: w.partitions(input)},
		{Name: middle, Partitions: w.partitions(middle), MaxMessageBytes: plan.maxBytes},
		{Name: output, Partitions: w.partitions(output), MaxMessageBytes: plan.maxBytes},
		{Name: tallies, Partitions: w.partitions(tallies)},
		{Name: pairs, Partitions: w.partitions(pairs)},
	})
	if err != nil {
		return err
	}
	if err := runtime.CreateOwnTopics(ctx, w.log, 0, w.functions...); err != nil {
		return err
	}
	if err := w.listTopics(ctx); err != nil {
		return err
	}
	w.store.Hook(memory.StoreHooks{Refuse: w.refuse})
	tables := []runtime.StateTable{
		{Name: countTable, Key: format.Text, State: format.Text},
		{Name: authorTable, Key: format.Text, State: format.Text},
		{Name: pairTable, Key: format.Text, State: format.Text},
	}
	return errors.Join(w.store.Migrate(ctx, tables), w.store.CreateTables(ctx, rowTables()))
}

func rowTables() (tables []*runtime.RowTable) {
	for _, change := range append(latestRows.Delete(latestRow{}), countRows.Delete(countRow{})...) {
		tables = append(tables, change.Table)
	}
	return tables
}

// listTopics notes all topics there are.
func (w *world) listTopics(ctx context.Context) error {
	names := []string{input, middle, output, tallies, pairs}
	for _, f := range w.functions {
		for _, own := range f.OwnTopics() {
			names = append(names, own.Spec.Name)
		}
	}
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		info, err := w.log.Describe(ctx, name)
		if err != nil {
			return err
		}
		if info.Partitions != w.partitions(name) {
			return fmt.Errorf("topic %s has %d partitions where there should be %d: %w", name, info.Partitions, w.partitions(name), errWrong)
		}
		w.topics = append(w.topics, info)
	}
	return nil
}

// compile makes the functions.
func (w *world) compile() error {
	plan := w.schedule.plan
	options := plan.options()
	if plan.stops {
		options.Errors.Permanent = runtime.Stop
	}
	err := w.add(stateless.Config[string, string]{
		Name: splitName, Input: linesTopic, Outputs: topic.List{wordsTopic}, Function: w.split, Options: options,
	}.Compile())
	err = errors.Join(err, w.add(stateful.Config[string, string, int64]{
		Name: "count", Input: wordsTopic, Outputs: topic.List{countsTopic}, State: format.Int64(), Table: countTable,
		Function: w.count, Options: plan.options(),
	}.Compile()))
	if plan.authors {
		err = errors.Join(err, w.add(stateful.Config[string, string, int64]{
			Name: authorsName, Input: linesTopic, Outputs: topic.List{talliesTopic}, State: format.Int64(), Table: authorTable,
			Function: w.tally, Options: plan.options(),
		}.Compile()))
	}
	if plan.rows {
		err = errors.Join(err, w.add(materialise.Config[string, int64]{
			Name: rowsName, Input: countsTopic, Tables: materialise.Tables{latestRows, countRows}, Function: w.keep, Options: options,
		}.Compile()))
	}
	if plan.pair {
		err = errors.Join(err, w.add(join.Config[string, int64]{
			Name: "pair", Key: format.String(), State: format.Int64(), Table: pairTable, Outputs: topic.List{pairsTopic},
			Sides: []join.Side[string, int64]{
				join.From(wordsTopic, keyOf[string], w.pair(pairWord)), join.From(countsTopic, keyOf[int64], pairNumber),
			},
			Options: plan.options(),
		}.Compile()))
	}
	return err
}

// add adds a function and those that belong to it.
func (w *world) add(f *runtime.Function, err error) error {
	if err != nil {
		return err
	}
	w.functions = append(w.functions, f)
	for _, part := range f.Parts {
		if err := w.add(part, nil); err != nil {
			return err
		}
	}
	return nil
}

var errRefused = errors.New("it says so")

// split names each word by where it is from. Once it is mended it takes the lines that it refused, without the word.
func (w *world) split(ctx context.Context, m topic.Message[string, string]) (out topic.Records, _ error) {
	if err := w.trouble(ctx, 1, m.Partition, m.Offset); err != nil {
		return nil, err
	}
	for i, word := range strings.Fields(m.Value) {
		switch {
		case word != refusedWord:
		case w.takes(m.Partition, m.Offset):
			continue
		default:
			return nil, runtime.Permanent(errRefused)
		}
		out = append(out, wordsTopic.Record(word, place{m.Partition, m.Offset, i}.String()))
	}
	return out, nil
}

func (w *world) count(ctx context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
	if err := w.trouble(ctx, 2, word.Partition, word.Offset); err != nil {
		return 0, nil, err
	}
	return n + 1, topic.Records{countsTopic.Record(word.Key, n+1)}, nil
}

// tally counts the lines of an author. A line without words begins anew: the author's row is deleted, and made again. What
// comes out then is how many lines there were, below zero.
func (w *world) tally(ctx context.Context, m topic.Message[string, string], n int64) (int64, topic.Records, error) {
	if err := w.trouble(ctx, 3, m.Partition, m.Offset); err != nil {
		return 0, nil, err
	}
	if m.Value == "" {
		return 0, topic.Records{talliesTopic.Record(m.Key, -n)}, nil
	}
	return n + 1, topic.Records{talliesTopic.Record(m.Key, n+1)}, nil
}

// keep makes rows of counts.
func (w *world) keep(ctx context.Context, m topic.Message[string, int64]) (materialise.Changes, error) {
	if err := w.trouble(ctx, 4, m.Partition, m.Offset); err != nil {
		return nil, err
	}
	return append(
		latestRows.Upsert(latestRow{Word: m.Key, Count: m.Value}),
		countRows.Insert(countRow{Word: m.Key, Count: m.Value})...,
	), nil
}

// refuse is what the database thinks of a row. Once its table is mended it takes all.
func (w *world) refuse(change runtime.Change) error {
	row, ok := change.Row.(*countRow)
	if !ok || !isRefused(row.Word, row.Count) {
		return nil
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.tableMended {
		return nil
	}
	return errRefused
}

func isRefused(word string, count int64) bool { return word == "w1" && count%3 == 0 }

// A pair's state is how many words there were, and how many counts.
const pairWord, pairCount = 1000, 1

func keyOf[V any](m topic.Message[string, V]) string { return m.Key }

// pair adds a word.
func (w *world) pair(n int64) func(context.Context, string, topic.Message[string, string], int64) (int64, topic.Records, error) {
	return func(ctx context.Context, id string, m topic.Message[string, string], state int64) (int64, topic.Records, error) {
		if err := w.trouble(ctx, 5, m.Partition, m.Offset); err != nil {
			return 0, nil, err
		}
		return state + n, topic.Records{pairsTopic.Record(id, state+n)}, nil
	}
}

// pairNumber adds a count.
func pairNumber(_ context.Context, id string, _ topic.Message[string, int64], state int64) (int64, topic.Records, error) {
	return state + pairCount, topic.Records{pairsTopic.Record(id, state+pairCount)}, nil
}

// errNotNow is a failure that passes.
var errNotNow = errors.New("not now")

// trouble makes a function slow on some messages, and makes it fail on others for a while.
func (w *world) trouble(ctx context.Context, function uint64, partition int32, offset int64) error {
	s := w.schedule
	if s.plan.trouble == 0 {
		return nil
	}
	d := newDice(s.seed, function, uint64(partition), uint64(offset))
	if d.below(1000) >= s.plan.trouble {
		return nil
	}
	if d.oneIn(3) {
		if !runtime.Sleep(ctx, clock{}, d.wait(300*tick)) {
			return ctx.Err()
		}
		return nil
	}
	// Not a count of attempts: which of two goroutines tries once more in vain when a partition is given up is not decided.
	switch now := newDice(d.throw(), uint64(clock{}.Now().UnixNano())); now.below(6) {
	case 0, 1:
		return errNotNow
	case 2:
		panic(errNotNow) //nolint:forbidigo // users' functions do
	default:
		return nil
	}
}

// place is where a word is in the input.
type place struct {
	partition int32
	offset    int64
	index     int
}

func (p place) String() string { return fmt.Sprintf("%d/%d/%d", p.partition, p.offset, p.index) }

// placeOf reads what String has written.
func placeOf(value []byte) (p place, err error) {
	_, err = fmt.Sscanf(string(value), "%d/%d/%d", &p.partition, &p.offset, &p.index)
	return p, err
}

// put appends a line to the input.
func (w *world) put(partition int32, l line) {
	w.mutex.Lock()
	offset := int64(len(w.lines[partition]))
	w.lines[partition] = append(w.lines[partition], l)
	w.mutex.Unlock()
	if _, err := w.log.Append(input, partition, messageOf(partition, offset, l)); err != nil {
		w.fail(err)
	}
}

// messageOf is a line as a message, no two alike.
func messageOf(partition int32, offset int64, l line) runtime.Output {
	return runtime.Output{
		Key: []byte(l.author), Value: []byte(l.String()), Timestamp: 1 + offset,
		Headers: topic.Headers{{Key: "line", Value: []byte(place{partition, offset, 0}.String())}, {Key: "none"}},
	}
}
