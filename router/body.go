package router

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/kappaflows/flows/runtime/problem"
)

// NoBody is the Body of requests that have none.
type NoBody struct{}

// Media types of bodies.
const (
	jsonType         = "application/json"
	protobufType     = "application/x-protobuf"
	protobufTypeBare = "application/protobuf"
)

// body is how the bodies of a router are decoded. Decoding never panics, whatever the bytes; its errors are problems.
type body[B any] struct {
	// kind is nil where there are no bodies.
	kind         reflect.Type
	contentTypes []string
	decode       func(mediaType string, data []byte) (B, error)
}

func bodyOf[B any](strict bool) body[B] {
	var zero B
	kind := reflect.TypeFor[B]()
	switch empty := any(zero).(type) {
	case NoBody:
		return body[B]{decode: decodeNothing[B]}
	case proto.Message:
		return body[B]{
			kind: kind, contentTypes: []string{jsonType, protobufType, protobufTypeBare},
			decode: messageDecoder[B](empty.ProtoReflect().Type(), strict),
		}
	default:
		return body[B]{kind: kind, contentTypes: []string{jsonType}, decode: documentDecoder[B](strict)}
	}
}

func decodeNothing[B any](_ string, data []byte) (none B, _ error) { //nolint:unparam // it is a decoder
	if len(data) > 0 {
		return none, bad("", "the request takes no body")
	}
	return none, nil
}

// bad is the problem of a body that can't be decoded.
func bad(field, format string, args ...any) error {
	return &problem.Details{Status: http.StatusBadRequest, Title: "Bad body", Detail: fmt.Sprintf(format, args...), Field: field}
}

// documentDecoder decodes by the rules of encoding/json.
func documentDecoder[B any](strict bool) func(string, []byte) (B, error) {
	return func(_ string, data []byte) (decoded B, _ error) {
		var zero B
		if err := checkText(data); err != nil {
			return zero, err
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		if strict {
			decoder.DisallowUnknownFields()
		}
		if err := decoder.Decode(&decoded); err != nil {
			return zero, documentProblem(err)
		}
		behind := decoder.InputOffset()
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return zero, bad("", "there is something behind the JSON document, from byte %d on", behind)
		}
		return decoded, nil
	}
}

// checkText refuses what is no text, which encoding/json would repair silently.
func checkText(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return bad("", "the body is empty; a JSON document is expected")
	}
	if utf8.Valid(data) {
		return nil
	}
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return bad("", "invalid UTF-8 at byte %d", at)
}

// unknownField starts encoding/json's error about a field that the type does not have; it has no type of its own.
const unknownField = "json: unknown field "

// documentProblem says what encoding/json found, without Go's names.
func documentProblem(err error) error {
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return bad(mistyped.Field, "%s: %s where %s is expected, at byte %d",
			named(mistyped.Field), mistyped.Value, jsonKind(mistyped.Type), mistyped.Offset)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return bad("", "no JSON document: %s (at byte %d)", brief(syntax.Error()), syntax.Offset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("", "no JSON document: it ends too early")
	}
	if quoted, ok := strings.CutPrefix(err.Error(), unknownField); ok {
		field := strings.Trim(quoted, `"`)
		return bad(brief(field), "field %q is not known", brief(field))
	}
	// What an UnmarshalJSON or UnmarshalText of the body's own found.
	return bad("", "%s", brief(err.Error()))
}

func named(field string) string {
	if field == "" {
		return "the document"
	}
	return fmt.Sprintf("field %q", field)
}

// jsonKind is what a Go type is in JSON.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "an integer (" + t.Kind().String() + ")"
	default:
		return "something else"
	}
}

// longestError bounds the text of an error that repeats what it could not read.
const longestError = 200

func brief(text string) string {
	if len(text) <= longestError {
		return text
	}
	return strings.ToValidUTF8(text[:longestError], "") + "..."
}

// messageDecoder decodes a generated protobuf message.
func messageDecoder[B any](kind protoreflect.MessageType, strict bool) func(string, []byte) (B, error) {
	fromJSON := protojson.UnmarshalOptions{DiscardUnknown: !strict}
	return func(mediaType string, data []byte) (none B, _ error) {
		decoded := kind.New().Interface()
		if mediaType != jsonType {
			if err := proto.Unmarshal(data, decoded); err != nil {
				return none, bad("", "no %s: %s", kind.Descriptor().FullName(), protobufText(err))
			}
			return decoded.(B), nil
		}
		if err := checkText(data); err != nil {
			return none, err
		}
		if err := fromJSON.Unmarshal(data, decoded); err != nil {
			text := protobufText(err)
			return none, bad(fieldIn(text), "%s", text)
		}
		return decoded.(B), nil
	}
}

// protobufText is the text of an error of the protobuf library, which varies its spaces on purpose.
func protobufText(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return brief(strings.TrimPrefix(text, "proto: "))
}

// fieldIn returns the field that an error of protobuf's JSON names, such as in: (line 1:2): unknown field "x".
func fieldIn(text string) string {
	_, rest, _ := strings.Cut(text, "field ")
	rest = strings.TrimPrefix(rest, `"`)
	if end := strings.IndexAny(rest, `": `); end >= 0 {
		return rest[:end]
	}
	return rest
}
