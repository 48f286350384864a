package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// Target says where a function is to go on. The zero one means where it began: as if it had never run.
type Target struct {
	// Offsets are positions of some partitions; the others stay where they are.
	Offsets map[runtime.TopicPartition]int64
	// Time, where there are no Offsets, is of the first messages to be read, in every partition.
	Time time.Time
	// KeepState leaves the states as they are.
	KeepState bool
	// ForgetOutputs gives up outputs that may not have been sent. Without KeepState that is so anyhow.
	ForgetOutputs bool
}

// Resetting is what a reset is going to do.
type Resetting struct {
	Function *runtime.Function
	// Moves are the partitions that get another position, in order.
	Moves []Move
	// Table is the table whose states are deleted, empty where none are.
	Table string
	// KeepOutputs and Unsent say what becomes of outputs that may not have been sent, and how many batches of them there are.
	KeepOutputs bool
	Unsent      int
}

// Move is the change of one position; runtime.Never is that of a partition that was never read.
type Move struct {
	runtime.TopicPartition
	From, To int64
}

// PlanReset checks what is asked for and returns what Reset will do. Nothing has changed yet.
func (o Operator) PlanReset(ctx context.Context, f *runtime.Function, target Target) (*Resetting, error) {
	r := &Resetting{Function: f, KeepOutputs: target.KeepState && !target.ForgetOutputs}
	positions, err := o.Positions(ctx, f)
	if err != nil {
		return nil, err
	}
	checkpoints, err := o.checkpoints(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := inside(positions, target.Offsets); err != nil {
		return nil, err
	}
	if f.State != nil && !target.KeepState {
		if err := complete(positions, target.Offsets); err != nil {
			return nil, err
		}
		r.Table = f.State.Table.Name
	}
	for _, p := range positions {
		to, moves, err := o.target(ctx, p, target)
		if err != nil {
			return nil, err
		}
		if moves {
			r.Moves = append(r.Moves, Move{p.TopicPartition, p.Next, to})
		}
		if cp := checkpoints[p.TopicPartition]; cp != nil && moves {
			r.Unsent += pending(cp)
		}
		delete(checkpoints, p.TopicPartition)
	}
	if len(target.Offsets) == 0 {
		// Partitions that were read once and are no more: what is known of them is of no use to anybody.
		for _, at := range runtime.SortedPartitions(checkpoints) {
			r.Moves = append(r.Moves, Move{at, checkpoints[at].Next, runtime.Never})
		}
	}
	return r, nil
}

func pending(cp *runtime.Checkpoint) (batches int) {
	for _, slot := range cp.Pending {
		if slot != nil {
			batches++
		}
	}
	return batches
}

// target returns where one partition is to go on, and whether it is to move.
func (o Operator) target(ctx context.Context, p Position, target Target) (to int64, moves bool, err error) {
	switch {
	case len(target.Offsets) > 0:
		to, moves = target.Offsets[p.TopicPartition]
		return to, moves, nil
	case target.Time.IsZero():
		return runtime.Never, true, nil
	}
	admin, ok := o.Log.(runtime.Administrator)
	if !ok {
		return 0, false, ErrNotSupported
	}
	if to, err = admin.OffsetAt(ctx, p.TopicPartition, target.Time); err != nil {
		return 0, false, fmt.Errorf("%s/%d: %w", p.Topic, p.Partition, err)
	}
	return to, true, nil
}

// ErrOutside says that an offset is not in its partition.
var ErrOutside = errors.New("no position to go on from")

// inside checks that offsets are of partitions that the function reads, and in them.
func inside(positions []Position, offsets map[runtime.TopicPartition]int64) error {
	for _, at := range runtime.SortedPartitions(offsets) {
		i := slices.IndexFunc(positions, func(p Position) bool { return p.TopicPartition == at })
		if i < 0 {
			return fmt.Errorf("%s:%d: %w: the function does not read such a partition", at.Topic, at.Partition, ErrOutside)
		}
		if p := positions[i]; offsets[at] < p.Start || offsets[at] > p.End {
			return fmt.Errorf("%s:%d=%d: %w: the partition goes from %d to %d", at.Topic, at.Partition, offsets[at], ErrOutside, p.Start, p.End)
		}
	}
	return nil
}

// ErrPartial says that only some partitions of a function are to go back while the states of all are deleted: those of the
// others would be lost, since their messages are not read again.
var ErrPartial = errors.New("states of all partitions would be deleted, so each needs an offset")

// complete checks that offsets, where there are any, are of all partitions that have been read.
func complete(positions []Position, offsets map[runtime.TopicPartition]int64) error {
	for _, p := range positions {
		if _, given := offsets[p.TopicPartition]; len(offsets) > 0 && !given && p.Next != runtime.Never {
			return fmt.Errorf("%s:%d: %w; or keep the states", p.Topic, p.Partition, ErrPartial)
		}
	}
	return nil
}

// CheckStopped returns ErrRunning where a process runs the function.
func (o Operator) CheckStopped(ctx context.Context, f *runtime.Function) error {
	admin, ok := o.Log.(runtime.Administrator)
	if !ok {
		return ErrNotSupported
	}
	members, err := admin.Members(ctx, f.Name)
	switch {
	case err != nil:
		return err
	case members > 0:
		return fmt.Errorf("function %s has %d members in its group: %w", f.Name, members, ErrRunning)
	}
	return nil
}

// Reset does what was planned, for a function that does not run: ErrRunning otherwise. A process that the log does not
// know of any more and that still works, is shut out.
//
// The offsets of the group go first. Behind the checkpoint they do no harm; ahead of it, the next claim would take the
// store for one that went back in time.
func (o Operator) Reset(ctx context.Context, r *Resetting) error {
	if err := o.CheckStopped(ctx, r.Function); err != nil {
		return err
	}
	positions := map[runtime.TopicPartition]int64{}
	for _, move := range r.Moves {
		positions[move.TopicPartition] = move.To
	}
	err := o.Log.(runtime.Administrator).ResetOffsets(ctx, r.Function.Name, positions)
	if errors.Is(err, runtime.ErrMembers) {
		return fmt.Errorf("%w: %w", err, ErrRunning)
	}
	if err != nil || (!durable(r.Function) && r.Table == "") {
		return err
	}
	resetter, ok := o.Store.(runtime.Resetter)
	if !ok {
		return ErrNotSupported
	}
	return resetter.Reset(ctx, runtime.Reset{
		Function: r.Function.Name, Positions: positions, Table: r.Table, KeepOutputs: r.KeepOutputs,
	})
}
