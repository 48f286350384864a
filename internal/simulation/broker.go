package simulation

import (
	"context"
	"fmt"

	"github.com/kappaflows/flows/runtime"
)

// brokerLog is the log with what can happen to a broker besides what memory.Log knows.
type brokerLog struct {
	runtime.Log
	world *world
}

type forgottenKey struct {
	runtime.TopicPartition
	runtime.Identity
}

// Send refuses what is new from an identity that the broker lost track of on the partition, as one does that has lost the end
// of its log: nothing fits behind what it has. One that has lost its memory only refuses what it has, too.
func (l brokerLog) Send(ctx context.Context, id runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	acks := make([]runtime.Ack, len(batches))
	for i := range batches {
		if forgotten, all := l.world.hasForgotten(batches[i].TopicPartition, id); forgotten && (all || !l.has(ctx, id, &batches[i])) {
			acks[i] = runtime.Ack{Offset: -1, Err: runtime.ErrOutOfOrder}
			continue
		}
		answer, err := l.Log.Send(ctx, id, batches[i:i+1])
		if err != nil {
			return nil, err
		}
		acks[i] = answer[0]
	}
	return acks, nil
}

func (l brokerLog) has(ctx context.Context, id runtime.Identity, batch *runtime.RecordBatch) (found bool) {
	err := l.Batches(ctx, runtime.Position{TopicPartition: batch.TopicPartition}, func(h runtime.BatchHeader) bool {
		found = h.Identity == id && h.Sequence == batch.Sequence
		return !found
	})
	return err == nil && found
}

// hasForgotten says whether the broker lost track of an identity on a partition, and whether it knows nothing of it at all.
func (w *world) hasForgotten(partition runtime.TopicPartition, id runtime.Identity) (forgotten, all bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	all, forgotten = w.forgotten[forgottenKey{partition, id}]
	return forgotten, all
}

// lostTrack says whether the broker lost track of an identity on a partition of a topic that the function writes to.
func (w *world) lostTrack(function string, id runtime.Identity) bool {
	written := map[string]bool{runtime.DeadLetterTopic(function).Name: true}
	for _, f := range w.functions {
		for _, spec := range f.Outputs {
			written[spec.Name] = written[spec.Name] || f.Name == function
		}
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for of := range w.forgotten {
		if of.Identity == id && written[of.Topic] {
			return true
		}
	}
	return false
}

// forget makes the broker lose track of an identity that is in use, on one output partition.
func (w *world) forget(ctx context.Context, e event) {
	d := newDice(e.pick)
	f := w.functions[d.below(len(w.functions))]
	rows, err := w.store.Checkpoints(ctx, f.Name)
	if err != nil || len(rows) == 0 || len(f.Outputs) == 0 {
		return
	}
	id := rows[d.below(len(rows))].Identity
	info, err := w.log.Describe(ctx, f.Outputs[0].Name)
	if err != nil {
		return
	}
	at := runtime.TopicPartition{Topic: info.Name, Partition: int32(d.below(int(info.Partitions)))}
	w.tell(worldLane(e.number), "the broker loses track of producer %d.%d on %s", id.ProducerID, id.Epoch, textOfPartition(at))
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.forgotten[forgottenKey{at, id}] = d.oneIn(2)
}

// outputNumber numbers the partitions of all topics.
func (w *world) outputNumber(at runtime.TopicPartition) int {
	const most = 4
	for i, info := range w.topics {
		if info.Name == at.Topic {
			return i*most + int(at.Partition)
		}
	}
	w.fail(fmt.Errorf("unknown topic %s", at.Topic))
	return 0
}
