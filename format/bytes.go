package format

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
)

// Bytes keeps bytes as they are. A nil slice is Kafka's null, which differs from an empty one. Decode copies.
func Bytes() Format[[]byte] { return binary{} }

type binary struct{}

func (binary) Name() string { return "bytes" }

func (binary) Kind() Kind { return Binary }

func (binary) Append(dst []byte, value []byte) ([]byte, error) { return append(dst, value...), nil }

func (binary) Decode(data []byte) ([]byte, error) { return bytes.Clone(data), nil }

func (binary) IsNull(value []byte) bool { return value == nil }

func (binary) Show(value []byte) string {
	if value == nil {
		return shownNull
	}
	return strconv.Quote(string(value))
}

// Borrowed is Bytes without a copy, for functions without a state that pass on most of what they read: what a function gets
// are the message's own bytes. It must not change them, as the message may be tried again or kept as a dead letter, and what
// it keeps of them keeps everything that was fetched with them in memory. A record that is made of borrowed bytes takes
// them when the function returns; until then they must stay as they are. Functions with states and joins refuse topics of
// this format as their inputs.
func Borrowed() Format[[]byte] { return borrowed{} }

type borrowed struct{ binary }

func (borrowed) Decode(data []byte) ([]byte, error) { return slices.Clip(data), nil }

func (borrowed) Borrow(value []byte) []byte { return value }

// None is the format of keys that a topic does not have: they are always null. Decode refuses bytes, so that a topic
// that turns out to have keys is noticed; read such a topic with Bytes.
func None() Format[struct{}] { return none{} }

type none struct{}

var errNotNone = errors.New("there are bytes where none are declared")

func (none) Name() string { return "none" }

func (none) Kind() Kind { return Binary }

func (none) Append(dst []byte, _ struct{}) ([]byte, error) { return dst, nil }

func (none) Decode(data []byte) (v struct{}, err error) {
	if len(data) > 0 {
		err = errNotNone
	}
	return v, err
}

func (none) IsNull(struct{}) bool { return true }

func (none) Show(struct{}) string { return shownNull }

const shownNull = "(null)"
