package runtime

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/kappaflows/flows/topic"
)

// Log is the port to what holds the topics: a Kafka cluster, or one in memory for tests.
//
// All methods may be called from many goroutines and return promptly when their context is done. An error that may go
// away by itself (a broker that is away, a leader that moves, a coordinator that loads) wraps ErrUnavailable, and the
// engine tries again; any other error is final. A driver does not retry for long by itself: the engine does, so that
// readiness tells the truth. runtime/logtest is the suite that every driver passes.
type Log interface {
	// Describe returns what the log knows of a topic now, or ErrUnknownTopic.
	Describe(ctx context.Context, name string) (TopicInfo, error)
	// Create makes topics. One that exists already is left as it is, without an error.
	Create(ctx context.Context, topics []NewTopic) error
	// Join makes this process a member of a group and blocks until ctx is done or something final fails. For each
	// partition that the group gives, Join calls own in a goroutine of its own. The context of own is done when the
	// partition is to be given back or Join is to end; the partition is held until own has returned, at most for
	// Group.Release. An error from own is final: Join gives everything back and returns it. A nil return keeps the
	// partition assigned but idle until the group moves it.
	Join(ctx context.Context, group Group, own func(ctx context.Context, held Held) error) error
	// Open starts reading a partition at an offset. A reader is used by one goroutine.
	Open(ctx context.Context, from Position, limits ReadLimits) (Reader, error)
	// Bounds returns the first offset that the partition still has and the offset that the next record will get.
	Bounds(ctx context.Context, partition TopicPartition) (start, end int64, err error)
	// Committed returns the offset that a group committed for a partition, -1 where it did not.
	Committed(ctx context.Context, group string, partition TopicPartition) (int64, error)
	// NewIdentity asks for a producer identity that nobody had before.
	NewIdentity(ctx context.Context) (Identity, error)
	// Send appends record batches, at most one to a partition, waits until every replica that must have them has them
	// (acks=all), and returns one Ack a batch, in order. Acknowledging without appending what the identity already sent is the
	// broker's part and is no error. The error is for what failed as a whole; an unknown outcome is an error too.
	Send(ctx context.Context, identity Identity, batches []RecordBatch) ([]Ack, error)
	// Producer returns what the broker remembers of an identity on a partition.
	Producer(ctx context.Context, partition TopicPartition, producerID int64) (ProducerState, error)
	// Batches calls visit for each batch header of a partition from an offset up to the end at the time of the call,
	// until visit returns false. It is how a batch is looked for that may or may not have been appended, so that there
	// being no more of them is sure: an answer of a broker that others lead the partition instead of by now is
	// ErrUnavailable.
	Batches(ctx context.Context, from Position, visit func(BatchHeader) bool) error
	// Ping says whether the log can be reached.
	Ping(ctx context.Context) error
	// Close lets go of all connections. Readers and members must be gone.
	Close() error
}

// Errors of a Log. ErrUnavailable is shared with Store.
var (
	// ErrUnavailable is wrapped by errors that may go away without anybody's doing; trying again is right.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnknownTopic says that a topic does not exist.
	ErrUnknownTopic = errors.New("unknown topic")
	// ErrOutOfRange says that an offset is not, or no longer, in the partition.
	ErrOutOfRange = errors.New("offset out of range")
	// ErrOutOfOrder says that a batch is not the next one of its identity and not one of the last that the broker
	// remembers; nothing was appended (OUT_OF_ORDER_SEQUENCE_NUMBER, UNKNOWN_PRODUCER_ID).
	ErrOutOfOrder = errors.New("out of order sequence number")
	// ErrStaleIdentity says that the identity's epoch has been superseded (INVALID_PRODUCER_EPOCH).
	ErrStaleIdentity = errors.New("stale producer epoch")
	// ErrTooLarge says that a batch is larger than the topic takes (MESSAGE_TOO_LARGE); nothing was appended.
	ErrTooLarge = errors.New("record batch too large")
	// ErrDenied says that the log or the store refuses for want of a right; trying again does not help.
	ErrDenied = errors.New("permission denied")
)

// TopicID is the id that Kafka gives a topic when it is created; the zero one means that the log has none.
type TopicID [16]byte

