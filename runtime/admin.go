package runtime

import (
	"context"
	"errors"
	"time"
)

// Administrator is what a Log also implements that lets people move functions: commands need it, the engine does not.
// Its errors are a Log's.
type Administrator interface {
	// Members returns how many members a group has now; 0 where there is no such group.
	Members(ctx context.Context, group string) (int, error)
	// ResetOffsets sets the offsets that a group committed; Never makes a partition one that it never committed for. It
	// changes nothing and returns ErrMembers where the group has members.
	ResetOffsets(ctx context.Context, group string, offsets map[TopicPartition]int64) error
	// OffsetAt returns the first offset whose record is of a time or later; the partition's end where there is none.
	OffsetAt(ctx context.Context, partition TopicPartition, at time.Time) (int64, error)
}

// Resetter is what a Store also implements that can take a function back. Its errors are a Store's.
type Resetter interface {
	// Reset does what it is told in one transaction. The epoch of every checkpoint that it moves grows by one, so that a
	// process that still works on the partition can't commit any more.
	Reset(ctx context.Context, reset Reset) error
}

// Never is the position of a partition that was never read.
const Never = -1

// Reset says what becomes of a function.
type Reset struct {
	Function string
	// Positions are the partitions to move and where to; Never for where a partition begins that was never read. Those
	// without a checkpoint get one, and the ids of their topics are forgotten.
	Positions map[TopicPartition]int64
	// Table is the state table whose rows are all deleted; empty deletes none.
	Table string
	// KeepOutputs keeps outputs that may not have been acknowledged, and Checkpoint.Updated, which tells how old they are: the
	// next claim sends them, as what they are. Without it they are forgotten. What outputs are sent as from then on is
	// forgotten either way, and the next claim takes a new identity.
	KeepOutputs bool
}

// StateLister is what a Store also implements that can list states.
type StateLister interface {
	// List returns the rows of a state table whose keys begin with prefix and are behind the key after, in the order of
	// their bytes, at most limit. after is empty for the first ones, which may then be the empty key.
	List(ctx context.Context, table string, page Page) ([]StateRow, error)
}

// Page says which states to list.
type Page struct {
	Prefix, After string
	Limit         int
}

// ErrMembers says that a group can't be changed because it has members: the function runs.
var ErrMembers = errors.New("the group has members")
