package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/internal/rows"
)

// Store is a runtime.Store that keeps everything in memory. It takes nothing on trust: a commit that breaks the port's
// rules (keys out of order, columns of different lengths) is a final error that says so.
type Store struct {
	// Clock is runtime.WallClock unless set before the first call.
	Clock runtime.Clock
	// LockTimeout is how long a call waits for rows that others have locked, and IdleTimeout how long a transaction may be
	// open while nothing is heard of its owner, as lock_timeout and idle_in_transaction_session_timeout are of Postgres.
	// They are those of the engine's connections, 10 s each, unless set before the first call.
	LockTimeout, IdleTimeout time.Duration

	mutex       sync.Mutex
	locks       map[lock]*transaction
	waiting     []*transaction
	hooks       StoreHooks
	down        bool
	closed      bool
	tables      map[string]*stateTable
	checkpoints map[runtime.CheckpointKey]runtime.Checkpoint
	keys        map[runtime.RequestKey]keyed
	failFinish  error
	rowTables   map[reflect.Type]*rowTable
}

// StoreHooks are called with each batch, from Commit and from CommitLocked, and make it fail with the error they return. They
// must not call the store or change the batch.
type StoreHooks struct {
	// BeforeCommit fails a commit that did not happen.
	BeforeCommit func(*runtime.Commit) error
	// AfterCommit fails a commit that did happen: its answer is lost.
	AfterCommit func(*runtime.Commit) error
	// Refuse is called with each change of a row; its error refuses the batch, with runtime.ErrRefused.
	Refuse func(runtime.Change) error
}

type stateTable struct {
	runtime.StateTable
	rows map[string]stateValue
}

type stateValue struct {
	state   []byte
	version int64
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{
		Clock:       runtime.WallClock,
		LockTimeout: defaultTimeout,
		IdleTimeout: defaultTimeout,
		locks:       map[lock]*transaction{},
		tables:      map[string]*stateTable{},
		checkpoints: map[runtime.CheckpointKey]runtime.Checkpoint{},
		keys:        map[runtime.RequestKey]keyed{},
		rowTables:   map[reflect.Type]*rowTable{},
	}
}

var _ runtime.Store = (*Store)(nil)

// Hook replaces the hooks; the zero StoreHooks ends them.
func (s *Store) Hook(hooks StoreHooks) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.hooks = hooks
}

// SetDown makes every call fail with runtime.ErrUnavailable, or work again. Nothing is lost meanwhile.
func (s *Store) SetDown(down bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.down = down
}

// Rows returns a copy of the states of a table by key, for assertions.
func (s *Store) Rows(table string) map[string][]byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	rows := map[string][]byte{}
	if t := s.tables[table]; t != nil {
		for key, value := range t.rows {
			rows[key] = slices.Clone(value.state)
		}
	}
	return rows
}

// begin locks the store for a call, unless the call can't be served.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mutex.Lock()
	if s.closed || s.down {
		s.mutex.Unlock()
		return fmt.Errorf("memory store: %w", runtime.ErrUnavailable)
	}
	return nil
}

// Migrate makes the tables that are missing.
func (s *Store) Migrate(ctx context.Context, tables []runtime.StateTable) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mutex.Unlock()
	for _, table := range tables {
		if err := rows.CheckTable(table); err != nil {
			return err
		}
		if t := s.tables[table.Name]; t == nil {
			s.tables[table.Name] = &stateTable{StateTable: table, rows: map[string]stateValue{}}
		} else if t.StateTable != table {
			return fmt.Errorf("table %q exists with other columns", table.Name)
		}
	}
	return nil
}

// Claim makes the caller the owner of a checkpoint.
func (s *Store) Claim(ctx context.Context, key runtime.CheckpointKey) (runtime.Checkpoint, error) {
	if err := s.begin(ctx); err != nil {
		return runtime.Checkpoint{}, err
	}
	var row runtime.Checkpoint
	err := s.run(ctx, &transaction{}, locking(lock{checkpoint: key}), func() error {
		row = s.claim(key)
		return nil
	})
	return row, err
}

func (s *Store) claim(key runtime.CheckpointKey) runtime.Checkpoint {
	row, ok := s.checkpoints[key]
	if !ok {
		row = runtime.Checkpoint{
			CheckpointKey: key,
			Fresh:         true,
			Next:          -1,
			Identity:      runtime.Identity{ProducerID: -1},
			Updated:       s.Clock.Now(),
		}
	}
	row.Epoch++
	s.checkpoints[key] = row
	return s.view(row)
}

