package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/kappaflows/flows/runtime"
)

const checkpointSQL = `select topic, partition, epoch, next_offset, topic_id, producer_id, producer_epoch, sequences, updated_at,
	(select substr(outputs, 1, ?1) from flows_pending p where p.function = c.function and p.topic = c.topic and p.partition = c.partition and slot = 0),
	(select substr(outputs, 1, ?1) from flows_pending p where p.function = c.function and p.topic = c.topic and p.partition = c.partition and slot = 1),
	(select substr(outputs, 1, ?1) from flows_pending p where p.function = c.function and p.topic = c.topic and p.partition = c.partition and slot = 2),
	(select substr(outputs, 1, ?1) from flows_pending p where p.function = c.function and p.topic = c.topic and p.partition = c.partition and slot = 3)
	from flows_checkpoint c where function = ?`

const (
	claimSQL = `insert into flows_checkpoint as c (function, topic, partition, updated_at) values (?, ?, ?, ?)
		on conflict (function, topic, partition) do update set epoch = c.epoch + 1`
	fenceSQL = `update flows_checkpoint
		set next_offset = ?, topic_id = ?, producer_id = ?, producer_epoch = ?, sequences = ?, updated_at = ?
		where function = ? and topic = ? and partition = ? and epoch = ? and (next_offset = ? or next_offset = -1 and ?)`
	putSQL = `insert into flows_pending (function, topic, partition, slot, outputs) values (?, ?, ?, ?, ?)
		on conflict (function, topic, partition, slot) do update set outputs = excluded.outputs`
	freeSQL = `delete from flows_pending where function = ? and topic = ? and partition = ? and slot = ?`
)

// timeFormat sorts as text and is what SQLite's own functions read.
const timeFormat = "2006-01-02 15:04:05.000000"

func now() string { return time.Now().UTC().Format(timeFormat) }

// Claim makes the caller the owner of a checkpoint.
func (s *Store) Claim(ctx context.Context, key runtime.CheckpointKey) (at runtime.Checkpoint, _ error) {
	err := s.write(ctx, "claim "+name(key), func() error {
		if err := s.writer.exec(ctx, claimSQL, key.Function, key.Topic, key.Partition, now()); err != nil {
			return err
		}
		rows, err := s.writer.conn.QueryContext(ctx, checkpointSQL+` and topic = ? and partition = ?`, math.MaxInt32, key.Function, key.Topic, key.Partition)
		if err != nil {
			return err
		}
		claimed, err := scanCheckpoints(rows, key.Function)
		if err == nil {
			at = claimed[0]
		}
		return err
	})
	return at, err
}

// Checkpoints returns the checkpoints of a function.
func (s *Store) Checkpoints(ctx context.Context, function string) (all []runtime.Checkpoint, _ error) {
	rows, err := s.reader.QueryContext(ctx, checkpointSQL+` order by topic, partition`, runtime.PendingShown, function)
	if err == nil {
		all, err = scanCheckpoints(rows, function)
	}
	return all, explain(ctx, "read the checkpoints of "+function, err)
}

func scanCheckpoints(rows *sql.Rows, function string) (all []runtime.Checkpoint, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		at := runtime.Checkpoint{Now: time.Now()}
		var topicID []byte
		var updated string
		err := rows.Scan(&at.Topic, &at.Partition, &at.Epoch, &at.Next, &topicID, &at.Identity.ProducerID, &at.Identity.Epoch, &at.Sequences,
			&updated, &at.Pending[0], &at.Pending[1], &at.Pending[2], &at.Pending[3])
		if err != nil {
			return nil, err
		}
		if at.Updated, err = time.Parse(timeFormat, updated); err != nil {
			return nil, err
		}
		copy(at.TopicID[:], topicID)
		at.Function, at.Fresh = function, at.Next == -1
		all = append(all, at)
	}
	return all, rows.Err()
}

// moveCheckpoint writes a batch's checkpoint, or finds that it is not the caller's.
func (w *writer) moveCheckpoint(ctx context.Context, batch *runtime.Commit) error {
	key := []any{batch.Function, batch.Topic, batch.Partition}
	moved, err := w.changed(ctx, fenceSQL, batch.Next, batch.TopicID[:], batch.Identity.ProducerID, batch.Identity.Epoch,
		append([]byte{}, batch.Sequences...), now(), batch.Function, batch.Topic, batch.Partition, batch.Epoch, batch.From, batch.From == batch.Next)
	if err != nil {
		return err
	}
	if moved == 0 {
		return refused(batch, runtime.ErrFenced)
	}
	for slot, put := range batch.Put {
		switch {
		case put == nil:
		case len(put) == 0:
			err = errors.Join(err, w.exec(ctx, freeSQL, append(key, slot)...))
		default:
			err = errors.Join(err, w.exec(ctx, putSQL, append(key, slot, put)...))
		}
	}
	return err
}

// name is how errors call a checkpoint.
func name(key runtime.CheckpointKey) string {
	return key.Function + " " + key.Topic + "/" + strconv.Itoa(int(key.Partition))
}
