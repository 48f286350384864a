package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/kappaflows/flows/runtime"
)

const (
	checkpointColumns = `function, topic, partition, epoch, next_offset, topic_id, producer_id, producer_epoch, sequences,
		updated_at, clock_timestamp()`
	pendingColumns = `, pending_a, pending_b, pending_c, pending_d`
	shownColumns   = `, substring(pending_a for $2), substring(pending_b for $2), substring(pending_c for $2), substring(pending_d for $2)`
)

// claimSQL leaves updated_at alone: it tells how old the pending outputs are.
const claimSQL = `insert into flows_checkpoint as c (function, topic, partition) values ($1, $2, $3)
	on conflict (function, topic, partition) do update set epoch = c.epoch + 1 returning ` + checkpointColumns + pendingColumns

const listSQL = `select ` + checkpointColumns + shownColumns + ` from flows_checkpoint where function = $1 order by topic collate "C", partition`

// fenceSQL moves a checkpoint, and fails with a division by zero where the row is not the caller's or not at its
// offset. A pending slot that is not written keeps its value where it is.
const fenceSQL = `with fenced as (
	update flows_checkpoint set next_offset = $6, topic_id = $7, producer_id = $8, producer_epoch = $9, sequences = $10,
		pending_a = case when $11::boolean then $12::bytea else pending_a end,
		pending_b = case when $13::boolean then $14::bytea else pending_b end,
		pending_c = case when $15::boolean then $16::bytea else pending_c end,
		pending_d = case when $17::boolean then $18::bytea else pending_d end,
		updated_at = clock_timestamp()
	where function = $1 and topic = $2 and partition = $3 and epoch = $4
		and (next_offset = $5 or next_offset = -1 and $5 = $6) returning 1)
	select 1 / count(*) from fenced`

// Claim makes the caller the owner of a checkpoint.
func (s *Store) Claim(ctx context.Context, key runtime.CheckpointKey) (at runtime.Checkpoint, _ error) {
	err := s.with(ctx, "claim "+name(key), func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, claimSQL, key.Function, key.Topic, key.Partition)
		if err != nil {
			return err
		}
		at, err = pgx.CollectExactlyOneRow(rows, scanCheckpoint)
		return err
	})
	return at, err
}

// Checkpoints returns the checkpoints of a function.
func (s *Store) Checkpoints(ctx context.Context, function string) (all []runtime.Checkpoint, _ error) {
	err := s.with(ctx, "read the checkpoints of "+function, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, listSQL, function, runtime.PendingShown)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scanCheckpoint)
		return err
	})
	return all, err
}

func scanCheckpoint(row pgx.CollectableRow) (at runtime.Checkpoint, _ error) {
	var topicID []byte
	err := row.Scan(&at.Function, &at.Topic, &at.Partition, &at.Epoch, &at.Next, &topicID, &at.Identity.ProducerID, &at.Identity.Epoch,
		&at.Sequences, &at.Updated, &at.Now, &at.Pending[0], &at.Pending[1], &at.Pending[2], &at.Pending[3])
	copy(at.TopicID[:], topicID)
	at.Fresh = at.Next == -1
	return at, err
}

// fence returns the step of a batch that moves the checkpoint.
func fence(ctx context.Context, conn *pgx.Conn, batch *runtime.Commit) (step, error) {
	statement, err := conn.Prepare(ctx, fenceSQL, fenceSQL)
	if err != nil {
		return step{}, err
	}
	params := append(make([][]byte, 0, 10+2*runtime.Slots),
		[]byte(batch.Function), []byte(batch.Topic), int4Value(batch.Partition), int8Value(batch.Epoch), int8Value(batch.From),
		int8Value(batch.Next), batch.TopicID[:], int8Value(batch.Identity.ProducerID), int2Value(batch.Identity.Epoch),
		append([]byte{}, batch.Sequences...))
	for _, put := range batch.Put {
		if len(put) == 0 {
			params = append(params, boolValue(put != nil), nil)
		} else {
			params = append(params, boolValue(true), put)
		}
	}
	return step{statement: statement, params: params, refused: runtime.ErrFenced}, nil
}

// name is how errors call a checkpoint.
func name(key runtime.CheckpointKey) string {
	return key.Function + " " + key.Topic + "/" + itoa(key.Partition)
}
