package topic

import (
	"fmt"
	"time"
)

// Record is one output of a function: bytes for a topic. Only a Topic makes one (Topic.Record, Topic.Tombstone), so its
// key and value have the topic's types. A Record is a value; the methods that refine it return a changed copy.
type Record struct {
	spec  *Spec
	key   []byte
	value []byte
	more  *more
}

// more holds what few records have, so that most stay small.
type more struct {
	headers   Headers
	timestamp time.Time
	err       error
}

// Records are the outputs of one call of a function; nil is none.
type Records []Record

// Record makes an output for the topic. A key or value that cannot be encoded is the function's error, reported when
// the record is returned.
func (t *Topic[K, V]) Record(key K, value V) Record {
	r := Record{spec: &t.spec}
	buf := t.arena.take()
	defer t.arena.give(buf)
	start := len(buf.bytes)
	encoded, err := t.key.Append(buf.bytes, key)
	if err != nil {
		return r.fail("key", t.spec.KeyFormat, err)
	}
	middle := len(encoded)
	if encoded, err = t.value.Append(encoded, value); err != nil {
		return r.fail("value", t.spec.ValueFormat, err)
	}
	r.key = encoded[start:middle:middle]
	r.value = encoded[middle:len(encoded):len(encoded)]
	buf.bytes = encoded
	if t.keyIsNull != nil && t.keyIsNull(key) {
		r.key = nil
	}
	if t.valueIsNull != nil && t.valueIsNull(value) {
		r.value = nil
	}
	return r
}

// Tombstone makes an output whose value is null: Kafka's way to say that the key is deleted.
func (t *Topic[K, V]) Tombstone(key K) Record {
	r := Record{spec: &t.spec}
	encoded, err := t.key.Append(make([]byte, 0, smallKey), key)
	if err != nil {
		return r.fail("key", t.spec.KeyFormat, err)
	}
	if t.keyIsNull == nil || !t.keyIsNull(key) {
		r.key = encoded
	}
	return r
}

// smallKey is the space a tombstone's key starts with.
const smallKey = 32

// Passed makes a record for the topic of the bytes of a message, unchanged. It is for functions that hand on messages
// without looking inside, and for the framework; the bytes must be of the topic's formats.
func (t *Topic[K, V]) Passed(raw *Raw) Record {
	r := Record{spec: &t.spec, key: raw.Key, value: raw.Value}
	if len(raw.Headers) > 0 {
		r.more = &more{headers: raw.Headers}
	}
	return r
}

func (r Record) fail(part, formatName string, err error) Record {
	r.more = &more{err: fmt.Errorf("topic %s: %s cannot be written as %s: %w", r.spec.Name, part, formatName, err)}
	return r
}

// WithHeader returns the record with one more header. Names that start with "flows-" are refused when it is returned.
func (r Record) WithHeader(key string, value []byte) Record {
	m := r.extended()
	m.headers = append(m.headers[:len(m.headers):len(m.headers)], Header{Key: key, Value: value})
	r.more = m
	return r
}

// At returns the record with a timestamp of its own; without one it gets its input's.
func (r Record) At(timestamp time.Time) Record {
	m := r.extended()
	m.timestamp = timestamp
	r.more = m
	return r
}

func (r Record) extended() *more {
	if r.more == nil {
		return &more{}
	}
	m := *r.more
	return &m
}

// Spec returns the topic that the record is for; nil for the zero Record, which no topic made.
func (r *Record) Spec() *Spec { return r.spec }

// Key returns the encoded key, nil for null.
func (r *Record) Key() []byte { return r.key }

// Value returns the encoded value, nil for a tombstone.
func (r *Record) Value() []byte { return r.value }

// Headers returns the record's headers.
func (r *Record) Headers() Headers {
	if r.more == nil {
		return nil
	}
	return r.more.headers
}

// Timestamp returns the record's own timestamp, zero where it takes its input's.
func (r *Record) Timestamp() time.Time {
	if r.more == nil {
		return time.Time{}
	}
	return r.more.timestamp
}

// Err returns why the record could not be encoded, or nil.
func (r *Record) Err() error {
	if r.more == nil {
		return nil
	}
	return r.more.err
}
