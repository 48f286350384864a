package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kappaflows/flows/runtime"
)

var _ runtime.KeyStore = (*Store)(nil)

const keyedColumns = `function, key, fingerprint, producer_id, producer_epoch, topic, partition, sequence, from_offset, record, log_offset`

const recallSQL = `select ` + keyedColumns + ` from flows_idempotency_key
	where function = $1 and key = $2 and expires_at > clock_timestamp()`

// rememberSQL returns no row where there is one that has not expired.
const rememberSQL = `insert into flows_idempotency_key as k (` + keyedColumns + `, expires_at)
	values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp() + make_interval(secs => $12))
	on conflict (function, key) do update set fingerprint = excluded.fingerprint, producer_id = excluded.producer_id,
		producer_epoch = excluded.producer_epoch, topic = excluded.topic, partition = excluded.partition, sequence = excluded.sequence,
		from_offset = excluded.from_offset, record = excluded.record, log_offset = excluded.log_offset, expires_at = excluded.expires_at
	where k.expires_at <= clock_timestamp()`

const renewSQL = `update flows_idempotency_key
	set producer_id = $5, producer_epoch = $6, topic = $7, partition = $8, sequence = $9, from_offset = $10
	where function = $1 and key = $2 and producer_id = $3 and producer_epoch = $4 and log_offset = -1`

const finishSQL = `update flows_idempotency_key set log_offset = $3, record = null where function = $1 and key = $2`

// forgetSQL passes over rows that somebody else deletes or replaces.
const forgetSQL = `delete from flows_idempotency_key where ctid = any(array(
	select ctid from flows_idempotency_key where expires_at <= clock_timestamp() order by expires_at limit $1 for update skip locked))`

// Recall implements runtime.KeyStore.
func (s *Store) Recall(ctx context.Context, key runtime.RequestKey) (request runtime.KeyedRequest, found bool, _ error) {
	err := s.with(ctx, "recall an idempotency key of "+key.Function, func(ctx context.Context, conn *pgx.Conn) (err error) {
		request, found, err = recall(ctx, conn, key)
		return err
	})
	return request, found, err
}

func recall(ctx context.Context, conn *pgx.Conn, key runtime.RequestKey) (runtime.KeyedRequest, bool, error) {
	rows, err := conn.Query(ctx, recallSQL, key.Function, key.Key)
	if err != nil {
		return runtime.KeyedRequest{}, false, err
	}
	request, err := pgx.CollectExactlyOneRow(rows, scanKeyed)
	if errors.Is(err, pgx.ErrNoRows) {
		return runtime.KeyedRequest{}, false, nil
	}
	return request, err == nil, err
}

func scanKeyed(row pgx.CollectableRow) (r runtime.KeyedRequest, _ error) {
	err := row.Scan(&r.Function, &r.Key, &r.Fingerprint, &r.Identity.ProducerID, &r.Identity.Epoch, &r.Topic, &r.Partition,
		&r.Sequence, &r.From, &r.Record, &r.Offset)
	return r, err
}

// Remember implements runtime.KeyStore.
func (s *Store) Remember(
	ctx context.Context, request runtime.KeyedRequest, keep time.Duration,
) (there runtime.KeyedRequest, first bool, _ error) {
	err := s.with(ctx, "remember an idempotency key of "+request.Function, func(ctx context.Context, conn *pgx.Conn) error {
		for {
			done, err := conn.Exec(ctx, rememberSQL, request.Function, request.Key, request.Fingerprint, request.Identity.ProducerID,
				request.Identity.Epoch, request.Topic, request.Partition, request.Sequence, request.From, request.Record, request.Offset,
				keep.Seconds())
			if err != nil {
				return err
			}
			if done.RowsAffected() > 0 {
				there, first = request, true
				return nil
			}
			// The row may expire between the two statements.
			found := false
			if there, found, err = recall(ctx, conn, request.RequestKey); found || err != nil {
				return err
			}
		}
	})
	return there, first, err
}

// Renew implements runtime.KeyStore.
func (s *Store) Renew(ctx context.Context, request runtime.KeyedRequest, was runtime.Identity) (renewed bool, _ error) {
	err := s.with(ctx, "renew an idempotency key of "+request.Function, func(ctx context.Context, conn *pgx.Conn) error {
		done, err := conn.Exec(ctx, renewSQL, request.Function, request.Key, was.ProducerID, was.Epoch, request.Identity.ProducerID,
			request.Identity.Epoch, request.Topic, request.Partition, request.Sequence, request.From)
		renewed = done.RowsAffected() > 0
		return err
	})
	return renewed, err
}

// Finish implements runtime.KeyStore.
func (s *Store) Finish(ctx context.Context, key runtime.RequestKey, offset int64) error {
	return s.with(ctx, "finish an idempotency key of "+key.Function, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, finishSQL, key.Function, key.Key, offset)
		return err
	})
}

// Forget implements runtime.KeyStore.
func (s *Store) Forget(ctx context.Context, limit int) (forgotten int, _ error) {
	err := s.with(ctx, "forget idempotency keys", func(ctx context.Context, conn *pgx.Conn) error {
		done, err := conn.Exec(ctx, forgetSQL, limit)
		forgotten = int(done.RowsAffected())
		return err
	})
	return forgotten, err
}
