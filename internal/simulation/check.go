package simulation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

// check holds everything that the app left against the lines.
func (w *world) check() error {
	if err := w.checkDoubles(); err != nil {
		return err
	}
	words := w.words()
	totals := map[string]int{}
	for _, word := range words {
		totals[word]++
	}
	return errors.Join(w.checkLost(words), w.checkTotals(totals), w.checkStates(countTable, totals), w.checkLetters(),
		w.checkAuthors(), w.checkRows(totals), w.checkPairs(totals))
}

// checkDoubles looks that nothing is there that should not be, or elsewhere, or twice, or in another order. It holds at any time.
func (w *world) checkDoubles() error {
	return errors.Join(w.checkPlaces(), w.checkWords(), w.checkCounts())
}

// words returns the word of each place, without those of lines that become dead letters.
func (w *world) words() map[string]string {
	words := map[string]string{}
	for p := range w.lines {
		for at, word := range w.wordsUpTo(int32(p), int64(len(w.lines[p]))) {
			words[at.String()] = word
		}
	}
	return words
}

// wordsUpTo returns those of a partition's lines before an offset.
func (w *world) wordsUpTo(partition int32, offset int64) map[place]string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	words := map[place]string{}
	for at, line := range w.lines[partition][:offset] {
		if line.refused() && !w.schedule.plan.stops {
			continue
		}
		for i, word := range line.words {
			if word != refusedWord {
				words[place{partition, int64(at), i}] = word
			}
		}
	}
	return words
}

// checkWords looks that every word is there once at most, and those of one partition and key in order.
func (w *world) checkWords() error {
	want := w.words()
	seen := map[string]bool{}
	last := map[string]place{}
	for record := range w.records(middle) {
		key, value := string(record.Key), string(record.Value)
		switch {
		case want[value] != key:
			return fmt.Errorf("word %q of %s is not of the input: %w", key, value, errWrong)
		case seen[value]:
			return fmt.Errorf("word %q of %s twice: %w", key, value, errWrong)
		}
		seen[value] = true
		at, err := placeOf(record.Value)
		if err != nil {
			return err
		}
		lane := fmt.Sprint(at.partition, " ", key)
		if before, ok := last[lane]; ok && (before.offset > at.offset || before.offset == at.offset && before.index > at.index) {
			return fmt.Errorf("word %q of %s comes after that of %s: %w", key, at, before, errWrong)
		}
		last[lane] = at
	}
	return nil
}

// checkCounts looks that the counts of each word are 1, 2, 3 and so on.
func (w *world) checkCounts() error {
	counted := map[string]int{}
	for record := range w.records(output) {
		key := string(record.Key)
		counted[key]++
		if string(record.Value) != strconv.Itoa(counted[key]) {
			return fmt.Errorf("count %s of word %q where %d is due: %w", record.Value, key, counted[key], errWrong)
		}
	}
	return nil
}

func (w *world) checkLost(words map[string]string) error {
	seen := map[string]bool{}
	for record := range w.records(middle) {
		seen[string(record.Value)] = true
	}
	for _, value := range slices.Sorted(maps.Keys(words)) {
		if !seen[value] {
			return fmt.Errorf("word %q of %s is lost: %w", words[value], value, errWrong)
		}
	}
	return nil
}

// checkTotals looks that no count is missing at the end.
func (w *world) checkTotals(totals map[string]int) error {
	counted := map[string]int{}
	for record := range w.records(output) {
		counted[string(record.Key)]++
	}
	for _, key := range slices.Sorted(maps.Keys(totals)) {
		if counted[key] != totals[key] {
			return fmt.Errorf("%d counts of word %q where there are %d: %w", counted[key], key, totals[key], errWrong)
		}
	}
	return nil
}

func (w *world) checkStates(table string, totals map[string]int) error {
	states := w.store.Rows(table)
	for _, key := range slices.Sorted(maps.Keys(totals)) {
		if string(states[key]) != strconv.Itoa(totals[key]) {
			return fmt.Errorf("the state of %q is %q where it should be %d: %w", key, states[key], totals[key], errWrong)
		}
	}
	if len(states) != len(totals) {
		return fmt.Errorf("%d states of %s where there are %d keys: %w", len(states), table, len(totals), errWrong)
	}
	return nil
}

// compare says where two counts of things differ.
func compare(what string, have, want map[string]int) error {
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if have[key] != want[key] {
			return fmt.Errorf("%s: %d of %s where there should be %d: %w", what, have[key], key, want[key], errWrong)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if have[key] != want[key] {
			return fmt.Errorf("%s: %d of %s where there should be %d: %w", what, have[key], key, want[key], errWrong)
		}
	}
	return nil
}

