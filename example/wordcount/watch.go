package main

import (
	"context"
	"time"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime"
)

// watch follows the counting until everything that was fed is counted.
type watch struct {
	instance *flows.Instance
	feed     *feed
	progress progress
	// counted is how many words are, and moved when that changed last.
	counted int64
	moved   time.Time
	// began is when it was known how many words an earlier process had counted, and before is that number.
	began  time.Time
	before int64
}

// result is what was counted: all words, those of them that this run counted, and how long it took.
type result struct {
	words, now int64
	took       time.Duration
}

const watchInterval = 100 * time.Millisecond

func (w *watch) untilCounted(ctx context.Context) (result, error) {
	defer w.progress.finish()
	if err := w.begin(ctx); err != nil {
		return result{}, err
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return result{}, ctx.Err()
		case <-ticker.C:
		}
		w.look()
		if !w.feed.done.Load() || !w.idle() {
			continue
		}
		// What is asked in this order is true: all lines are split, so no more words come; and all of them are counted.
		split, _, err := w.finished(ctx, "split", lines.Spec().Name)
		if err != nil || !split {
			if err != nil {
				return result{}, err
			}
			continue
		}
		counted, n, err := w.finished(ctx, "count", words.Spec().Name)
		if err != nil || counted {
			return result{words: n, now: n - w.before, took: max(w.moved.Sub(w.began), watchInterval)}, err
		}
	}
}

// begin finds out what an earlier process counted.
func (w *watch) begin(ctx context.Context) error {
	checkpoints, err := w.instance.Store().Checkpoints(ctx, "count")
	for _, c := range checkpoints {
		w.before += max(c.Next, 0)
	}
	w.began = time.Now()
	return err
}

// look shows how far the counting is.
func (w *watch) look() {
	counted := int64(0)
	for _, s := range w.instance.Status() {
		for _, p := range s.Partitions {
			if s.Function == "count" {
				counted += max(p.Next, 0)
			}
		}
	}
	if counted != w.counted || w.moved.IsZero() {
		w.counted, w.moved = counted, time.Now()
	}
	w.progress.show(counted, w.feed.words.Load())
}

// idle says whether this process's functions have nothing to do; it is cheaper to find out than finished.
func (w *watch) idle() bool {
	for _, s := range w.instance.Status() {
		if !s.Ready() {
			return false
		}
		for _, p := range s.Partitions {
			if p.Lag > 0 {
				return false
			}
		}
	}
	return true
}

// finished says whether a function has applied all of its input and all that came of it is acknowledged, and how long
// the input is. It asks the store, which knows what any process did.
func (w *watch) finished(ctx context.Context, function, input string) (bool, int64, error) {
	checkpoints, err := w.instance.Store().Checkpoints(ctx, function)
	if err != nil {
		return false, 0, err
	}
	byPartition := map[runtime.TopicPartition]runtime.Checkpoint{}
	for _, c := range checkpoints {
		byPartition[c.TopicPartition] = c
	}
	info, err := w.instance.Log().Describe(ctx, input)
	if err != nil {
		return false, 0, err
	}
	length := int64(0)
	for partition := range info.Partitions {
		at := runtime.TopicPartition{Topic: input, Partition: partition}
		start, end, err := w.instance.Log().Bounds(ctx, at)
		if err != nil {
			return false, 0, err
		}
		length += end - start
		if end > start && !settled(byPartition[at], end) {
			return false, 0, nil
		}
	}
	return true, length, nil
}

// settled says whether a checkpoint is at the end and holds no output that may not have been acknowledged.
func settled(c runtime.Checkpoint, end int64) bool {
	for _, pending := range c.Pending {
		if len(pending) > 0 {
			return false
		}
	}
	return c.Next >= end
}
