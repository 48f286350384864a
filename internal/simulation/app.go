package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/stateful"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

// The app splits lines into words and counts them.
const (
	input, middle, output = "lines", "words", "counts"
	table                 = "word_count"
)

// functions are the names of the app's functions.
var functions = [...]string{"split", "count"}

var (
	linesTopic  = topic.New(input, format.String(), format.String())
	wordsTopic  = topic.New(middle, format.String(), format.String())
	countsTopic = topic.New(output, format.String(), format.Int64())
)

func (w *world) functions() ([]*runtime.Function, error) {
	split, err := stateless.Config[string, string]{
		Name: functions[0], Input: linesTopic, Outputs: topic.List{wordsTopic}, Function: split, Options: w.plan.options,
	}.Compile()
	if err != nil {
		return nil, err
	}
	count, err := stateful.Config[string, string, int64]{
		Name: functions[1], Input: wordsTopic, Outputs: topic.List{countsTopic}, State: format.Int64(), Table: table,
		Function: count, Options: w.plan.options,
	}.Compile()
	return []*runtime.Function{split, count}, err
}

// split names each word by where it is from.
func split(_ context.Context, m topic.Message[string, string]) (out topic.Records, _ error) {
	for i, word := range strings.Fields(m.Value) {
		out = append(out, wordsTopic.Record(word, place{m.Partition, m.Offset, i}.String()))
	}
	return out, nil
}

func count(_ context.Context, word topic.Message[string, string], n int64) (int64, topic.Records, error) {
	return n + 1, topic.Records{countsTopic.Record(word.Key, n+1)}, nil
}

// place is where a word is in the input.
type place struct {
	partition int32
	offset    int64
	index     int
}

func (p place) String() string { return fmt.Sprintf("%d/%d/%d", p.partition, p.offset, p.index) }

// line is one line of the input.
type line []string

func (w *world) create(ctx context.Context) error {
	err := w.log.Create(ctx, []runtime.NewTopic{
		{Name: input, Partitions: w.plan.inputs}, {Name: middle, Partitions: w.plan.middles}, {Name: output, Partitions: w.plan.outputs},
	})
	if err != nil {
		return err
	}
	w.log.SetMaxMessageBytes(middle, w.plan.maxBytes)
	w.log.SetMaxMessageBytes(output, w.plan.maxBytes)
	return w.store.Migrate(ctx, []runtime.StateTable{{Name: table, Key: format.Text, State: format.Text}})
}

// put appends a line to the input.
func (w *world) put(random *rand.Rand) {
	partition := random.Int32N(w.plan.inputs)
	var words line
	for range random.IntN(5) {
		words = append(words, "w"+strconv.Itoa(int(random.ExpFloat64()*3)))
	}
	w.lines[partition] = append(w.lines[partition], words)
	_, err := w.log.Append(input, partition, runtime.Output{Key: []byte("k"), Value: []byte(strings.Join(words, " "))})
	if err != nil {
		w.fail(err)
	}
}

// settle waits until everything is processed.
func (w *world) settle(ctx context.Context) error {
	behind := ""
	for range 4000 {
		if err := w.failed(); err != nil {
			return err
		}
		if behind = w.behind(ctx); behind == "" {
			return nil
		}
		time.Sleep(settleWait)
	}
	return fmt.Errorf("the app does not finish; %s: %w", behind, errWrong)
}

// behind says which partition is not processed to its end; empty where all are.
func (w *world) behind(ctx context.Context) string {
	for i, source := range []runtime.TopicPartition{{Topic: input, Partition: w.plan.inputs}, {Topic: middle, Partition: w.plan.middles}} {
		for p := range source.Partition {
			at := runtime.TopicPartition{Topic: source.Topic, Partition: p}
			_, end, err := w.log.Bounds(ctx, at)
			if err != nil {
				return err.Error()
			}
			if done, err := w.log.Committed(ctx, functions[i], at); err != nil || done != end {
				return fmt.Sprintf("topic %s partition %d is at %d of %d", at.Topic, p, done, end)
			}
		}
	}
	return ""
}
