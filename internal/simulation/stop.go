package simulation

import (
	"errors"
	"fmt"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

// What happens where a message that is refused stops its function: the process ends, and so does each that comes to the message
// after it, until people mend what refuses it.

// stopped looks whether a process may have ended with its errors, and what it has left; some time later all is mended, and
// another process follows.
func (w *world) stopped(p *process) error {
	for _, err := range p.errs {
		var message *runtime.MessageError
		switch {
		case err == nil:
		case w.schedule.plan.stops && errors.Is(err, errRefused) && errors.As(err, &message):
			if err := w.checkStop(message); err != nil {
				return err
			}
		default:
			return err
		}
	}
	l := lane{process: p.number, kind: restarting}
	d := newDice(w.schedule.seed, l.number())
	w.after(l, d.below(d.of(5, 1500)), func() {
		w.mend(l)
		if w.wants() {
			p.follow()
		}
	})
	return nil
}

// checkStop looks that all before a message that has stopped its function is done, and nothing of it and what is behind it.
// Where it is mended already, others may have gone on; where the store has gone back in time or is away, there is nothing to
// look at.
func (w *world) checkStop(at *runtime.MessageError) error {
	checkpoints := w.checkpoints()
	if checkpoints == nil || w.hasGoneBack() || w.isMended(at) {
		return nil
	}
	row := checkpoints[runtime.CheckpointKey{Function: at.Function, TopicPartition: at.TopicPartition}]
	what := fmt.Sprintf("%s stopped at offset %d of %s", at.Function, at.Offset, textOfPartition(at.TopicPartition))
	switch {
	case row.Next != at.Offset:
		return fmt.Errorf("%s, and its checkpoint is at %d: %w", what, row.Next, errWrong)
	case pendingOf(row.Pending) > 0:
		return fmt.Errorf("%s, and has pending outputs: %w", what, errWrong)
	case at.Function == rowsName:
		return w.compareRows(what, at.Position)
	default:
		return w.compareWords(what, at.Position)
	}
}

// compareWords looks that the words of a partition are those of its lines before one.
func (w *world) compareWords(what string, stopped runtime.Position) error {
	want, have := map[string]int{}, map[string]int{}
	for at, word := range w.wordsUpTo(stopped.Partition, stopped.Offset) {
		want[fmt.Sprintf("word %q of %s", word, at)]++
	}
	for record := range w.records(middle) {
		at, err := placeOf(record.Value)
		if err != nil {
			return err
		}
		if at.partition == stopped.Partition {
			have[fmt.Sprintf("word %q of %s", record.Key, at)]++
		}
	}
	return compare(what, have, want)
}

// compareRows looks that the rows of a partition are those of its counts before one.
func (w *world) compareRows(what string, stopped runtime.Position) error {
	want, have := map[string]int{}, map[string]int{}
	for _, record := range w.log.Records(output, stopped.Partition) {
		if record.Offset < stopped.Offset {
			want[fmt.Sprintf("count %s of %s", record.Value, record.Key)]++
		}
	}
	for _, row := range memory.RowsOf[countRow](w.store) {
		if topic.Murmur2([]byte(row.Word), w.partitions(output)) == stopped.Partition {
			have[fmt.Sprintf("count %d of %s", row.Count, row.Word)]++
		}
	}
	return compare(what, have, want)
}

// mend lets split take the refused lines that have come, and the database all rows.
func (w *world) mend(l lane) {
	w.tell(l, "people mend what has stopped functions")
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.tableMended = true
	for p, lines := range w.lines {
		w.mended[p] = int64(len(lines))
	}
}

func (w *world) isMended(at *runtime.MessageError) bool {
	if at.Function == splitName {
		return w.takes(at.Partition, at.Offset)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.tableMended
}

// takes says whether split takes a line though it has refused it.
func (w *world) takes(partition int32, offset int64) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return offset < w.mended[partition]
}
