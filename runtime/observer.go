package runtime

import "time"

// Observer hears what the engine does, for metrics. It is called once a batch or more rarely, never once a message,
// from many goroutines, and must be quick.
type Observer interface {
	// BatchDone is called when the outputs of a batch are acknowledged.
	BatchDone(function string, partition TopicPartition, batch BatchStats)
	// Happened counts an event, n times.
	Happened(function string, partition TopicPartition, event Event, n int)
}

// BatchStats describes one batch.
type BatchStats struct {
	In, Out           int
	InBytes, OutBytes int
	// Load, Compute, Commit and Send are how long each stage took; Commit and Send include waiting for answers.
	Load, Compute, Commit, Send time.Duration
	// Latency is the time from the timestamp of the batch's first input to the acknowledgement of its outputs.
	Latency time.Duration
	// CacheMisses counts the keys whose states were loaded, and CacheHits the messages that needed none loaded.
	CacheHits, CacheMisses int
}

// Event is something rare that is worth counting.
type Event uint8

// The events.
const (
	// PartitionClaimed counts partitions that this process became the owner of.
	PartitionClaimed Event = iota
	// PartitionReleased counts partitions that it gave back.
	PartitionReleased
	// CommitFenced counts batches that were rolled back because another owner had claimed the partition.
	CommitFenced
	// StateConflict counts batches that were done again with locked rows, because several partitions write one key.
	StateConflict
	// OutputResent counts record batches that were sent again when a partition was claimed.
	OutputResent
	// OutputLost counts record batches that the log had acknowledged and lost, and that were sent again anew.
	OutputLost
	// Retried counts attempts that failed for an unavailable broker or database.
	Retried
	// MessageRetried counts attempts of the function that failed and were made again.
	MessageRetried
	// MessageDeadLettered counts messages that went to the function's dead-letter topic.
	MessageDeadLettered
	// MessageSkipped counts messages that the function was not applied to because its policy says so.
	MessageSkipped
	// Rebalanced counts how often the group told this member what it has; it is of no partition.
	Rebalanced
	// EventCount is the number of events.
	EventCount
)

// String returns the event's name as metrics have it.
func (e Event) String() string {
	names := [EventCount]string{
		"partition_claimed", "partition_released", "commit_fenced", "state_conflict", "output_resent", "output_lost", "retried",
		"message_retried", "message_dead_lettered", "message_skipped",
		"rebalanced",
	}
	if e >= EventCount {
		return "unknown"
	}
	return names[e]
}

// NoObserver hears nothing.
var NoObserver Observer = noObserver{}

type noObserver struct{}

func (noObserver) BatchDone(string, TopicPartition, BatchStats) {}
func (noObserver) Happened(string, TopicPartition, Event, int)  {}
