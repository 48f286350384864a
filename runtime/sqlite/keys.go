package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/kappaflows/flows/runtime"
)

var _ runtime.KeyStore = (*Store)(nil)

const keyedColumns = `function, key, fingerprint, producer_id, producer_epoch, topic, partition, sequence, from_offset, record, log_offset`

// Times of the table are milliseconds since 1970.
const (
	recallSQL   = `select ` + keyedColumns + ` from flows_idempotency_key where function = ? and key = ? and expires_at > ?`
	rememberSQL = `insert or replace into flows_idempotency_key (` + keyedColumns + `, expires_at)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	renewSQL = `update flows_idempotency_key
		set producer_id = ?, producer_epoch = ?, topic = ?, partition = ?, sequence = ?, from_offset = ?
		where function = ? and key = ? and producer_id = ? and producer_epoch = ? and log_offset = -1`
	finishSQL = `update flows_idempotency_key set log_offset = ?, record = null where function = ? and key = ?`
	forgetSQL = `delete from flows_idempotency_key where rowid in (
		select rowid from flows_idempotency_key where expires_at <= ? limit ?)`
)

// Recall implements runtime.KeyStore.
func (s *Store) Recall(ctx context.Context, key runtime.RequestKey) (runtime.KeyedRequest, bool, error) {
	request, found, err := recall(ctx, s.reader, key)
	return request, found, explain(ctx, "recall an idempotency key of "+key.Function, err)
}

func recall(ctx context.Context, from querier, key runtime.RequestKey) (r runtime.KeyedRequest, found bool, err error) {
	rows, err := from.QueryContext(ctx, recallSQL, key.Function, key.Key, time.Now().UnixMilli())
	if err != nil {
		return r, false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		return r, false, rows.Err()
	}
	err = rows.Scan(&r.Function, &r.Key, &r.Fingerprint, &r.Identity.ProducerID, &r.Identity.Epoch, &r.Topic, &r.Partition,
		&r.Sequence, &r.From, &r.Record, &r.Offset)
	return r, err == nil, err
}

// Remember implements runtime.KeyStore.
func (s *Store) Remember(
	ctx context.Context, request runtime.KeyedRequest, keep time.Duration,
) (there runtime.KeyedRequest, first bool, _ error) {
	err := s.write(ctx, "remember an idempotency key of "+request.Function, func() error {
		known, found, err := recall(ctx, s.writer.conn, request.RequestKey)
		if err != nil || found {
			there = known
			return err
		}
		there, first = request, true
		return s.writer.exec(ctx, rememberSQL, request.Function, request.Key, request.Fingerprint, request.Identity.ProducerID,
			request.Identity.Epoch, request.Topic, request.Partition, request.Sequence, request.From, request.Record, request.Offset,
			time.Now().Add(keep).UnixMilli())
	})
	return there, first, err
}

// Renew implements runtime.KeyStore.
func (s *Store) Renew(ctx context.Context, request runtime.KeyedRequest, was runtime.Identity) (renewed bool, _ error) {
	err := s.write(ctx, "renew an idempotency key of "+request.Function, func() error {
		n, err := s.writer.changed(ctx, renewSQL, request.Identity.ProducerID, request.Identity.Epoch, request.Topic, request.Partition,
			request.Sequence, request.From, request.Function, request.Key, was.ProducerID, was.Epoch)
		renewed = n > 0
		return err
	})
	return renewed, err
}

// Finish implements runtime.KeyStore.
func (s *Store) Finish(ctx context.Context, key runtime.RequestKey, offset int64) error {
	return s.write(ctx, "finish an idempotency key of "+key.Function, func() error {
		return s.writer.exec(ctx, finishSQL, offset, key.Function, key.Key)
	})
}

// Forget implements runtime.KeyStore.
func (s *Store) Forget(ctx context.Context, limit int) (forgotten int, _ error) {
	err := s.write(ctx, "forget idempotency keys", func() error {
		n, err := s.writer.changed(ctx, forgetSQL, time.Now().UnixMilli(), limit)
		forgotten = int(n)
		return err
	})
	return forgotten, err
}
