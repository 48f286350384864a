// Package topic names the topics of a dataflow and types what is in them.
//
// A Topic ties a name to the formats of its keys and values. It is what a function reads from and the only thing that
// can make an output Record, so the compiler checks the types of every output. The package holds names, types and
// bytes; it knows nothing of brokers, partitions' owners or delivery.
package topic

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kappaflows/flows/format"
)

// Topic is a named topic whose keys are K and whose values are V. Make one with New; it never changes afterwards and
// is safe for use by many goroutines.
type Topic[K, V any] struct {
	spec  Spec
	key   format.Format[K]
	value format.Format[V]
	arena *arena

	keyIsNull   func(K) bool
	valueIsNull func(V) bool
	// borrow makes a record's key and value without a copy, nil where their formats don't.
	borrow func(K, V) (key, value []byte)
}

// New declares a topic. The name follows Kafka's rules (1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'); a wrong one is
// reported when the app is validated, before anything connects.
func New[K, V any](name string, key format.Format[K], value format.Format[V], options ...Option) *Topic[K, V] {
	t := &Topic[K, V]{spec: Spec{Name: name}, key: key, value: value, arena: newArena()}
	if key != nil {
		t.spec.KeyFormat = key.Name()
		t.spec.KeyKind = key.Kind()
		t.keyIsNull = format.NullOf(key)
	}
	if value != nil {
		t.spec.ValueFormat = value.Name()
		t.spec.ValueKind = value.Kind()
		t.valueIsNull = format.NullOf(value)
	}
	if key != nil && value != nil {
		t.borrow = borrowing(key, value)
		t.spec.Borrowed = format.BorrowOf(key) != nil || format.BorrowOf(value) != nil
	}
	t.spec.show = t.Show
	for _, option := range options {
		option(&t.spec)
	}
	return t
}

func borrowing[K, V any](key format.Format[K], value format.Format[V]) func(K, V) ([]byte, []byte) {
	ofKey, ofValue := format.BorrowOf(key), format.BorrowOf(value)
	if ofKey == nil || ofValue == nil {
		return nil
	}
	return func(k K, v V) ([]byte, []byte) { return ofKey(k), ofValue(v) }
}

// Spec returns the untyped description of the topic; nil for a nil topic.
func (t *Topic[K, V]) Spec() *Spec {
	if t == nil {
		return nil
	}
	return &t.spec
}

// KeyFormat returns the format of the topic's keys.
func (t *Topic[K, V]) KeyFormat() format.Format[K] { return t.key }

// ValueFormat returns the format of the topic's values.
func (t *Topic[K, V]) ValueFormat() format.Format[V] { return t.value }

// Declared is any topic, whatever its types: what List holds. Only *Topic implements it.
type Declared interface {
	// Spec returns the untyped description of the topic.
	Spec() *Spec
	// Show renders a record of this topic as text, for people to read.
	Show(key, value []byte) (keyText, valueText string, err error)

	sealed()
}

// List declares topics of any types, for example the Outputs of a function.
type List []Declared

// Specs returns the untyped descriptions of the topics, in order; nil for one that is nil.
func (l List) Specs() []*Spec {
	specs := make([]*Spec, len(l))
	for i, t := range l {
		if t != nil {
			specs[i] = t.Spec()
		}
	}
	return specs
}

func (t *Topic[K, V]) sealed() {}

// Spec describes a topic without its types: what is needed to create, check and draw it.
type Spec struct {
	Name                   string
	KeyFormat, ValueFormat string
	KeyKind, ValueKind     format.Kind
	// Partitions is how many partitions the topic gets where flows creates it; 0 leaves it to the caller.
	Partitions int32
	// Partition places a key among n partitions; nil is murmur2 as Java clients do it (see Murmur2).
	Partition Partitioner
	// Borrowed says that keys or values are the message's own bytes, see format.Borrowed.
	Borrowed bool
	// Compacted topics keep the last record of each key where flows creates them.
	Compacted bool

	show func(key, value []byte) (keyText, valueText string, err error)
}

// Show renders a record of this topic as text, as Topic.Show does; as quoted bytes where no Topic made the Spec.
func (s *Spec) Show(key, value []byte) (keyText, valueText string, err error) {
	if s.show == nil {
		return strconv.Quote(string(key)), strconv.Quote(string(value)), nil
	}
	return s.show(key, value)
}

// Option refines a topic's declaration.
type Option func(*Spec)

// Partitions sets how many partitions the topic gets where flows creates it.
func Partitions(n int32) Option { return func(s *Spec) { s.Partitions = n } }

// Compacted makes the topic one that keeps only the last record of each key, where flows creates it.
func Compacted() Option { return func(s *Spec) { s.Compacted = true } }

// PartitionBy replaces the default placement of keys, and of records without one, which p is given as nil. Every writer of
// the topic must agree on it, or joins break.
func PartitionBy(p Partitioner) Option { return func(s *Spec) { s.Partition = p } }

// Place returns the partition, of n, for a record with this key. Unless PartitionBy says otherwise, a nil key is placed on the
// partition that spread names, so that keyless records are spread by whoever sends them.
func (s *Spec) Place(key []byte, n int32, spread uint32) int32 {
	if s.Partition != nil {
		return s.Partition(key, n)
	}
	if key == nil {
		return int32(spread % uint32(n))
	}
	return Murmur2(key, n)
}

// Validate reports what is wrong with the declaration, one line a problem.
func (s *Spec) Validate() (problems []string) {
	if err := ValidateName(s.Name); err != nil {
		problems = append(problems, err.Error())
	}
	if s.KeyFormat == "" {
		problems = append(problems, fmt.Sprintf("topic %q has no key format", s.Name))
	}
	if s.ValueFormat == "" {
		problems = append(problems, fmt.Sprintf("topic %q has no value format", s.Name))
	}
	if s.Partitions < 0 {
		problems = append(problems, fmt.Sprintf("topic %q: %d partitions; it takes one or more", s.Name, s.Partitions))
	}
	return problems
}

// maxName is the longest topic name that Kafka takes (org.apache.kafka.common.internals.Topic).
const maxName = 249

// ValidateName checks a topic's name against Kafka's rules (org.apache.kafka.common.internals.Topic).
func ValidateName(name string) error {
	switch {
	case name == "":
		return errors.New("topic name is empty")
	case len(name) > maxName:
		return fmt.Errorf("topic name of %d characters; %d at most", len(name), maxName)
	case name == "." || name == "..":
		return fmt.Errorf("topic name %q is not allowed", name)
	}
	if at := strings.IndexFunc(name, func(r rune) bool { return !nameRune(r) }); at >= 0 {
		return fmt.Errorf("topic name %q: only a-z, A-Z, 0-9, '.', '_' and '-' are allowed", name)
	}
	return nil
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
}
