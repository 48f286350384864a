package runtime

import (
	"context"
	"errors"
	"time"

	"github.com/kappaflows/flows/format"
)

// Store is the port to the database that holds states, rows and checkpoints: Postgres, SQLite, or memory for tests.
//
// All methods may be called from many goroutines and return promptly when their context is done. An error that may go
// away by itself wraps ErrUnavailable (a lost connection, a failover, a deadlock, a full disk, a server that is
// read-only for now); after it, whether a Commit happened is unknown and the engine reads the checkpoint to see. Any
// other error is final. runtime/storetest is the suite that every driver passes.
type Store interface {
	// Migrate creates and migrates the framework's tables and the given state tables, under a lock so that any number
	// of processes may do it at once. It changes nothing that is already right.
	Migrate(ctx context.Context, tables []StateTable) error
	// Claim makes the caller the owner of a checkpoint: it raises the epoch and returns the row as it then is. A
	// partition without a row gets one.
	Claim(ctx context.Context, key CheckpointKey) (Checkpoint, error)
	// Load returns the rows of those keys that have one, in any order.
	Load(ctx context.Context, table string, keys []string) ([]StateRow, error)
	// Commit applies a batch in one transaction that holds all of it or nothing. ErrFenced: the checkpoint is no
	// longer the caller's, or is not at From. ErrConflict: a state row is not at the version that the batch was
	// computed from. Both leave everything as it was.
	Commit(ctx context.Context, batch *Commit) error
	// CommitLocked does what Load and Commit do, with the rows of the keys locked in between, for keys that other
	// partitions write too. compute gets the rows and returns the batch; its error rolls back and is returned as it is. It
	// is called once at most.
	// ErrConflict may still come, for a row that was absent.
	CommitLocked(ctx context.Context, table string, keys []string, compute func([]StateRow) (*Commit, error)) error
	// Checkpoints returns the checkpoints of a function, in order of topic and partition, without claiming them. Of each pending
	// slot it returns the first PendingShown bytes: all of what is pending may be more than there is memory for.
	Checkpoints(ctx context.Context, function string) ([]Checkpoint, error)
	// Ping says whether the store can be reached.
	Ping(ctx context.Context) error
	// Close lets go of all connections.
	Close() error
}

// Errors of a Store, besides ErrUnavailable and ErrDenied.
var (
	// ErrFenced says that another process has claimed the partition, or that the checkpoint is elsewhere than the caller believes.
	ErrFenced = errors.New("fenced: the checkpoint is not the caller's")
	// ErrConflict says that somebody else has written a state that the batch was computed from.
	ErrConflict = errors.New("state conflict: a key was written by another partition")
)

// StateTable describes the table that holds a function's states. Its columns are key (text where the key is text, else
// bytea), state (jsonb where the state is one JSON document, else bytea), version and updated_at.
type StateTable struct {
	Name  string
	Key   format.Kind
	State format.Kind
}

// CheckpointKey names a checkpoint.
type CheckpointKey struct {
	Function string
	TopicPartition
}

// Slots is how many batches of outputs a checkpoint can hold until they are acknowledged. A broker remembers the last
// five batches of an identity on a partition, so that one more is never needed.
const Slots = 4

// PendingShown is how many bytes of each pending slot Store.Checkpoints returns.
const PendingShown = 64

// Checkpoint is the row of one input partition of one function.
type Checkpoint struct {
	CheckpointKey
	// Fresh says that nothing below was ever committed.
	Fresh bool
	// Epoch grows by one with each owner, from 1.
	Epoch int64
	// Next is the first input offset that is not applied; -1 in a fresh row.
	Next int64
	// TopicID is the id of the input topic when the partition was first read; zero in a fresh row.
	TopicID TopicID
	// Identity is what outputs are sent as; the zero Identity with ProducerID -1 in a fresh row.
	Identity Identity
	// Sequences is the engine's own encoding of where each output partition is.
	Sequences []byte
	// Pending holds the outputs that may not have been acknowledged, in the engine's own encoding; nil is a free slot.
	Pending [Slots][]byte
	// Updated is when the row was last committed (by the store's clock), and Now that clock at the claim.
	Updated, Now time.Time
}

// StateRow is the state of one key.
type StateRow struct {
	Key   string
	State []byte
	// Version changes with every write of the row.
	Version int64
}

// Commit is one batch as the store sees it.
type Commit struct {
	CheckpointKey
	// Epoch and From fence: the row must be at both. A row that was never committed is at -1, and at the From of a commit that
	// says where it begins: one whose Next is From. It is not at the From of a batch, whose owner saw the row committed: the
	// store went back in time.
	Epoch int64
	From  int64
	// Next is the new position; it may equal From where only pending outputs change.
	Next int64
	// TopicID, Identity and Sequences are written as they are.
	TopicID   TopicID
	Identity  Identity
	Sequences []byte
	// Put is the pending outputs to write, at most one a slot; nil leaves a slot as it is, an empty slice frees it.
	Put [Slots][]byte
	// Table is the function's state table, empty where it has none.
	Table string
	// Writes and Deletes are states, each sorted by key, no key twice.
	Writes  StateWrites
	Deletes StateDeletes
	// Changes are changes of rows, to be applied in order; see RowStore.
	Changes []Change
}

// StateWrites are states to insert or replace, in columns: the values at one index are one row.
//
// A row whose Fresh is true must be absent. One whose Fresh is false must be there at version Versions[i]-1. Written,
// it is at Versions[i].
type StateWrites struct {
	Keys     []string
	States   [][]byte
	Versions []int64
	// FreshRows is how many of the rows must be absent, and Fresh which.
	FreshRows int
	Fresh     []bool
}

// StateDeletes are states to delete; a row must be there at the version.
type StateDeletes struct {
	Keys     []string
	Versions []int64
}
