package flows

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sync/errgroup"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

type listenCommand struct {
	Topic     string `arg:"" help:"Topic to read."`
	From      string `enum:"oldest,newest" default:"newest" help:"Begin with the oldest message there is, or with the next that comes (newest)."`
	Partition int32  `default:"-1" placeholder:"N" help:"Read this partition only."`
	Max       int64  `placeholder:"N" help:"Stop after this many messages."`
	UntilEnd  bool   `help:"Stop at what is the end of the topic when the command starts."`
}

// Help is shown by listen --help.
func (*listenCommand) Help() string {
	return `Prints a line a message: partition, offset, timestamp, key and value, with tabs in between. Keys and values are shown as the formats of the topic say; control characters in them are escaped. It is no member of any group and changes nothing.`
}

// Run prints messages until it has all that was asked for, or is told to stop.
func (c *listenCommand) Run(ctx context.Context, in *Invocation) error {
	spec, err := in.App.topic(c.Topic, allSpecs)
	if err != nil {
		return err
	}
	d, err := in.openLog(ctx)
	if err != nil {
		return err
	}
	l := &listener{command: c, log: d.log, spec: spec, out: bufio.NewWriter(in.Stdout)}
	return closeAfter(l.listen(ctx), d)
}

// listener prints the messages of a topic.
type listener struct {
	command *listenCommand
	log     runtime.Log
	spec    *topic.Spec
	out     *bufio.Writer
}

// shownBatch is messages of one partition on their way to be printed.
type shownBatch struct {
	partition int32
	messages  []topic.Raw
}

// errEnough ends listening when all that was asked for is printed.
var errEnough = errors.New("enough")

func (l *listener) listen(ctx context.Context) error {
	positions, ends, err := l.positions(ctx)
	if err != nil {
		return err
	}
	batches := make(chan shownBatch)
	group, reading := errgroup.WithContext(ctx)
	readers, readingAll := errgroup.WithContext(reading)
	for i, position := range positions {
		readers.Go(func() error { return l.read(readingAll, position, ends[i], batches) })
	}
	group.Go(func() error {
		defer close(batches)
		return readers.Wait()
	})
	group.Go(func() error { return l.print(batches) })
	err = group.Wait()
	if flushing := l.out.Flush(); err == nil {
		err = flushing
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// positions returns where to begin with each partition, and where it ends now; -1 for no end.
func (l *listener) positions(ctx context.Context) (positions []runtime.Position, ends []int64, _ error) {
	info, err := describeTopic(ctx, l.log, l.spec.Name, false)
	if err != nil {
		return nil, nil, fmt.Errorf("topic %s: %w", l.spec.Name, err)
	}
	if l.command.Partition >= info.Partitions {
		return nil, nil, usagef("topic %s has partitions 0 to %d", l.spec.Name, info.Partitions-1)
	}
	for number := range info.Partitions {
		if l.command.Partition >= 0 && l.command.Partition != number {
			continue
		}
		at := runtime.TopicPartition{Topic: l.spec.Name, Partition: number}
		start, end, err := l.log.Bounds(ctx, at)
		if err != nil {
			return nil, nil, fmt.Errorf("%s/%d: %w", at.Topic, number, err)
		}
		if l.command.From == "newest" {
			start = end
		}
		if !l.command.UntilEnd {
			end = -1
		}
		positions = append(positions, runtime.Position{TopicPartition: at, Offset: start})
		ends = append(ends, end)
	}
	return positions, ends, nil
}

const (
	listenBatch = 1000
	// listenPause is between attempts to read from a log that is unavailable.
	listenPause = time.Second
)

// read reads one partition up to end, or until ctx is done.
func (l *listener) read(ctx context.Context, from runtime.Position, end int64, batches chan<- shownBatch) error {
	if end >= 0 && from.Offset >= end {
		return nil
	}
	reader, err := l.log.Open(ctx, from, runtime.ReadLimits{})
	if err != nil {
		return fmt.Errorf("%s/%d: %w", from.Topic, from.Partition, err)
	}
	defer func() { _ = reader.Close() }() // nothing is written
	for {
		messages, err := reader.Read(ctx, nil, listenBatch)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, runtime.ErrUnavailable):
			if !runtime.Sleep(ctx, runtime.WallClock, listenPause) {
				return ctx.Err()
			}
			continue
		case err != nil:
			return fmt.Errorf("%s/%d: %w", from.Topic, from.Partition, err)
		}
		select {
		case batches <- shownBatch{from.Partition, messages}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if last := messages[len(messages)-1].Offset; end >= 0 && last >= end-1 {
			return nil
		}
	}
}

func (l *listener) print(batches <-chan shownBatch) error {
	printed := int64(0)
	for batch := range batches {
		for i := range batch.messages {
			if err := l.show(batch.partition, &batch.messages[i]); err != nil {
				return err
			}
			if printed++; printed == l.command.Max {
				return errEnough
			}
		}
		if err := l.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (l *listener) show(partition int32, m *topic.Raw) error {
	key, value, err := l.spec.Show(m.Key, m.Value)
	if err != nil {
		// Bytes that are not of the topic's formats are what people listen for.
		key, value = strconv.Quote(string(m.Key)), strconv.Quote(string(m.Value))+" ("+err.Error()+")"
	}
	if m.Key == nil {
		key = "(null)"
	}
	_, err = fmt.Fprintf(l.out, "%d\t%d\t%s\t%s\t%s\n",
		partition, m.Offset, m.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z"), printable(key), printable(value))
	return err
}

// printable escapes what would end a line or change a terminal.
func printable(text string) string {
	if strings.IndexFunc(text, control) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if control(r) {
			quoted := strconv.QuoteRune(r)
			_, _ = io.WriteString(&b, quoted[1:len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func control(r rune) bool { return !unicode.IsPrint(r) && r != unicode.ReplacementChar }
