package simulation

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

// mutations are engines with a bug each. What they do wrong is done between the engine and its ports, so that the engine
// itself knows nothing of them.
var mutations = map[string]Mutation{
	"the epoch is not checked": func(p Ports, _ int) Ports {
		store := p.Store
		p.Store = mutantStore{Store: store, commit: func(ctx context.Context, c *runtime.Commit) error {
			if row, err := checkpoint(ctx, store, c.CheckpointKey); err == nil {
				c.Epoch, c.From = row.Epoch, row.Next
			}
			return store.Commit(ctx, c)
		}}
		return p
	},
	"outputs are sent before the commit": func(p Ports, _ int) Ports {
		log, store := p.Log, p.Store
		late := &lateStore{Store: store, lock: make(chan struct{}, 1), waiting: map[runtime.CheckpointKey]*runtime.Commit{}}
		p.Store, p.Log = late, mutantLog{Log: log, after: late.flush}
		return p
	},
	"outputs are sent without an identity": func(p Ports, _ int) Ports {
		log := p.Log
		p.Log = mutantLog{Log: log, identity: func(runtime.Identity) runtime.Identity { return runtime.Identity{ProducerID: -1} }}
		return p
	},
	"pending outputs are cleared too early": func(p Ports, _ int) Ports {
		store := p.Store
		p.Store = mutantStore{Store: store, commit: func(ctx context.Context, c *runtime.Commit) error {
			for i := range c.Put {
				c.Put[i] = []byte{}
			}
			return store.Commit(ctx, c)
		}}
		return p
	},
	"one slot fewer is kept": func(p Ports, _ int) Ports {
		store := p.Store
		p.Store = mutantStore{Store: store, commit: func(ctx context.Context, c *runtime.Commit) error {
			if c.Put[1] != nil {
				c.Put[0] = []byte{}
			}
			return store.Commit(ctx, c)
		}}
		return p
	},
	"output partitions are computed again": func(p Ports, process int) Ports {
		log := p.Log
		p.Log = mutantLog{Log: log, partition: func(ctx context.Context, at runtime.TopicPartition) runtime.TopicPartition {
			info, err := log.Describe(ctx, at.Topic)
			if err == nil {
				at.Partition = (at.Partition + int32(process)) % info.Partitions
			}
			return at
		}}
		return p
	},
	"out of order is taken for acknowledged": func(p Ports, _ int) Ports {
		log := p.Log
		p.Log = mutantLog{Log: log, answer: func(err error) error {
			if errors.Is(err, runtime.ErrOutOfOrder) {
				return nil
			}
			return err
		}}
		return p
	},
	"an unknown outcome is taken for acknowledged": func(p Ports, _ int) Ports {
		log := p.Log
		p.Log = mutantLog{Log: log, lossy: true}
		return p
	},
	"reading starts at the group's offset": func(p Ports, _ int) Ports {
		log, store := p.Log, p.Store
		p.Store = mutantStore{
			Store: store,
			claim: func(ctx context.Context, key runtime.CheckpointKey) (runtime.Checkpoint, error) {
				cp, err := store.Claim(ctx, key)
				if committed, failed := log.Committed(ctx, key.Function, key.TopicPartition); err == nil && failed == nil && cp.Next >= 0 {
					cp.Next = max(0, committed)
				}
				return cp, err
			},
			commit: func(ctx context.Context, c *runtime.Commit) error {
				if row, err := checkpoint(ctx, store, c.CheckpointKey); err == nil {
					c.From = row.Next
				}
				return store.Commit(ctx, c)
			},
		}
		return p
	},
	"old pending outputs are not looked for": func(p Ports, _ int) Ports {
		log := p.Log
		p.Log = mutantLog{Log: log, blind: true}
		return p
	},
	"a store that is behind is not noticed": func(p Ports, _ int) Ports {
		log := p.Log
		p.Log = mutantLog{Log: log, blind: true, uncommitted: true}
		return p
	},
	"states are loaded from before": func(p Ports, _ int) Ports {
		store := p.Store
		p.Store = &staleStore{Store: store, rows: map[string]runtime.StateRow{}}
		return p
	},
}

// TestMutationsAreCaught: each bug is found by some seed.
func TestMutationsAreCaught(t *testing.T) {
	const most = 400
	for name, mutate := range mutations {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(most) {
				if err := simulate(t, seed, mutate); err != nil {
					require.NotContains(t, err.Error(), "panic")
					t.Log("caught: ", strings.ReplaceAll(err.Error(), "\n", "; "))
					return
				}
			}
			require.Fail(t, "not caught", "by %d seeds", most)
		})
	}
}

