package runtime

import "time"

// Status is what one function of an engine is doing now.
type Status struct {
	Function string
	Kind     string
	// Joined says that the function is a member of its group and was given its partitions, even if that is none.
	Joined     bool
	Partitions []PartitionStatus
}

// PartitionStatus is what one partition of a function is doing now.
type PartitionStatus struct {
	TopicPartition
	Phase Phase
	// Since is when the phase began.
	Since time.Time
	// Reason says why a partition is Retrying; empty otherwise.
	Reason string
	// Next is the first offset that is not applied, and Lag how many messages are waiting, as of the log's last answer;
	// -1 where not known yet.
	Next, Lag int64
	// CacheBytes is about what the states take that are kept in memory.
	CacheBytes int
}

// Phase is where a partition is in its life.
type Phase uint8

// The phases.
const (
	// Claiming partitions are becoming this process's: checkpoint, pending outputs, position.
	Claiming Phase = iota
	// Running partitions are processed.
	Running
	// Retrying partitions wait for a broker, a database or another party and try again.
	Retrying
	// Draining partitions finish what they have begun.
	Draining
)

func (p Phase) String() string {
	switch p {
	case Claiming:
		return "claiming"
	case Running:
		return "running"
	case Retrying:
		return "retrying"
	case Draining:
		return "draining"
	default:
		return "unknown"
	}
}

// Ready says whether the function does its work: it is in its group and no partition is claiming or retrying.
func (s Status) Ready() bool {
	if !s.Joined {
		return false
	}
	for _, p := range s.Partitions {
		if p.Phase != Running {
			return false
		}
	}
	return true
}
