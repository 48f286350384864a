package topic

import (
	"fmt"
	"slices"
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
	headers Headers
	// handed is how many of the headers, from the first, are those of a message and not the function's own.
	handed    int
	timestamp time.Time
	err       error
}

// Records are the outputs of one call of a function; nil is none.
type Records []Record

// Record makes an output for the topic. A key or value that cannot be encoded is the function's error, reported when
// the record is returned.
func (t *Topic[K, V]) Record(key K, value V) Record {
	r := Record{spec: &t.spec}
	if t.borrow != nil {
		r.key, r.value = t.borrow(key, value)
		return r
	}
	c := t.arena.take()
	free := c.free()
	encoded, err := t.key.Append(free, key)
	if err != nil {
		t.arena.give(c)
		return r.fail("key", t.spec.KeyFormat, err)
	}
	middle := len(encoded)
	if encoded, err = t.value.Append(encoded, value); err != nil {
		t.arena.give(c)
		return r.fail("value", t.spec.ValueFormat, err)
	}
	c.use(len(encoded))
	t.arena.give(c)
	if t.keyIsNull == nil || !t.keyIsNull(key) {
		r.key = notNull(encoded[:middle:middle])
	}
	if t.valueIsNull == nil || !t.valueIsNull(value) {
		r.value = notNull(encoded[middle:len(encoded):len(encoded)])
	}
	return r
}

// notNull keeps a format that appends nothing to nothing from making a null.
func notNull(encoded []byte) []byte {
	if encoded == nil {
		return []byte{}
	}
	return encoded
}

// Tombstone makes an output whose value is null: Kafka's way to say that the key is deleted.
func (t *Topic[K, V]) Tombstone(key K) Record {
	r := Record{spec: &t.spec}
	encoded, err := t.key.Append(make([]byte, 0, smallKey), key)
	if err != nil {
		return r.fail("key", t.spec.KeyFormat, err)
	}
	if t.keyIsNull == nil || !t.keyIsNull(key) {
		r.key = notNull(encoded)
	}
	return r
}

// smallKey is the space a tombstone's key starts with.
const smallKey = 32

// Passed makes a record for the topic of the bytes of a message, unchanged: key, value, headers and, as its input's,
// the timestamp. It is for functions that hand on messages without looking inside, and for the framework; the bytes must
// be of the topic's formats, and stay as they are for as long as the record is used.
func (t *Topic[K, V]) Passed(raw *Raw) Record {
	r := Record{spec: &t.spec, key: raw.Key, value: raw.Value}
	return r.WithHeadersOf(raw.Headers)
}

// Forward makes a record of a message, unchanged, for the topic that a spec describes; see Topic.Passed. It is for the
// framework, which knows topics without their types.
func Forward(to *Spec, raw *Raw) Record {
	r := Record{spec: to, key: raw.Key, value: raw.Value}
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
	m.headers = append(slices.Clip(m.headers), Header{Key: key, Value: value})
	r.more = m
	return r
}

// WithHeadersOf returns the record with the headers of a message before its own, those of the framework included: the
// way to hand them on.
func (r Record) WithHeadersOf(headers Headers) Record {
	if len(headers) == 0 {
		return r
	}
	m := r.extended()
	if len(m.headers) == 0 {
		m.headers, m.handed = slices.Clip(headers), len(headers)
	} else {
		m.headers = slices.Insert(slices.Clone(m.headers), m.handed, headers...)
		m.handed += len(headers)
	}
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

// OwnHeaders returns the headers that the function gave the record, without those handed on from a message.
func (r *Record) OwnHeaders() Headers {
	if r.more == nil {
		return nil
	}
	return r.more.headers[r.more.handed:]
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
