package format

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Protobuf keeps a message in its binary form. T is the pointer to a generated message type, such as *pb.Order. A nil
// message is Kafka's null; an empty one has no bytes and is not. Equal messages have equal bytes as long as the program
// is the same, so that they can be keys. Unknown fields are kept.
func Protobuf[T proto.Message]() Format[T] {
	f := message[T]{name: "protobuf"}
	var zero T
	if any(zero) != nil {
		f.kind = zero.ProtoReflect().Type()
		f.name += " " + string(f.kind.Descriptor().FullName())
	}
	return f
}

type message[T proto.Message] struct {
	name string
	// kind is nil where T is an interface, of which nothing can be made.
	kind protoreflect.MessageType
}

func (f message[T]) Name() string { return f.name }

func (f message[T]) Kind() Kind { return Binary }

func (f message[T]) Append(dst []byte, value T) ([]byte, error) {
	if f.IsNull(value) {
		return dst, nil
	}
	data, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, value)
	if err != nil {
		return dst, brief(err)
	}
	return data, nil
}

func (f message[T]) Decode(data []byte) (value T, _ error) {
	if f.kind == nil {
		return value, fmt.Errorf("%T is no generated message type", &value)
	}
	if data == nil {
		return value, nil
	}
	decoded := f.kind.New().Interface()
	if err := proto.Unmarshal(data, decoded); err != nil {
		return value, brief(err)
	}
	return decoded.(T), nil
}

func (f message[T]) IsNull(value T) bool { return any(value) == nil || !value.ProtoReflect().IsValid() }

// Show renders the message as JSON.
func (f message[T]) Show(value T) string {
	if f.IsNull(value) {
		return shownNull
	}
	data, err := protojson.Marshal(value)
	if err != nil {
		return fmt.Sprintf("(%v)", brief(err))
	}
	// protojson varies its spaces on purpose.
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return string(data)
	}
	return compact.String()
}
