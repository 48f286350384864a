package simulation

import (
	"fmt"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// partitioners are those of topics that do not place keys as Kafka's clients do.
var partitioners = map[string]topic.Partitioner{tallies: byLastByte}

// byLastByte is a partitioner of somebody's own.
func byLastByte(key []byte, n int32) int32 { return int32(key[len(key)-1]) % n }

// partitions is how many a topic was made with. What the log answers the engine may be lost or late; this is not.
func (w *world) partitions(name string) (n int32) {
	plan := w.schedule.plan
	switch name {
	case input:
		return plan.inputs
	case middle:
		return plan.middles
	case output, tallies:
		return plan.outputs
	case pairs:
		return 1
	}
	for _, f := range w.functions {
		for _, own := range f.OwnTopics() {
			for _, like := range own.Like {
				if own.Spec.Name == name {
					n = max(n, w.partitions(like.Name))
				}
			}
		}
	}
	return n
}

// checkPlaces looks that every output is in the one partition that its key belongs to. It holds at any time.
func (w *world) checkPlaces() error {
	for _, info := range w.topics {
		for p := range info.Partitions {
			for _, record := range w.log.Records(info.Name, p) {
				if err := w.checkPlace(runtime.TopicPartition{Topic: info.Name, Partition: p}, record.Key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *world) checkPlace(at runtime.TopicPartition, key []byte) error {
	if at.Topic == input {
		// Lines are where the world put them.
		return nil
	}
	place := topic.Murmur2
	if own := partitioners[at.Topic]; own != nil {
		place = own
	}
	if of := w.partitions(at.Topic); place(key, of) != at.Partition {
		return fmt.Errorf("key %q is in %s, and belongs into partition %d of %d: %w", key, textOfPartition(at), place(key, of), of, errWrong)
	}
	return nil
}
