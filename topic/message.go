package topic

import (
	"fmt"
	"slices"
	"time"
)

// Message is one input of a function: what was read, typed.
type Message[K, V any] struct {
	Key   K
	Value V
	// Tombstone says that the value was null, which in Kafka means "deleted"; Value is then the zero value.
	Tombstone bool
	Headers   Headers
	// Timestamp is the record's, in milliseconds as Kafka keeps it.
	Timestamp time.Time
	Topic     string
	Partition int32
	Offset    int64
}

// Raw is a message as bytes, before its formats are applied. Its bytes are not to be changed; they stay what they are for
// as long as something refers to them.
type Raw struct {
	Offset    int64
	Timestamp time.Time
	// Key and Value are nil where Kafka holds null, which differs from empty.
	Key, Value []byte
	Headers    Headers
}

// Size returns the bytes the message takes: what limits on batches and queues count.
func (r *Raw) Size() int {
	n := len(r.Key) + len(r.Value) + rawOverhead
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// rawOverhead is what a Raw costs in memory besides its bytes.
const rawOverhead = 104

// Header is a named value that travels with a record. Names that start with "flows-" are the framework's own.
type Header struct {
	Key   string
	Value []byte
}

// Headers are the headers of a record, in order; a name may occur more than once.
type Headers []Header

// Last returns the value of the last header of that name, and whether there is one.
func (h Headers) Last(key string) ([]byte, bool) {
	for _, v := range slices.Backward(h) {
		if v.Key == key {
			return v.Value, true
		}
	}
	return nil, false
}

// ReservedHeader starts the names of the headers that only the framework writes.
const ReservedHeader = "flows-"

// Decode applies the topic's formats to a message. The error is a *DecodeError.
func (t *Topic[K, V]) Decode(raw *Raw, partition int32) (m Message[K, V], err error) {
	if m.Key, err = t.key.Decode(raw.Key); err != nil {
		return m, &DecodeError{Part: "key", Format: t.spec.KeyFormat, Err: err}
	}
	if m.Tombstone = raw.Value == nil; !m.Tombstone {
		if m.Value, err = t.value.Decode(raw.Value); err != nil {
			return m, &DecodeError{Part: "value", Format: t.spec.ValueFormat, Err: err}
		}
	}
	m.Headers, m.Timestamp = raw.Headers, raw.Timestamp
	m.Topic, m.Partition, m.Offset = t.spec.Name, partition, raw.Offset
	return m, nil
}

// Show renders a record's key and value as text, as far as their formats know how.
func (t *Topic[K, V]) Show(key, value []byte) (keyText, valueText string, err error) {
	m, err := t.Decode(&Raw{Key: key, Value: value}, 0)
	if err != nil {
		return "", "", err
	}
	keyText = t.key.Show(m.Key)
	if m.Tombstone {
		return keyText, "(tombstone)", nil
	}
	return keyText, t.value.Show(m.Value), nil
}

// DecodeError says that the bytes of a message are not of the format that its topic declares.
type DecodeError struct {
	// Part is "key" or "value".
	Part string
	// Format is the name of the format that refused the bytes.
	Format string
	Err    error
}

func (e *DecodeError) Error() string { return fmt.Sprintf("%s is no %s: %v", e.Part, e.Format, e.Err) }

func (e *DecodeError) Unwrap() error { return e.Err }
