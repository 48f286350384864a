package simulation

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// checkLetters looks that the lines that were refused are dead letters, each once and as it came, and nothing else is.
func (w *world) checkLetters() error {
	want := map[string]int{}
	for p, lines := range w.lines {
		for offset, line := range lines {
			if line.refused() && !w.schedule.plan.stops {
				m := messageOf(int32(p), int64(offset), line)
				raw := topic.Raw{Key: m.Key, Value: m.Value, Headers: m.Headers, Timestamp: time.UnixMilli(m.Timestamp)}
				want[letterOf(input, p, offset, raw)]++
			}
		}
	}
	return w.compareLetters(splitName, want)
}

func (w *world) compareLetters(function string, want map[string]int) error {
	have := map[string]int{}
	for record := range w.records(runtime.DeadLetterTopic(function).Name) {
		from, _ := record.Headers.Last(runtime.HeaderTopic)
		partition, _ := record.Headers.Last(runtime.HeaderPartition)
		offset, _ := record.Headers.Last(runtime.HeaderOffset)
		have[letterOf(string(from), string(partition), string(offset), record)]++
	}
	return compare("dead letters of "+function, have, want)
}

// letterOf is what a dead letter and its message have in common: where that was, and all that came with it.
func letterOf(from string, partition, offset any, of topic.Raw) string {
	parts := []string{fmt.Sprintf("%s/%v at offset %v, %s=%s of %d", from, partition, offset, quote(of.Key), quote(of.Value), of.Timestamp.UnixMilli())}
	for _, h := range of.Headers {
		if !strings.HasPrefix(h.Key, topic.ReservedHeader) {
			parts = append(parts, fmt.Sprintf("header %s=%s", h.Key, quote(h.Value)))
		}
	}
	return strings.Join(parts, ", ")
}

// quote shows bytes so that null and empty differ.
func quote(bytes []byte) string {
	if bytes == nil {
		return "null"
	}
	return strconv.Quote(string(bytes))
}
