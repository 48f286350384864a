package simulation

import (
	"context"
	"math/rand/v2"

	"github.com/kappaflows/flows/runtime"
)

// brokerLog is the log with what can happen to a broker besides what memory.Log knows.
type brokerLog struct {
	runtime.Log
	world *world
}

// Send refuses what is new from an identity that the broker lost track of on the partition, as one does that has lost the end
// of its log: nothing fits behind what it has.
func (l brokerLog) Send(ctx context.Context, id runtime.Identity, batches []runtime.RecordBatch) ([]runtime.Ack, error) {
	acks := make([]runtime.Ack, len(batches))
	for i := range batches {
		if l.world.hasForgotten(batches[i].TopicPartition, id) && !l.has(ctx, id, &batches[i]) {
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

func (w *world) hasForgotten(partition runtime.TopicPartition, id runtime.Identity) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.forgotten[forgottenKey{partition, id}]
}

// forget makes the broker lose track of an identity that is in use, on one output partition.
func (w *world) forget(ctx context.Context, random *rand.Rand) {
	function, topicName, partitions := functions[0], middle, w.plan.middles
	if random.IntN(2) == 0 {
		function, topicName, partitions = functions[1], output, w.plan.outputs
	}
	rows, err := w.store.Checkpoints(ctx, function)
	if err != nil || len(rows) == 0 {
		return
	}
	id := rows[random.IntN(len(rows))].Identity
	at := runtime.TopicPartition{Topic: topicName, Partition: random.Int32N(partitions)}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.forgotten[forgottenKey{at, id}] = true
}