// view is a copy of a row as a reader gets it.
func (s *Store) view(row runtime.Checkpoint) runtime.Checkpoint {
	row.Now = s.Clock.Now()
	row.Sequences = bytes.Clone(row.Sequences)
	for i, pending := range row.Pending {
		row.Pending[i] = bytes.Clone(pending)
	}
	return row
}

// shown is what a reader gets of a row who does not claim it.
func (s *Store) shown(row runtime.Checkpoint) runtime.Checkpoint {
	for i, pending := range row.Pending {
		row.Pending[i] = pending[:min(len(pending), runtime.PendingShown)]
	}
	return s.view(row)
}

// Load returns the rows of the keys.
func (s *Store) Load(ctx context.Context, table string, keys []string) ([]runtime.StateRow, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mutex.Unlock()
	return s.load(table, keys)
}

func (s *Store) load(table string, keys []string) (found []runtime.StateRow, _ error) {
	t := s.tables[table]
	if t == nil {
		return nil, fmt.Errorf("table %q does not exist", table)
	}
	wanted := slices.Clone(keys)
	slices.Sort(wanted)
	for _, key := range slices.Compact(wanted) {
		if value, ok := t.rows[key]; ok {
			found = append(found, runtime.StateRow{Key: key, State: bytes.Clone(value.state), Version: value.version})
		}
	}
	return found, nil
}

func (s *Store) commit(batch *runtime.Commit) error {
	if before := s.hooks.BeforeCommit; before != nil {
		if err := before(batch); err != nil {
			return err
		}
	}
	if err := s.fence(batch); err != nil {
		return err
	}
	row := s.checkpoints[batch.CheckpointKey]
	changed, err := s.change(batch.Changes)
	if err != nil {
		return err
	}
	if err := s.writeStates(batch); err != nil {
		return err
	}
	changed.apply()
	row.Fresh, row.Next, row.TopicID, row.Identity = false, batch.Next, batch.TopicID, batch.Identity
	row.Sequences, row.Updated = bytes.Clone(batch.Sequences), s.Clock.Now()
	for i, put := range batch.Put {
		if put != nil {
			row.Pending[i] = bytes.Clone(put)
		}
		if len(row.Pending[i]) == 0 {
			row.Pending[i] = nil
		}
	}
	s.checkpoints[batch.CheckpointKey] = row
	if after := s.hooks.AfterCommit; after != nil {
		return after(batch)
	}
	return nil
}

func (s *Store) fence(batch *runtime.Commit) error {
	row, ok := s.checkpoints[batch.CheckpointKey]
	if !ok || row.Epoch != batch.Epoch || (row.Next != batch.From && (row.Next != -1 || batch.From != batch.Next)) {
		return fmt.Errorf("%s %s/%d at offset %d: %w", batch.Function, batch.Topic, batch.Partition, batch.From, runtime.ErrFenced)
	}
	return nil
}

// writeStates checks every row before it changes any.
func (s *Store) writeStates(batch *runtime.Commit) error {
	writes, deletes := batch.Writes, batch.Deletes
	if len(writes.Keys)+len(deletes.Keys) == 0 {
		return nil
	}
	t := s.tables[batch.Table]
	if t == nil {
		return fmt.Errorf("table %q does not exist", batch.Table)
	}
	if err := rows.CheckBatch(batch); err != nil {
		return err
	}
	if err := rows.CheckStates(t.StateTable, writes); err != nil {
		return err
	}
	for i, key := range writes.Keys {
		if value, ok := t.rows[key]; ok == writes.Fresh[i] || (ok && value.version != writes.Versions[i]-1) {
			return runtime.ErrConflict
		}
	}
	for i, key := range deletes.Keys {
		if value, ok := t.rows[key]; !ok || value.version != deletes.Versions[i] {
			return runtime.ErrConflict
		}
	}
	for i, key := range writes.Keys {
		t.rows[key] = stateValue{state: append([]byte{}, writes.States[i]...), version: writes.Versions[i]}
	}
	for _, key := range deletes.Keys {
		delete(t.rows, key)
	}
	return nil
}

// Checkpoints returns the checkpoints of a function.
func (s *Store) Checkpoints(ctx context.Context, function string) ([]runtime.Checkpoint, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mutex.Unlock()
	var rows []runtime.Checkpoint
	for key := range maps.Keys(s.checkpoints) {
		if key.Function == function {
			rows = append(rows, s.shown(s.checkpoints[key]))
		}
	}
	slices.SortFunc(rows, func(a, b runtime.Checkpoint) int { return a.Compare(b.TopicPartition) })
	return rows, nil
}

// Ping says whether SetDown or Close was called.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	s.mutex.Unlock()
	return nil
}

// Close makes every later call fail.
func (s *Store) Close() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.closed = true
	return nil
}
