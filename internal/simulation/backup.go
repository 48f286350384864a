package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// backup is the store as it once was.
type backup struct {
	restore     func()
	checkpoints map[runtime.CheckpointKey]runtime.Checkpoint
	// nights is how long all nights had taken.
	nights time.Duration
}

func (w *world) makeBackup() {
	if checkpoints := w.checkpoints(); checkpoints != nil {
		w.backup = &backup{restore: w.store.Snapshot(), checkpoints: checkpoints, nights: w.nights}
	}
}

// checkpoints returns all there are; nil where the store is down.
func (w *world) checkpoints() map[runtime.CheckpointKey]runtime.Checkpoint {
	rows, err := w.orderedCheckpoints(context.Background())
	if err != nil {
		return nil
	}
	checkpoints := map[runtime.CheckpointKey]runtime.Checkpoint{}
	for _, row := range rows {
		checkpoints[row.CheckpointKey] = row
	}
	return checkpoints
}

// orderedCheckpoints returns them in the order of the functions.
func (w *world) orderedCheckpoints(ctx context.Context) (all []runtime.Checkpoint, _ error) {
	for _, f := range w.functions {
		rows, err := w.store.Checkpoints(ctx, f.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// position is the offset of a checkpoint; one that was never committed is at the start.
func (b *backup) position(key runtime.CheckpointKey) int64 { return max(0, b.checkpoints[key].Next) }

// losesMessages says whether the store would lose commits of messages.
func (w *world) losesMessages() bool {
	for key, row := range w.checkpoints() {
		if w.backup.position(key) < row.Next {
			return true
		}
	}
	return false
}

// losesIdentities says whether the store would lose identities that others were renewed to.
func (w *world) losesIdentities() bool {
	for key, row := range w.checkpoints() {
		if before, ok := w.backup.checkpoints[key]; ok && before.Identity.ProducerID >= 0 && before.Identity != row.Identity {
			return true
		}
	}
	return false
}

// restoreBackup brings an older store back.
func (w *world) restoreBackup(l lane) {
	loses := w.losesMessages() || w.losesIdentities()
	w.backup.restore()
	w.tell(l, "the last backup of the store is restored; commits are lost: %v", loses)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.wentBack = w.wentBack || loses
	clear(w.reached)
}

// goBack brings an older database back, unless it is back: the app must notice and do nothing.
func (w *world) goBack(ctx context.Context, back bool) error {
	if !back {
		if !w.losesMessages() {
			return nil
		}
		w.restoreBackup(worldLane(worldItself))
	}
	counts := w.outputCount()
	p := w.launch(ctx)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Minute):
	}
	w.stopAll()
	if err := w.failed(); err != nil {
		return err
	}
	if !errors.Is(p.err(), runtime.ErrStoreBehind) {
		return fmt.Errorf("the store went back in time and nobody noticed: %w", errors.Join(p.err(), errWrong))
	}
	if w.outputCount() != counts {
		// Other partitions, which are not behind, have nothing to do.
		return fmt.Errorf("outputs of a store that went back in time: %w", errWrong)
	}
	return nil
}

// goBackAwake does so while the app runs, as a failover to a replica that is behind does, and puts in more for it to
// notice. Of what lost messages nothing may go on.
func (w *world) goBackAwake(ctx context.Context) error {
	lost := w.lostPositions(ctx)
	w.restoreBackup(worldLane(worldItself))
	for p := range w.schedule.plan.inputs {
		w.put(p, line{author: "a0", words: []string{"w0"}})
		w.sleep(0)
	}
	for range 60 {
		if w.sleep(settleWait); w.hasNoticed() || w.failed() != nil {
			break
		}
	}
	rows, err := w.orderedCheckpoints(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if before, ok := lost[row.CheckpointKey]; ok && row.Next > before {
			return fmt.Errorf("%s went on at offset %d of %s in a store that had gone back to %d: %w",
				row.Function, row.Next, textOfPartition(row.TopicPartition), before, errWrong)
		}
	}
	return nil
}

// lostPositions are those that the backup has of partitions that lost messages. One that the backup has never seen begins with
// what is left of it, which may be where the group is.
func (w *world) lostPositions(ctx context.Context) map[runtime.CheckpointKey]int64 {
	lost := map[runtime.CheckpointKey]int64{}
	for key, row := range w.checkpoints() {
		before := w.backup.position(key)
		start, _, err := w.log.Bounds(ctx, key.TopicPartition)
		if err == nil && row.Next > max(before, start) {
			lost[key] = before
		}
	}
	return lost
}

// evident says whether there is something that can tell that the backup is older: of each partition that lost a commit, the
// offset that the group has, or a producer that the backup knows and the broker has not forgotten. Where the backup has
// never seen the partition, reading starts at what is left of it.
func (w *world) evident(ctx context.Context) bool {
	forgotten := w.backup.nights < w.nights
	if forgotten && w.losesIdentities() {
		return false
	}
	for key, row := range w.checkpoints() {
		before := w.backup.position(key)
		if row.Next <= before {
			continue
		}
		start, _, err := w.log.Bounds(ctx, key.TopicPartition)
		marked, failed := w.log.Committed(ctx, key.Function, key.TopicPartition)
		if err != nil || failed != nil || marked <= max(before, start) && (before == 0 || forgotten) {
			return false
		}
	}
	return true
}
