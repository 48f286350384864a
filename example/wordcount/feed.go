package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime"
)

// feed puts a text into the topic lines, each line once even where an earlier process was killed while it did. The key
// of a line is its number, so that its partition is always the same one, and the last message of a partition tells how
// far that partition is.
type feed struct {
	instance *flows.Instance
	text     *text
	// last is the last line of each partition that is in the log.
	last []lastLine
	// words counts the words of the text so far.
	words atomic.Int64
	done  atomic.Bool
}

// lastLine is a line in the log; its number is -1 where the partition is empty.
type lastLine struct {
	number int64
	line   []byte
}

func newFeed(ctx context.Context, instance *flows.Instance, t *text) (*feed, error) {
	info, err := instance.Log().Describe(ctx, lines.Spec().Name)
	if err != nil {
		return nil, err
	}
	f := &feed{instance: instance, text: t}
	for partition := range info.Partitions {
		last, err := readLast(ctx, instance.Log(), runtime.TopicPartition{Topic: info.Name, Partition: partition})
		if err != nil {
			return nil, err
		}
		f.last = append(f.last, last)
	}
	return f, f.check()
}

var errOtherText = errors.New("the topic lines holds something else than this text: take an empty DATA_DIR, or the TEXT that it was begun with")

func readLast(ctx context.Context, log runtime.Log, at runtime.TopicPartition) (last lastLine, err error) {
	start, end, err := log.Bounds(ctx, at)
	if err != nil || start == end {
		return lastLine{number: -1}, err
	}
	reader, err := log.Open(ctx, runtime.Position{TopicPartition: at, Offset: end - 1}, runtime.ReadLimits{})
	if err != nil {
		return last, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	messages, err := reader.Read(ctx, nil, 1)
	if err != nil {
		return last, err
	}
	if last.number, err = strconv.ParseInt(string(messages[0].Key), 10, 64); err != nil {
		return last, errOtherText
	}
	last.line = messages[0].Value
	return last, nil
}

// check makes sure that what is in the log is of this text, before anything is added to it.
func (f *feed) check() error {
	left := 0
	for _, last := range f.last {
		if last.number >= 0 {
			left++
		}
	}
	if left == 0 {
		return nil
	}
	err := f.text.each(func(number int64, line []byte) error {
		for _, last := range f.last {
			if last.number != number {
				continue
			}
			if !bytes.Equal(last.line, line) {
				return errOtherText
			}
			left--
		}
		return nil
	})
	if err == nil && left > 0 {
		err = errOtherText
	}
	return err
}

// run sends the lines that are not in the log and waits until they are.
func (f *feed) run(ctx context.Context) error {
	producer, err := f.instance.Producer(ctx)
	if err != nil {
		return err
	}
	defer producer.Close()
	err = f.text.each(func(number int64, line []byte) error {
		n := int64(0)
		for range bytes.FieldsSeq(line) {
			n++
		}
		f.words.Add(n)
		key := strconv.AppendInt(nil, number, 10)
		if number <= f.last[lines.Spec().Place(key, int32(len(f.last)), 0)].number {
			return nil
		}
		return producer.Send(ctx, lines.Spec(), runtime.Output{Key: key, Value: line})
	})
	if err != nil {
		return fmt.Errorf("cannot feed the text: %w", err)
	}
	if err := producer.Flush(ctx); err != nil {
		return err
	}
	f.done.Store(true)
	return nil
}