// checkRows looks that the rows are what the counts make, without those that the database refuses, which are dead letters.
func (w *world) checkRows(totals map[string]int) error {
	if !w.schedule.plan.rows {
		return nil
	}
	want, have := map[string]int{}, map[string]int{}
	for word, n := range totals {
		latest := 0
		for i := 1; i <= n; i++ {
			if !isRefused(word, int64(i)) || w.schedule.plan.stops {
				latest = i
				want[fmt.Sprint("count ", i, " of ", word)]++
			}
		}
		want[fmt.Sprint(word, " at ", latest)]++
	}
	for _, row := range memory.RowsOf[countRow](w.store) {
		have[fmt.Sprint("count ", row.Count, " of ", row.Word)]++
	}
	for _, row := range memory.RowsOf[latestRow](w.store) {
		have[fmt.Sprint(row.Word, " at ", row.Count)]++
	}
	letters := map[string]int{}
	for p := range w.partitions(output) {
		for _, record := range w.log.Records(output, p) {
			if n, err := strconv.ParseInt(string(record.Value), 10, 64); err == nil && isRefused(string(record.Key), n) && !w.schedule.plan.stops {
				letters[letterOf(output, p, record.Offset, record)]++
			}
		}
	}
	return errors.Join(compare("rows", have, want), w.compareLetters(rowsName, letters))
}

// checkAuthors looks that each line of an author was counted once. The order of lines of several partitions is not decided, nor
// is that of their tallies; but between two lines that begin anew the count goes from 1 up to what the second one says, and
// after the last one to what the state is now. So for each number there are as many tallies as there are such stretches that
// come to it.
func (w *world) checkAuthors() error {
	if !w.schedule.plan.authors {
		return nil
	}
	want, have := map[string]int{}, map[string]int{}
	for _, lines := range w.lines {
		for _, line := range lines {
			want["tallies of "+line.author]++
			if len(line.words) > 0 {
				want["lines of "+line.author]++
			}
		}
	}
	stretch := func(author string, length int) {
		have["lines of "+author] += length
		for n := range length {
			want[tallyOf(author, n+1)]++
		}
	}
	for record := range w.records(tallies) {
		author := string(record.Key)
		n, err := strconv.Atoi(string(record.Value))
		if err != nil {
			return fmt.Errorf("tally %q of author %s: %w", record.Value, author, errWrong)
		}
		have["tallies of "+author]++
		if n > 0 {
			have[tallyOf(author, n)]++
		} else {
			stretch(author, -n)
		}
	}
	states := w.store.Rows(authorTable)
	for _, author := range slices.Sorted(maps.Keys(states)) {
		left, err := strconv.Atoi(string(states[author]))
		if err != nil || left <= 0 {
			return fmt.Errorf("the state of author %s is %q: %w", author, states[author], errWrong)
		}
		stretch(author, left)
	}
	return compare("authors", have, want)
}

func tallyOf(author string, n int) string { return fmt.Sprintf("tally %d of %s", n, author) }

// checkPairs looks that each word and each count was added once, one after the other.
func (w *world) checkPairs(totals map[string]int) error {
	if !w.schedule.plan.pair {
		return nil
	}
	last, want := map[string]int{}, map[string]int{}
	for record := range w.records(pairs) {
		key := string(record.Key)
		n, err := strconv.Atoi(string(record.Value))
		if step := n - last[key]; err != nil || step != pairWord && step != pairCount {
			return fmt.Errorf("pair %q comes to %s after %d: %w", key, record.Value, last[key], errWrong)
		}
		last[key] = n
	}
	for word, n := range totals {
		want[word] = n * (pairWord + pairCount)
	}
	return errors.Join(compare("pairs", last, want), w.checkStates(pairTable, want))
}

// records calls yield with the records of all partitions of a topic.
func (w *world) records(name string) func(yield func(topic.Raw) bool) {
	return func(yield func(topic.Raw) bool) {
		for _, info := range w.topics {
			for p := range info.Partitions {
				if info.Name != name {
					continue
				}
				for _, record := range w.log.Records(name, p) {
					if !yield(record) {
						return
					}
				}
			}
		}
	}
}

// outputCount is how many records there are, but for the input.
func (w *world) outputCount() (n int) {
	for _, info := range w.topics {
		for range w.records(info.Name) {
			if info.Name != input {
				n++
			}
		}
	}
	return n
}

// undoubted looks that an app that was stopped in peace leaves nothing pending.
func (w *world) undoubted(ctx context.Context) error {
	rows, err := w.orderedCheckpoints(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if pendingOf(row.Pending) > 0 {
			return fmt.Errorf("function %s has pending outputs in the end: %w", row.Function, errWrong)
		}
	}
	return nil
}