// TopicInfo is what a log knows of a topic.
type TopicInfo struct {
	Name       string
	ID         TopicID
	Partitions int32
	// MaxMessageBytes bounds a record batch as it is sent, headers included (max.message.bytes).
	MaxMessageBytes int
}

// NewTopic says what topic to create.
type NewTopic struct {
	Name       string
	Partitions int32
	// Replicas is the replication factor; 0 is the broker's default.
	Replicas  int16
	Compacted bool
	// MaxMessageBytes is the topic's max.message.bytes; 0 is the broker's default.
	MaxMessageBytes int
	// Retention is what records are deleted by.
	Retention Retention
}

// Retention says when a topic's records are deleted for their age.
type Retention uint8

const (
	// ByTimestamp deletes records when their timestamps are older than the broker's default retention.
	ByTimestamp Retention = iota
	// ByArrival does that by the time at which they were appended (message.timestamp.type=LogAppendTime), which then is
	// their timestamp.
	ByArrival
	// Forever keeps them (retention.ms=-1).
	Forever
)

// TopicPartition names one partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Compare orders partitions by topic, then by number.
func (p TopicPartition) Compare(q TopicPartition) int {
	return cmp.Or(cmp.Compare(p.Topic, q.Topic), cmp.Compare(p.Partition, q.Partition))
}

// SortedPartitions returns the partitions that a map has something of, in order.
func SortedPartitions[V any](of map[TopicPartition]V) []TopicPartition {
	return slices.SortedFunc(maps.Keys(of), TopicPartition.Compare)
}

// Position is an offset in a partition.
type Position struct {
	TopicPartition
	Offset int64
}

// Group says how a function is a member of its group.
type Group struct {
	Name   string
	Topics []string
	// Assigned, where set, is called after each rebalance with how many partitions this member then has, none included,
	// and with -1 when membership is lost and has to be gained again.
	Assigned func(partitions int)
	// Release is how long a partition may be held after it was to be given back; 0 is ten seconds.
	Release time.Duration
}

// Held is a partition that the group gave to this process.
type Held struct {
	TopicPartition
	// Mark notes that everything below offset is done. The log commits marks to the group from time to time, and when
	// the partition is given back; it is for people and tools that look at lag, and for a function without a store.
	// It does not block.
	Mark func(offset int64)
}

// Reader reads one partition in order.
type Reader interface {
	// Read appends to dst messages that have arrived, and waits for one where none has. It returns between one and limit
	// messages. The bytes of a message stay valid as long as the message is referenced. ErrOutOfRange means that the
	// log was cut below or above the position; ErrUnavailable that reading goes on when called again.
	Read(ctx context.Context, dst []topic.Raw, limit int) ([]topic.Raw, error)
	// End returns the offset behind the last record of the partition, as of the last answer of the broker; -1 before. It is
	// learnt anew also while nothing is taken from the reader. It may be called while Read is.
	End() int64
	// Close stops reading and lets go of what is buffered.
	Close() error
}

// ReadLimits bound what a Reader buffers ahead of its caller. Zero values are the driver's defaults.
type ReadLimits struct {
	// Bytes bounds the messages that are read and not yet taken, a little more or less by one fetch. It is asked again and
	// again, since the bound may change.
	Bytes func() int
}

// Identity is a producer identity: what a broker tells repeated batches by.
type Identity struct {
	ProducerID int64
	Epoch      int16
}

// RecordBatch is what is appended to one partition at once.
type RecordBatch struct {
	TopicPartition
	// Sequence is the sequence number of the first record. Sequences go from 2147483647 to 0.
	Sequence int32
	Records  Records
}

// Ack is a broker's answer to a record batch.
type Ack struct {
	// Offset is the offset of the first record of the batch. -1 where the broker does not remember it.
	Offset int64
	// Err is nil where the batch is in the log, whenever it got there.
	Err error
}

// ProducerState is what a broker remembers of an identity on a partition.
type ProducerState struct {
	// Known is false where the broker knows nothing of the producer id.
	Known bool
	Epoch int16
	// LastSequence is the sequence of the last record appended.
	LastSequence int32
}

// BatchHeader is what is known of a record batch without its records.
type BatchHeader struct {
	Identity Identity
	Sequence int32
	Offset   int64
	Records  int
}
