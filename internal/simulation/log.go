package simulation

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// faultyLog is the log as a process reaches it.
type faultyLog struct {
	runtime.Log
	port port
}

func (l faultyLog) ask(ctx context.Context, k kind, do func(context.Context) error, text func() string) error {
	return l.port.call(ctx, request{kind: k, risk: asking, do: do, text: text})
}

func (l faultyLog) Describe(ctx context.Context, name string) (info runtime.TopicInfo, err error) {
	err = l.ask(ctx, describing, func(ctx context.Context) (err error) {
		info, err = l.Log.Describe(ctx, name)
		return err
	}, func() string { return "describes " + name })
	return info, err
}

func (l faultyLog) Create(ctx context.Context, topics []runtime.NewTopic) error {
	return l.ask(ctx, creating, func(ctx context.Context) error { return l.Log.Create(ctx, topics) },
		func() string { return fmt.Sprintf("creates topics: %+v", topics) })
}

func (l faultyLog) Bounds(ctx context.Context, at runtime.TopicPartition) (start, end int64, err error) {
	err = l.ask(ctx, measuring, func(ctx context.Context) (err error) {
		start, end, err = l.Log.Bounds(ctx, at)
		return err
	}, func() string { return fmt.Sprintf("hears that %s goes from %d to %d", textOfPartition(at), start, end) })
	return start, end, err
}

func textOfPartition(at runtime.TopicPartition) string {
	return fmt.Sprintf("%s/%d", at.Topic, at.Partition)
}

func (l faultyLog) Committed(ctx context.Context, group string, at runtime.TopicPartition) (offset int64, err error) {
	err = l.ask(ctx, comparing, func(ctx context.Context) (err error) {
		offset, err = l.Log.Committed(ctx, group, at)
		return err
	}, func() string { return fmt.Sprintf("hears that the group is at offset %d", offset) })
	return offset, err
}

func (l faultyLog) NewIdentity(ctx context.Context) (id runtime.Identity, err error) {
	err = l.ask(ctx, identifying, func(ctx context.Context) (err error) {
		id, err = l.Log.NewIdentity(ctx)
		return err
	}, func() string { return fmt.Sprintf("becomes producer %d", id.ProducerID) })
	return id, err
}

func (l faultyLog) Send(ctx context.Context, id runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	l.port.process.world.checkRound(batches)
	var acks []runtime.Ack
	// Of the last few nothing is heard, whether they arrive or not: other brokers lead their partitions.
	unheard, arrive := 0, true
	err := l.port.call(ctx, request{
		kind: sending, risk: spreading, detach: func() { batches = cloneBatches(batches) },
		part: func(d *dice) { unheard, arrive = 1+d.below(len(batches)), d.oneIn(2) },
		do: func(ctx context.Context) (err error) {
			heard, sent := len(batches)-unheard, batches
			if !arrive {
				sent = batches[:heard]
			}
			acks, err = l.Log.Send(ctx, id, sent)
			for i := heard; err == nil && i < len(batches); i++ {
				acks = append(acks[:i], runtime.Ack{Offset: -1, Err: runtime.ErrUnavailable})
			}
			return err
		},
		text: func() string { return textOfSend(id, batches, acks) },
	})
	if err != nil {
		return nil, err
	}
	return acks, nil
}

// cloneBatches copies what the engine uses again for other batches.
func cloneBatches(batches []runtime.RecordBatch) []runtime.RecordBatch {
	batches = slices.Clone(batches)
	for i := range batches {
		batches[i].Records.Bytes = bytes.Clone(batches[i].Records.Bytes)
	}
	return batches
}

func textOfSend(id runtime.Identity, batches []runtime.RecordBatch, acks []runtime.Ack) string {
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "sends as producer %d.%d", id.ProducerID, id.Epoch)
	for i, b := range batches {
		_, _ = fmt.Fprintf(&text, ", %d from sequence %d to %s", b.Records.Count, b.Sequence, textOfPartition(b.TopicPartition))
		outputs, err := b.Records.Outputs()
		for _, o := range outputs {
			_, _ = fmt.Fprintf(&text, " %q=%q", o.Key, o.Value)
		}
		if err != nil {
			_, _ = fmt.Fprintf(&text, " (%v)", err)
		}
		if i < len(acks) && acks[i].Err != nil {
			_, _ = fmt.Fprintf(&text, " (%v)", acks[i].Err)
		} else if i < len(acks) {
			_, _ = fmt.Fprintf(&text, " (at offset %d)", acks[i].Offset)
		}
	}
	return text.String()
}

