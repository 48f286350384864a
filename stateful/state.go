package stateful

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
)

// Errors of messages and states that no database can keep. They are the data's fault: trying again does not help, which
// their method Permanent says.
const (
	// ErrNoKey says that a message has a null key, so that there is no state for it.
	ErrNoKey dataError = "the message has no key, and a state belongs to a key"
	// ErrKeyNUL says that a text key has a NUL character, which Postgres does not keep in text.
	ErrKeyNUL dataError = "the key has a NUL character, which a database does not keep in text"
	// ErrStateEscape says that a state is a JSON document with an escape that Postgres does not keep in jsonb: \u0000 or
	// half a surrogate pair.
	ErrStateEscape dataError = `the state has \u0000 or half a surrogate pair, which a database does not keep in JSON`
)

type dataError string

func (e dataError) Error() string { return string(e) }

// Permanent says that the same data fails again.
func (e dataError) Permanent() bool { return true }

// checkKey says why there can be no state for a key, or nil.
func checkKey(key []byte, kind format.Kind) error {
	if key == nil {
		return ErrNoKey
	}
	if kind == format.Text && bytes.IndexByte(key, 0) >= 0 {
		return ErrKeyNUL
	}
	return nil
}

// stateOf is the states of a format without their type: pointers to S.
func stateOf[S any](table runtime.StateTable, states format.Format[S]) *runtime.State {
	isZero := zeroOf[S]()
	return &runtime.State{
		Table: table,
		New:   func() any { return new(S) },
		Decode: func(data []byte) (any, error) {
			if data == nil {
				// A state has bytes, if none; only a key or value can be null.
				data = []byte{}
			}
			state, err := states.Decode(data)
			if err != nil {
				return nil, fmt.Errorf("table %s: state is no %s: %w", table.Name, states.Name(), err)
			}
			return &state, nil
		},
		Append: func(dst []byte, state any) ([]byte, bool, error) {
			current := state.(*S)
			if isZero(current) {
				return dst, true, nil
			}
			data, err := states.Append(dst, *current)
			if err != nil {
				return dst, false, fmt.Errorf("state cannot be written as %s: %w", states.Name(), err)
			}
			if table.State == format.Document && badEscape(data[len(dst):]) {
				return dst, false, ErrStateEscape
			}
			if data == nil {
				data = []byte{}
			}
			return data, false, nil
		},
	}
}

type zeroer interface{ IsZero() bool }

// zeroOf returns what tells the zero state: IsZero of S or *S where they have it, else the zero value.
func zeroOf[S any]() func(*S) bool {
	isZeroValue := func(state *S) bool { return reflect.ValueOf(state).Elem().IsZero() }
	if _, ok := any(new(S)).(zeroer); ok {
		return func(state *S) bool { return isZeroValue(state) || any(state).(zeroer).IsZero() }
	}
	if reflect.TypeFor[S]().Implements(reflect.TypeFor[zeroer]()) {
		return func(state *S) bool { return isZeroValue(state) || any(*state).(zeroer).IsZero() }
	}
	return isZeroValue
}
