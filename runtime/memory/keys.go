package memory

import (
	"bytes"
	"context"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// keyed is a request that is remembered until it expires.
type keyed struct {
	runtime.KeyedRequest
	expires time.Time
}

var _ runtime.KeyStore = (*Store)(nil)

// Recall implements runtime.KeyStore.
func (s *Store) Recall(ctx context.Context, key runtime.RequestKey) (runtime.KeyedRequest, bool, error) {
	if err := s.begin(ctx); err != nil {
		return runtime.KeyedRequest{}, false, err
	}
	defer s.mutex.Unlock()
	request, found := s.recall(key)
	return request, found, nil
}

func (s *Store) recall(key runtime.RequestKey) (runtime.KeyedRequest, bool) {
	row, found := s.keys[key]
	if !found || !s.Clock.Now().Before(row.expires) {
		return runtime.KeyedRequest{}, false
	}
	return row.copied(), true
}

func (k keyed) copied() runtime.KeyedRequest {
	request := k.KeyedRequest
	request.Fingerprint, request.Record = bytes.Clone(request.Fingerprint), bytes.Clone(request.Record)
	return request
}

// Remember implements runtime.KeyStore.
func (s *Store) Remember(ctx context.Context, request runtime.KeyedRequest, keep time.Duration) (runtime.KeyedRequest, bool, error) {
	if err := s.begin(ctx); err != nil {
		return runtime.KeyedRequest{}, false, err
	}
	defer s.mutex.Unlock()
	if there, found := s.recall(request.RequestKey); found {
		return there, false, nil
	}
	row := keyed{KeyedRequest: request, expires: s.Clock.Now().Add(keep)}
	row.KeyedRequest = row.copied()
	s.keys[request.RequestKey] = row
	return row.copied(), true, nil
}

// Renew implements runtime.KeyStore.
func (s *Store) Renew(ctx context.Context, request runtime.KeyedRequest, was runtime.Identity) (bool, error) {
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	defer s.mutex.Unlock()
	row, found := s.keys[request.RequestKey]
	if !found || row.Offset != runtime.Pending || row.Identity != was {
		return false, nil
	}
	row.Identity, row.TopicPartition = request.Identity, request.TopicPartition
	row.Sequence, row.From = request.Sequence, request.From
	s.keys[request.RequestKey] = row
	return true, nil
}

// Finish implements runtime.KeyStore.
func (s *Store) Finish(ctx context.Context, key runtime.RequestKey, offset int64) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mutex.Unlock()
	if s.failFinish != nil {
		return s.failFinish
	}
	if row, found := s.keys[key]; found {
		row.Offset, row.Record = offset, nil
		s.keys[key] = row
	}
	return nil
}

// Forget implements runtime.KeyStore.
func (s *Store) Forget(ctx context.Context, limit int) (forgotten int, _ error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.mutex.Unlock()
	now := s.Clock.Now()
	for key, row := range s.keys {
		if forgotten < limit && !now.Before(row.expires) {
			delete(s.keys, key)
			forgotten++
		}
	}
	return forgotten, nil
}

// FailFinish makes every Finish fail with the error, and do nothing; nil ends that.
func (s *Store) FailFinish(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.failFinish = err
}
