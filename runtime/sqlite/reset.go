package sqlite

import (
	"context"
	"errors"

	"github.com/kappaflows/flows/runtime"
)

var (
	_ runtime.Resetter    = (*Store)(nil)
	_ runtime.StateLister = (*Store)(nil)
)

const (
	resetSQL = `insert into flows_checkpoint as c (function, topic, partition, next_offset, updated_at) values (?, ?, ?, ?, ?)
		on conflict (function, topic, partition) do update set epoch = c.epoch + 1, next_offset = excluded.next_offset,
		topic_id = excluded.topic_id, producer_id = excluded.producer_id, producer_epoch = excluded.producer_epoch,
		sequences = excluded.sequences`
	// touchSQL comes with it where outputs are not kept; updated_at tells how old those are that are.
	touchSQL         = `, updated_at = excluded.updated_at`
	forgetOutputsSQL = `delete from flows_pending where function = ? and topic = ? and partition = ?`
)

// Reset implements runtime.Resetter.
func (s *Store) Reset(ctx context.Context, reset runtime.Reset) error {
	what := "reset " + reset.Function
	if reset.Table != "" {
		if _, err := s.table(ctx, reset.Table); err != nil {
			return explain(ctx, what, err)
		}
	}
	return s.write(ctx, what, func() error {
		for partition, next := range reset.Positions {
			if err := s.writer.reset(ctx, reset, partition, next); err != nil {
				return err
			}
		}
		if reset.Table == "" {
			return nil
		}
		return s.writer.exec(ctx, `delete from `+quote(reset.Table))
	})
}

func (w *writer) reset(ctx context.Context, reset runtime.Reset, partition runtime.TopicPartition, next int64) error {
	statement := resetSQL
	if !reset.KeepOutputs {
		if err := w.exec(ctx, forgetOutputsSQL, reset.Function, partition.Topic, partition.Partition); err != nil {
			return err
		}
		statement += touchSQL
	}
	return w.exec(ctx, statement, reset.Function, partition.Topic, partition.Partition, next, now())
}

// List implements runtime.StateLister.
func (s *Store) List(ctx context.Context, table string, page runtime.Page) (found []runtime.StateRow, _ error) {
	found, err := s.list(ctx, table, page)
	return found, explain(ctx, "list "+table, err)
}

func (s *Store) list(ctx context.Context, table string, page runtime.Page) (found []runtime.StateRow, err error) {
	t, err := s.table(ctx, table)
	if err != nil {
		return nil, err
	}
	// Bytes are counted and compared, in text too: a prefix ends where it ends, not where a letter does.
	prefix := t.key(page.Prefix)
	rows, err := s.reader.QueryContext(ctx, `select key, state, version from `+quote(table)+`
		where (? = 0 or key >= ? and substr(cast(key as blob), 1, ?) = cast(? as blob)) and (? = '' or key > ?) order by key limit ?`,
		len(page.Prefix), prefix, len(page.Prefix), prefix, page.After, t.key(page.After), page.Limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var row runtime.StateRow
		if err := rows.Scan(&row.Key, &row.State, &row.Version); err != nil {
			return nil, err
		}
		found = append(found, row)
	}
	return found, rows.Err()
}
