package runtime

import (
	"context"
	"errors"
	"fmt"
)

// What a log has of a batch whose outcome is not known.

// Forgotten says whether the broker may have forgotten a producer on a partition (producer.id.expiration.ms), and would take
// what it has for new. So it may have where nobody is told.
func Forgotten(ctx context.Context, log Log, partition TopicPartition, producerID int64) (bool, error) {
	state, err := log.Producer(ctx, partition, producerID)
	switch {
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, ErrDenied):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("producer state of topic %s partition %d: %w", partition.Topic, partition.Partition, err)
	default:
		return !state.Known, nil
	}
}

// Search looks for the record batch that begins with a sequence of an identity, from an offset on or, where the partition begins
// later or ends before, from there. It returns the batch's offset, -1 where there is none, and where the partition begins: what
// it had before that can't be told.
func Search(ctx context.Context, log Log, from Position, identity Identity, sequence int32) (offset, start int64, err error) {
	start, end, err := log.Bounds(ctx, from.TopicPartition)
	if err != nil {
		return -1, 0, fmt.Errorf("bounds of topic %s partition %d: %w", from.Topic, from.Partition, err)
	}
	// A log that lost what it had acknowledged may end before.
	from.Offset = max(start, min(end, from.Offset))
	offset = -1
	err = log.Batches(ctx, from, func(h BatchHeader) bool {
		// The number of records says nothing: compaction may have taken some.
		if h.Identity == identity && h.Sequence == sequence {
			offset = h.Offset
		}
		return offset < 0
	})
	if err != nil {
		return -1, 0, fmt.Errorf("look for a record batch in topic %s partition %d: %w", from.Topic, from.Partition, err)
	}
	return offset, start, nil
}
