package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// JSON keeps a value as one JSON document, by the rules of encoding/json: struct tags, Marshaler and so on, except that
// <, > and & are not escaped. Decode refuses anything behind the document and invalid UTF-8, and passes over fields that
// T does not have, so that writers can be ahead of readers. As with encoding/json, a Go string that is not valid UTF-8
// is written with U+FFFD in place of the bad bytes.
//
// A nil pointer is the document null, not Kafka's null: make a tombstone with Topic.Tombstone.
func JSON[T any]() Format[T] { return document[T]{} }

type document[T any] struct{}

func (document[T]) Name() string { return "json" }

func (document[T]) Kind() Kind { return Document }

func (document[T]) Append(dst []byte, value T) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return dst, brief(err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), nil
}

func (document[T]) Decode(data []byte) (value T, _ error) {
	if !utf8.Valid(data) {
		return value, fmt.Errorf("invalid UTF-8 at byte %d", invalidAt(string(data)))
	}
	if err := json.Unmarshal(data, &value); err != nil {
		var zero T
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return zero, fmt.Errorf("at byte %d: %w", syntax.Offset, err)
		}
		return zero, brief(err)
	}
	return value, nil
}

func (f document[T]) Show(value T) string {
	data, err := f.Append(nil, value)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return string(data)
}

// maxError bounds the text of an error that repeats what it could not read.
const maxError = 300

// brief cuts the text of an error that repeats much of its data.
func brief(err error) error {
	if s := err.Error(); len(s) > maxError {
		return errors.New(string(bytes.ToValidUTF8([]byte(s[:maxError]), nil)) + "...")
	}
	return err
}
