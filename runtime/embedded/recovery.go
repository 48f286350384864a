package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// kfake writes what it remembers of each producer into this file when it is closed, reads it when it starts, and leaves
// it there. So after a kill it would start with what was true before the last clean end, or with nothing, and append
// again what it has. Therefore the file is deleted as soon as it is read: where it is, the last end was clean, and where
// it is missing its content is computed from the log itself.
const windowsName = "seq_windows.json"

// windowsFile is the file's content, in kfake's own format.
type windowsFile struct {
	Version int           `json:"version"`
	Windows []windowEntry `json:"windows"`
}

type windowEntry struct {
	ProducerID int64               `json:"pid"`
	Topic      string              `json:"topic"`
	Partition  int32               `json:"partition"`
	Entries    [remembered]written `json:"entries"`
	Count      uint8               `json:"count"`
	At         uint8               `json:"at"`
	Epoch      int16               `json:"epoch"`
	Seen       bool                `json:"seen"`
	Next       int32               `json:"next_seq"`
}

// written is one batch that a producer has appended.
type written struct {
	First  int32 `json:"first_seq"`
	Next   int32 `json:"next_seq"`
	Offset int64 `json:"offset"`
}

// remembered is how many batches of a producer a broker remembers on a partition.
const remembered = 5

// recoverLog prepares the log's folder for a start. A new folder needs nothing.
func recoverLog(dir string) error {
	// Group members do not outlive the process: without this a group would wait for those that it had.
	if err := os.Remove(filepath.Join(dir, "session_state.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if exists(filepath.Join(dir, windowsName)) || !exists(filepath.Join(dir, "meta.json")) {
		return nil
	}
	windows, err := readWindows(dir)
	if err != nil {
		return fmt.Errorf("recover after a crash: %w", err)
	}
	text, err := json.Marshal(windowsFile{Version: 1, Windows: windows})
	if err != nil {
		return fmt.Errorf("recover after a crash: %w", err)
	}
	// By way of another name: half a file would pass for a clean end.
	partial := filepath.Join(dir, windowsName+".tmp")
	if err := os.WriteFile(partial, text, 0o644); err != nil {
		return fmt.Errorf("recover after a crash: %w", err)
	}
	return os.Rename(partial, filepath.Join(dir, windowsName))
}

// markOpen notes that the log is in use: an end without Close is a crash.
func markOpen(dir string) error {
	if err := os.Remove(filepath.Join(dir, windowsName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readWindows computes what the broker knew of each producer from the batches of all partitions.
func readWindows(dir string) (windows []windowEntry, err error) {
	partitions, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, partition := range partitions {
		topic, number, err := parsePartition(partition.Name())
		if err != nil {
			return nil, err
		}
		producers, err := readPartition(filepath.Join(dir, "partitions", partition.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", partition.Name(), err)
		}
		for _, window := range producers {
			window.Topic, window.Partition = topic, number
			windows = append(windows, *window)
		}
	}
	return windows, nil
}

// parsePartition takes a folder's name, topic-0, apart.
func parsePartition(name string) (topic string, partition int32, err error) {
	dash := strings.LastIndexByte(name, '-')
	if dash < 0 {
		return "", 0, fmt.Errorf("folder %q is not one of a partition", name)
	}
	if topic, err = url.PathUnescape(name[:dash]); err != nil {
		return "", 0, fmt.Errorf("folder %q is not one of a partition: %w", name, err)
	}
	number, err := strconv.ParseInt(name[dash+1:], 10, 32)
	if err != nil {
		return "", 0, fmt.Errorf("folder %q is not one of a partition: %w", name, err)
	}
	return topic, int32(number), nil
}

// readPartition goes through the batches of a partition's segments in order.
func readPartition(dir string) (map[int64]*windowEntry, error) {
	bases, err := segments(dir)
	if err != nil {
		return nil, err
	}
	producers := make(map[int64]*windowEntry)
	for _, base := range bases {
		if err := readSegment(filepath.Join(dir, strconv.FormatInt(base, 10)+segmentSuffix), producers); err != nil {
			return nil, err
		}
	}
	return producers, nil
}

// readSegment adds the batches of one segment to what is known of their producers.
func readSegment(path string, producers map[int64]*windowEntry) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return eachBatch(file, func(b batch) {
		if b.producerID < 0 {
			return
		}
		window := producers[b.producerID]
		if window == nil {
			window = &windowEntry{ProducerID: b.producerID}
			producers[b.producerID] = window
		}
		window.add(b)
	})
}

const segmentSuffix = ".dat"

// segments returns the first offsets of a partition's segments, which are their files' names, in order.
func segments(dir string) (bases []int64, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name, isSegment := strings.CutSuffix(file.Name(), segmentSuffix)
		if !isSegment {
			continue
		}
		base, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return nil, err
		}
		bases = append(bases, base)
	}
	slices.Sort(bases)
	return bases, nil
}

// add notes a batch as the broker did when it appended it.
func (w *windowEntry) add(b batch) {
	// kfake's sequences go around one number earlier than Kafka's, and what is written here is for kfake to read.
	next := int32((int64(b.sequence) + int64(b.records)) % math.MaxInt32)
	if !w.Seen || b.epoch != w.Epoch {
		*w = windowEntry{ProducerID: w.ProducerID, Seen: true, Epoch: b.epoch}
	}
	w.Next = next
	w.Entries[w.At] = written{First: b.sequence, Next: next, Offset: b.offset}
	w.At = (w.At + 1) % remembered
	w.Count = min(w.Count+1, remembered)
}
