package memory

import (
	"context"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// reader reads the records of a partition where they are; it buffers nothing.
type reader struct {
	log  *Log
	next runtime.Position
}

// Open implements runtime.Log.
func (l *Log) Open(ctx context.Context, from runtime.Position, _ runtime.ReadLimits) (runtime.Reader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.partition(from.TopicPartition)
	if err != nil {
		return nil, err
	}
	if err := p.contains(from); err != nil {
		return nil, err
	}
	return &reader{log: l, next: from}, ctx.Err()
}

func (r *reader) Read(ctx context.Context, dst []topic.Raw, limit int) ([]topic.Raw, error) {
	for {
		read, changed, err := r.take(dst, limit)
		if err != nil || len(read) > len(dst) {
			return read, err
		}
		select {
		case <-ctx.Done():
			return dst, ctx.Err()
		case <-changed:
		}
	}
}

// take appends what is there; the channel is closed when there may be more.
func (r *reader) take(dst []topic.Raw, limit int) ([]topic.Raw, <-chan struct{}, error) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	p, err := r.log.partition(r.next.TopicPartition)
	if err != nil {
		return dst, nil, err
	}
	if err := p.contains(r.next); err != nil {
		return dst, nil, err
	}
	found := p.after(r.next.Offset, limit)
	if len(found) > 0 {
		r.next.Offset = found[len(found)-1].Offset + 1
	}
	return append(dst, found...), p.changed.wait(), nil
}

func (r *reader) End() int64 {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if p, err := r.log.partition(r.next.TopicPartition); err == nil {
		return p.end
	}
	return -1
}

func (r *reader) Close() error { return nil }