func (l faultyLog) Producer(ctx context.Context, at runtime.TopicPartition, id int64) (state runtime.ProducerState, err error) {
	k := inquiring + kind(l.port.process.world.outputNumber(at))
	err = l.ask(ctx, k, func(ctx context.Context) (err error) {
		state, err = l.Log.Producer(ctx, at, id)
		return err
	}, func() string { return fmt.Sprintf("hears of producer %d on %s: %+v", id, textOfPartition(at), state) })
	return state, err
}

func (l faultyLog) Batches(ctx context.Context, from runtime.Position, visit func(runtime.BatchHeader) bool) error {
	return l.ask(ctx, searching, func(ctx context.Context) error { return l.Log.Batches(ctx, from, visit) },
		func() string {
			return fmt.Sprintf("searches %s from offset %d", textOfPartition(from.TopicPartition), from.Offset)
		})
}

func (l faultyLog) Open(ctx context.Context, from runtime.Position, limits runtime.ReadLimits) (reader runtime.Reader, err error) {
	err = l.ask(ctx, opening, func(ctx context.Context) (err error) {
		reader, err = l.Log.Open(ctx, from, limits)
		return err
	}, func() string { return fmt.Sprintf("reads from offset %d on", from.Offset) })
	return faultyReader{reader, l}, err
}

type faultyReader struct {
	runtime.Reader
	log faultyLog
}

func (r faultyReader) Read(ctx context.Context, dst []topic.Raw, limit int) (read []topic.Raw, err error) {
	before := len(dst)
	err = r.log.ask(ctx, reading, func(ctx context.Context) (err error) {
		read, err = r.Reader.Read(ctx, dst, limit)
		return err
	}, func() string {
		if len(read) <= before {
			return "reads nothing"
		}
		return fmt.Sprintf("reads offsets %d to %d", read[before].Offset, read[len(read)-1].Offset)
	})
	return read, err
}

// Join notes in the context of each partition whose it is, and marks offsets some time later, as a client does.
func (l faultyLog) Join(ctx context.Context, group runtime.Group, own func(context.Context, runtime.Held) error) error {
	return l.Log.Join(ctx, group, func(ctx context.Context, held runtime.Held) error {
		by := l.port.process.given(l.port.function, int(held.Partition))
		m := &marks{port: l.port, lane: l.port.lane(withCaller(ctx, by), marking), mark: held.Mark, offset: -1}
		held.Mark = m.keep
		defer m.commit()
		return own(withCaller(ctx, by), held)
	})
}

// given counts how often the process was given a partition.
func (p *process) given(function, partition int) caller {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.tenures[[2]int{function, partition}]++
	return caller{partition: partition + 1, tenure: p.tenures[[2]int{function, partition}]}
}

// marks are the offsets of a partition that are done and not yet committed to the group.
type marks struct {
	port port
	lane lane
	mark func(int64)

	mutex  sync.Mutex
	offset int64
	due    bool
}

// markEvery is the longest that an offset waits.
const markEvery = 3 * time.Second

func (m *marks) keep(offset int64) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.offset = offset
	if !m.due {
		m.due = true
		d := newDice(m.port.process.world.schedule.seed, m.lane.number(), uint64(offset))
		m.port.process.world.after(m.lane, d.below(int(markEvery/tick)), m.commit)
	}
}

// commit commits the offset unless the process has died; one that is paused does so later.
func (m *marks) commit() {
	p := m.port.process
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if p.crashed() || m.offset < 0 {
		return
	}
	if left := p.pauseLeft(); left > 0 {
		p.world.after(m.lane, int(left/tick)+1, m.commit)
		return
	}
	p.world.checkMark(m.port.function, m.lane.partition-1, func() { m.mark(m.offset) })
	p.world.tell(m.lane, "marks offset %d", m.offset)
	m.offset, m.due = -1, false
}
