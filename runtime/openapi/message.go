package openapi

import (
	"reflect"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// descriptorOf returns the descriptor of a generated protobuf message, nil where the type is none.
func descriptorOf(t reflect.Type) protoreflect.MessageDescriptor {
	if t.Kind() != reflect.Pointer {
		return nil
	}
	message, is := reflect.TypeAssert[proto.Message](reflect.Zero(t))
	if !is {
		return nil
	}
	return message.ProtoReflect().Descriptor()
}

// wellKnown are the schemas of the messages that have a form of their own in protobuf's JSON.
var wellKnown = map[protoreflect.FullName]func() object{
	"google.protobuf.Timestamp": func() object { return object{"type": "string", "format": "date-time"} },
	"google.protobuf.Duration":  func() object { return object{"type": "string", "pattern": `^-?[0-9]+(\.[0-9]{1,9})?s$`} },
	"google.protobuf.FieldMask": func() object { return object{"type": "string"} },
	"google.protobuf.Struct":    func() object { return object{"type": "object"} },
	"google.protobuf.ListValue": func() object { return object{"type": "array"} },
	"google.protobuf.Value":     func() object { return object{} },
	"google.protobuf.Any": func() object {
		return object{"type": "object", "properties": object{"@type": object{"type": "string"}}}
	},
	"google.protobuf.Empty": func() object { return object{"type": "object"} },
}

// wrappers are the messages that are written as the value in them, or null.
var wrappers = map[protoreflect.FullName]bool{
	"google.protobuf.DoubleValue": true, "google.protobuf.FloatValue": true, "google.protobuf.Int64Value": true,
	"google.protobuf.UInt64Value": true, "google.protobuf.Int32Value": true, "google.protobuf.UInt32Value": true,
	"google.protobuf.BoolValue": true, "google.protobuf.StringValue": true, "google.protobuf.BytesValue": true,
}

// message is the schema of a message by the rules of protobuf's JSON. Fields may also be called as in the .proto file,
// which the schema does not show.
func (s *schemas) message(d protoreflect.MessageDescriptor) object {
	if build, is := wellKnown[d.FullName()]; is {
		return build()
	}
	if wrappers[d.FullName()] {
		return nullable(s.scalar(d.Fields().ByName("value")))
	}
	return s.named(typeKey{of: d.FullName()}, string(d.FullName()), func() object {
		properties := object{}
		for i := range d.Fields().Len() {
			field := d.Fields().Get(i)
			properties[field.JSONName()] = s.field(field)
		}
		return object{"type": "object", "properties": properties}
	})
}

func (s *schemas) field(f protoreflect.FieldDescriptor) object {
	switch {
	case f.IsMap():
		return object{"type": "object", "additionalProperties": s.scalar(f.MapValue())}
	case f.IsList():
		return object{"type": "array", "items": s.scalar(f)}
	default:
		return s.scalar(f)
	}
}

// scalar is the schema of one value of a field.
func (s *schemas) scalar(f protoreflect.FieldDescriptor) object {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.StringKind:
		return object{"type": "string"}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.EnumKind:
		return enum(f.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return s.message(f.Message())
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		// NaN and the infinities are strings.
		return object{"type": []any{"number", "string"}}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return object{"type": []any{"string", "integer"}, "format": "int64"}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return object{"type": []any{"string", "integer"}, "format": "uint64"}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return object{"type": "integer", "minimum": 0}
	default:
		return object{"type": "integer", "format": "int32"}
	}
}

func enum(d protoreflect.EnumDescriptor) object {
	if d.FullName() == "google.protobuf.NullValue" {
		return object{"type": "null"}
	}
	names := []any{}
	for i := range d.Values().Len() {
		names = append(names, string(d.Values().Get(i).Name()))
	}
	return object{"anyOf": []any{object{"type": "string", "enum": names}, object{"type": "integer"}}}
}