func checkpoint(ctx context.Context, store runtime.Store, key runtime.CheckpointKey) (runtime.Checkpoint, error) {
	rows, err := store.Checkpoints(ctx, key.Function)
	for _, row := range rows {
		if row.CheckpointKey == key {
			return row, err
		}
	}
	return runtime.Checkpoint{}, errors.Join(err, errors.New("no such checkpoint"))
}

type mutantStore struct {
	runtime.Store
	claim  func(context.Context, runtime.CheckpointKey) (runtime.Checkpoint, error)
	commit func(context.Context, *runtime.Commit) error
}

func (s mutantStore) Claim(ctx context.Context, key runtime.CheckpointKey) (runtime.Checkpoint, error) {
	if s.claim == nil {
		return s.Store.Claim(ctx, key)
	}
	return s.claim(ctx, key)
}

func (s mutantStore) Commit(ctx context.Context, c *runtime.Commit) error { return s.commit(ctx, c) }

// lateStore says that a batch is committed before it is: it commits it when its outputs are sent, or the next one comes.
type lateStore struct {
	runtime.Store
	// lock is a channel since virtual time goes on while one waits for it.
	lock    chan struct{}
	waiting map[runtime.CheckpointKey]*runtime.Commit
}

func (s *lateStore) Commit(ctx context.Context, c *runtime.Commit) error {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	if before := s.waiting[c.CheckpointKey]; before != nil {
		if err := s.Store.Commit(ctx, before); err != nil {
			return err
		}
		delete(s.waiting, c.CheckpointKey)
	}
	if c.From == c.Next {
		return s.Store.Commit(ctx, c)
	}
	s.waiting[c.CheckpointKey] = cloneCommit(c)
	return nil
}

// flush commits what waits, once something was sent.
func (s *lateStore) flush(ctx context.Context) {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	for key, c := range s.waiting {
		if s.Store.Commit(ctx, c) == nil {
			delete(s.waiting, key)
		}
	}
}

// staleStore remembers the rows that it loaded first.
type staleStore struct {
	runtime.Store
	mutex sync.Mutex
	rows  map[string]runtime.StateRow
}

func (s *staleStore) Load(ctx context.Context, table string, keys []string) ([]runtime.StateRow, error) {
	rows, err := s.Store.Load(ctx, table, keys)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i, row := range rows {
		if before, ok := s.rows[row.Key]; ok {
			rows[i].State = before.State
		}
		s.rows[row.Key] = rows[i]
	}
	return rows, err
}

// mutantLog is a log that does or says something else.
type mutantLog struct {
	runtime.Log
	identity  func(runtime.Identity) runtime.Identity
	partition func(context.Context, runtime.TopicPartition) runtime.TopicPartition
	answer    func(error) error
	after     func(context.Context)
	// lossy takes a send whose outcome is not known for one that arrived.
	lossy bool
	// blind knows nothing of producers and batches, uncommitted nothing of the group's offsets.
	blind, uncommitted bool
}

func (l mutantLog) Send(ctx context.Context, id runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	if l.identity != nil {
		id = l.identity(id)
	}
	moved := make([]runtime.RecordBatch, len(batches))
	for i, b := range batches {
		if l.partition != nil {
			b.TopicPartition = l.partition(ctx, b.TopicPartition)
		}
		moved[i] = b
	}
	acks, err := l.Log.Send(ctx, id, moved)
	if l.after != nil {
		l.after(ctx)
	}
	if l.lossy && errors.Is(err, runtime.ErrUnavailable) {
		return make([]runtime.Ack, len(batches)), nil
	}
	for i := range acks {
		if l.answer != nil {
			acks[i].Err = l.answer(acks[i].Err)
		}
	}
	return acks, err
}

func (l mutantLog) Committed(ctx context.Context, group string, partition runtime.TopicPartition) (int64, error) {
	if l.uncommitted {
		return -1, nil
	}
	return l.Log.Committed(ctx, group, partition)
}

func (l mutantLog) Producer(ctx context.Context, partition runtime.TopicPartition, id int64) (runtime.ProducerState, error) {
	if l.blind {
		return runtime.ProducerState{}, nil
	}
	return l.Log.Producer(ctx, partition, id)
}

func (l mutantLog) Batches(ctx context.Context, from runtime.Position, visit func(runtime.BatchHeader) bool) error {
	if l.blind {
		return nil
	}
	return l.Log.Batches(ctx, from, visit)
}
