package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kappaflows/flows/runtime"
)

var (
	_ runtime.Administrator = (*Log)(nil)
	_ runtime.Resetter      = (*Store)(nil)
	_ runtime.StateLister   = (*Store)(nil)
)

// Members implements runtime.Administrator.
func (l *Log) Members(ctx context.Context, name string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.group(name).members), ctx.Err()
}

// ResetOffsets implements runtime.Administrator.
func (l *Log) ResetOffsets(ctx context.Context, name string, offsets map[runtime.TopicPartition]int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.group(name)
	if len(g.members) > 0 {
		return fmt.Errorf("group %s: %w", name, runtime.ErrMembers)
	}
	maps.Copy(g.committed, offsets)
	maps.DeleteFunc(g.committed, func(_ runtime.TopicPartition, offset int64) bool { return offset < 0 })
	return nil
}

// OffsetAt implements runtime.Administrator.
func (l *Log) OffsetAt(ctx context.Context, partition runtime.TopicPartition, at time.Time) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.partition(partition)
	if err != nil {
		return -1, err
	}
	for i := range p.records {
		if r := &p.records[i]; r.Offset >= p.start && r.Timestamp.UnixMilli() >= at.UnixMilli() {
			return r.Offset, ctx.Err()
		}
	}
	return p.end, ctx.Err()
}

// Reset implements runtime.Resetter.
func (s *Store) Reset(ctx context.Context, reset runtime.Reset) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mutex.Unlock()
	if reset.Table != "" {
		t := s.tables[reset.Table]
		if t == nil {
			return fmt.Errorf("table %q does not exist", reset.Table)
		}
		clear(t.rows)
	}
	for partition, next := range reset.Positions {
		key := runtime.CheckpointKey{Function: reset.Function, TopicPartition: partition}
		row, ok := s.checkpoints[key]
		if !ok {
			row = runtime.Checkpoint{CheckpointKey: key, Updated: s.Clock.Now()}
		}
		row.Epoch++
		row.Next, row.Fresh, row.TopicID = next, next < 0, runtime.TopicID{}
		row.Identity, row.Sequences = runtime.Identity{ProducerID: -1}, nil
		if !reset.KeepOutputs {
			row.Updated, row.Pending = s.Clock.Now(), [runtime.Slots][]byte{}
		}
		s.checkpoints[key] = row
	}
	return nil
}

// List implements runtime.StateLister.
func (s *Store) List(ctx context.Context, table string, page runtime.Page) (found []runtime.StateRow, _ error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mutex.Unlock()
	t := s.tables[table]
	if t == nil {
		return nil, fmt.Errorf("table %q does not exist", table)
	}
	for _, key := range slices.Sorted(maps.Keys(t.rows)) {
		if len(found) == page.Limit {
			break
		}
		if strings.HasPrefix(key, page.Prefix) && (page.After == "" || key > page.After) {
			value := t.rows[key]
			found = append(found, runtime.StateRow{Key: key, State: bytes.Clone(value.state), Version: value.version})
		}
	}
	return found, nil
}
