package simulation

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/kappaflows/flows/topic"
)

// settleWait is how long to wait before looking again whether all is processed.
const settleWait = 2 * time.Second

// check holds words, counts and states against the lines.
func (w *world) check(context.Context) error {
	want := w.words()
	if err := w.checkWords(want); err != nil {
		return err
	}
	totals := map[string]int{}
	for _, word := range want {
		totals[word]++
	}
	if err := w.checkCounts(totals); err != nil {
		return err
	}
	return w.checkStates(totals)
}

// words returns the word of each place.
func (w *world) words() map[string]string {
	words := map[string]string{}
	for p, lines := range w.lines {
		for offset, line := range lines {
			for i, word := range line {
				words[place{int32(p), int64(offset), i}.String()] = word
			}
		}
	}
	return words
}

// checkWords looks that every word is there once, and those of one partition and key in order.
func (w *world) checkWords(want map[string]string) error {
	seen := map[string]bool{}
	last := map[string]place{}
	for record := range w.records(middle, w.plan.middles) {
		key, value := string(record.Key), string(record.Value)
		switch {
		case want[value] != key:
			return fmt.Errorf("word %q of %s is not of the input: %w", key, value, errWrong)
		case seen[value]:
			return fmt.Errorf("word %q of %s twice: %w", key, value, errWrong)
		}
		seen[value] = true
		var at place
		if _, err := fmt.Sscanf(value, "%d/%d/%d", &at.partition, &at.offset, &at.index); err != nil {
			return err
		}
		lane := fmt.Sprint(at.partition, " ", key)
		if before, ok := last[lane]; ok && (before.offset > at.offset || before.offset == at.offset && before.index > at.index) {
			return fmt.Errorf("word %q of %s comes after that of %s: %w", key, at, before, errWrong)
		}
		last[lane] = at
	}
	for value, key := range want {
		if !seen[value] {
			return fmt.Errorf("word %q of %s is lost: %w", key, value, errWrong)
		}
	}
	return nil
}

// checkCounts looks that the counts of each word are 1, 2, 3 and so on.
func (w *world) checkCounts(totals map[string]int) error {
	counted := map[string]int{}
	for record := range w.records(output, w.plan.outputs) {
		key := string(record.Key)
		counted[key]++
		if string(record.Value) != strconv.Itoa(counted[key]) {
			return fmt.Errorf("count %s of word %q where %d is due: %w", record.Value, key, counted[key], errWrong)
		}
	}
	for key, n := range totals {
		if counted[key] != n {
			return fmt.Errorf("%d counts of word %q where there are %d: %w", counted[key], key, n, errWrong)
		}
	}
	return nil
}

func (w *world) checkStates(totals map[string]int) error {
	states := w.store.Rows(table)
	for key, n := range totals {
		if string(states[key]) != strconv.Itoa(n) {
			return fmt.Errorf("the state of word %q is %s where it should be %d: %w", key, states[key], n, errWrong)
		}
	}
	if len(states) != len(totals) {
		return fmt.Errorf("%d states where there are %d words: %w", len(states), len(totals), errWrong)
	}
	return nil
}

// records calls yield with the records of all partitions of a topic.
func (w *world) records(name string, partitions int32) func(yield func(topic.Raw) bool) {
	return func(yield func(topic.Raw) bool) {
		for p := range partitions {
			for _, record := range w.log.Records(name, p) {
				if !yield(record) {
					return
				}
			}
		}
	}
}

func (w *world) outputCount() (n int) {
	for range w.records(middle, w.plan.middles) {
		n++
	}
	for range w.records(output, w.plan.outputs) {
		n++
	}
	return n
}

// undoubted looks that an app that was stopped in peace leaves nothing pending.
func (w *world) undoubted(ctx context.Context) error {
	for _, f := range functions {
		rows, err := w.store.Checkpoints(ctx, f)
		if err != nil {
			return err
		}
		for _, row := range rows {
			for _, slot := range row.Pending {
				if len(slot) > 0 {
					return fmt.Errorf("function %s has pending outputs in the end: %w", f, errWrong)
				}
			}
		}
	}
	return nil
}
