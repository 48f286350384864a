package simulation

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/kappaflows/flows/runtime"
)

// mutations are engines with a bug each. What they do wrong is done between the engine and its ports, so that the engine
// itself knows nothing of them. Bugs inside of the engine are those of rules.
var mutations = map[string]Mutation{
	"the epoch is not checked": onCommit(func(ctx context.Context, store runtime.Store, c *runtime.Commit) error {
		if row, err := checkpoint(ctx, store, c.CheckpointKey); err == nil {
			c.Epoch = row.Epoch
		}
		return store.Commit(ctx, c)
	}),
	"the offset is not checked": onCommit(func(ctx context.Context, store runtime.Store, c *runtime.Commit) error {
		if row, err := checkpoint(ctx, store, c.CheckpointKey); err == nil {
			c.From = row.Next
		}
		return store.Commit(ctx, c)
	}),
	"neither epoch nor offset is checked": onCommit(func(ctx context.Context, store runtime.Store, c *runtime.Commit) error {
		if row, err := checkpoint(ctx, store, c.CheckpointKey); err == nil {
			c.Epoch, c.From = row.Epoch, row.Next
		}
		return store.Commit(ctx, c)
	}),
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
	"pending outputs are not written": onCommit(func(ctx context.Context, store runtime.Store, c *runtime.Commit) error {
		for i := range c.Put {
			c.Put[i] = []byte{}
		}
		return store.Commit(ctx, c)
	}),
	"one slot fewer is kept": onCommit(func(ctx context.Context, store runtime.Store, c *runtime.Commit) error {
		if c.Put[1] != nil {
			c.Put[0] = []byte{}
		}
		return store.Commit(ctx, c)
	}),
	"sequences are not written": onCommit(func(ctx context.Context, store runtime.Store, c *runtime.Commit) error {
		c.Sequences = nil
		return store.Commit(ctx, c)
	}),
	"a commit whose answer is lost is taken for done": onCommit(func(ctx context.Context, store runtime.Store, c *runtime.Commit) error {
		if err := store.Commit(ctx, c); !errors.Is(err, runtime.ErrUnavailable) {
			return err
		}
		return nil
	}),
	"a commit whose answer is lost is taken for not done": func(p Ports, _ int) Ports {
		p.Store = &forgetfulStore{Store: p.Store, from: map[runtime.CheckpointKey]int64{}}
		return p
	},
	"versions of states are not checked": onCommit(func(ctx context.Context, store runtime.Store, c *runtime.Commit) error {
		overwrite(ctx, store, c)
		return store.Commit(ctx, c)
	}),
	"rows are not locked": func(p Ports, _ int) Ports {
		p.Store = unlockedStore{p.Store}
		return p
	},
	"output partitions are computed again": func(p Ports, process int) Ports {
		log := p.Log.(faultyLog)
		p.Log = mutantLog{Log: log, partition: func(at runtime.TopicPartition) runtime.TopicPartition {
			at.Partition = (at.Partition + int32(process)) % log.port.process.world.partitions(at.Topic)
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

// TestMutationsAreCaught: each bug is found by the seed that docs/guarantees.md names.
func TestMutationsAreCaught(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(mutations)) {
		t.Run(name, func(t *testing.T) { catch(t, name, mutations[name]) })
	}
}

// TestNothingIsFoundWithoutABug: the seeds that find bugs find nothing where there is none, nor where the engine's calls pass
// through what bugs are made with.
func TestNothingIsFoundWithoutABug(t *testing.T) {
	findNothing(t, nil)
	pass := onCommit(func(ctx context.Context, store runtime.Store, c *runtime.Commit) error { return store.Commit(ctx, c) })
	findNothing(t, func(p Ports, process int) Ports {
		p.Log = mutantLog{Log: p.Log}
		return pass(p, process)
	})
}

// onCommit is a bug in what is committed.
func onCommit(commit func(context.Context, runtime.Store, *runtime.Commit) error) Mutation {
	return func(p Ports, _ int) Ports {
		store := p.Store
		p.Store = mutantStore{Store: store, commit: func(ctx context.Context, c *runtime.Commit) error { return commit(ctx, store, c) }}
		return p
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

// overwrite makes a commit fit whatever versions the rows have.
func overwrite(ctx context.Context, store runtime.Store, c *runtime.Commit) {
	if c.Table == "" {
		return
	}
	rows, err := store.Load(ctx, c.Table, slices.Concat(c.Writes.Keys, c.Deletes.Keys))
	if err != nil {
		return
	}
	versions := map[string]int64{}
	for _, row := range rows {
		versions[row.Key] = row.Version
	}
	for i, key := range c.Writes.Keys {
		version, there := versions[key]
		if c.Writes.Fresh[i] && there {
			c.Writes.FreshRows--
		} else if !c.Writes.Fresh[i] && !there {
			c.Writes.FreshRows++
		}
		c.Writes.Fresh[i], c.Writes.Versions[i] = !there, version+1
	}
	var deletes runtime.StateDeletes
	for _, key := range c.Deletes.Keys {
		if version, there := versions[key]; there {
			deletes.Keys, deletes.Versions = append(deletes.Keys, key), append(deletes.Versions, version)
		}
	}
	c.Deletes = deletes
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

// flush commits what waits of a partition, once something was sent.
func (s *lateStore) flush(ctx context.Context) {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	for key, c := range s.waiting {
		if int(key.Partition)+1 == callerOf(ctx).partition && s.Store.Commit(ctx, c) == nil {
			delete(s.waiting, key)
		}
	}
}

// forgetfulStore brings a partition back to where a commit began whose answer was lost.
type forgetfulStore struct {
	runtime.Store
	mutex sync.Mutex
	from  map[runtime.CheckpointKey]int64
}

func (s *forgetfulStore) Commit(ctx context.Context, c *runtime.Commit) error {
	err := s.Store.Commit(ctx, c)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if errors.Is(err, runtime.ErrUnavailable) {
		s.from[c.CheckpointKey] = c.From
	}
	return err
}

func (s *forgetfulStore) Claim(ctx context.Context, key runtime.CheckpointKey) (runtime.Checkpoint, error) {
	cp, err := s.Store.Claim(ctx, key)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if from, ok := s.from[key]; ok && err == nil {
		cp.Next = from
		delete(s.from, key)
	}
	return cp, err
}

// unlockedStore locks no rows.
type unlockedStore struct{ runtime.Store }

func (s unlockedStore) CommitLocked(ctx context.Context, table string, keys []string, compute func([]runtime.StateRow) (*runtime.Commit, error)) error {
	rows, err := s.Load(ctx, table, keys)
	if err != nil {
		return err
	}
	c, err := compute(rows)
	if err != nil {
		return err
	}
	return s.Commit(ctx, c)
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
	partition func(runtime.TopicPartition) runtime.TopicPartition
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
			b.TopicPartition = l.partition(b.TopicPartition)
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
