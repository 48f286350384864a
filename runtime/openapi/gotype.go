package openapi

import (
	"encoding"
	"encoding/json"
	"math"
	"path"
	"reflect"
	"strings"
	"time"
)

var (
	timeType        = reflect.TypeFor[time.Time]()
	numberType      = reflect.TypeFor[json.Number]()
	rawType         = reflect.TypeFor[json.RawMessage]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// goType is the schema of a type by the rules of encoding/json. strict is whether fields that a struct does not have are
// refused.
func (s *schemas) goType(t reflect.Type, strict bool) object {
	switch {
	case t == timeType:
		return object{"type": "string", "format": "date-time"}
	case t == numberType:
		return object{"type": "number"}
	case t == rawType:
		return object{}
	case t.Kind() == reflect.Pointer:
		return nullable(s.goType(t.Elem(), strict))
	case reflect.PointerTo(t).Implements(unmarshalerType):
		return object{} // what it takes is its own matter
	case reflect.PointerTo(t).Implements(textType):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32:
		return object{"type": "number", "format": "float"}
	case reflect.Float64:
		return object{"type": "number", "format": "double"}
	case reflect.Slice, reflect.Array:
		return s.list(t, strict)
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.goType(t.Elem(), strict)}
	case reflect.Struct:
		if t.Name() == "" {
			return s.structure(t, strict)
		}
		return s.named(typeKey{of: t, strict: strict}, shortName(t), func() object { return s.structure(t, strict) })
	case reflect.Interface:
		return object{}
	default:
		return integer(t.Kind())
	}
}

// shortName is a type's name without the paths of packages in its type arguments.
func shortName(t reflect.Type) string {
	name, arguments, generic := strings.Cut(t.Name(), "[")
	if !generic {
		return name
	}
	var short []string
	for argument := range strings.SplitSeq(strings.TrimSuffix(arguments, "]"), ",") {
		short = append(short, path.Ext("." + path.Base(argument))[1:])
	}
	return name + "_" + strings.Join(short, "_")
}

// nullable is a schema that takes null, too.
func nullable(schema object) object {
	if len(schema) == 0 {
		return schema
	}
	if _, is := schema["$ref"]; is {
		return object{"anyOf": []any{schema, object{"type": "null"}}}
	}
	if kind, is := schema["type"].(string); is {
		schema["type"] = []any{kind, "null"}
	}
	return schema
}

// integer is the schema of whole numbers; what is no number has one that takes nothing.
func integer(kind reflect.Kind) object {
	switch kind {
	case reflect.Int, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Int32:
		return object{"type": "integer", "format": "int32"}
	case reflect.Int16:
		return object{"type": "integer", "minimum": math.MinInt16, "maximum": math.MaxInt16}
	case reflect.Int8:
		return object{"type": "integer", "minimum": math.MinInt8, "maximum": math.MaxInt8}
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return object{"type": "integer", "minimum": 0}
	case reflect.Uint32:
		return object{"type": "integer", "minimum": 0, "maximum": math.MaxUint32}
	case reflect.Uint16:
		return object{"type": "integer", "minimum": 0, "maximum": math.MaxUint16}
	case reflect.Uint8:
		return object{"type": "integer", "minimum": 0, "maximum": math.MaxUint8}
	default:
		return object{"not": object{}}
	}
}

func (s *schemas) list(t reflect.Type, strict bool) object {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return object{"type": "string", "contentEncoding": "base64"}
	}
	return object{"type": "array", "items": s.goType(t.Elem(), strict)}
}

func (s *schemas) structure(t reflect.Type, strict bool) object {
	properties := object{}
	s.fields(t, strict, properties)
	schema := object{"type": "object", "properties": properties}
	if strict {
		schema["additionalProperties"] = false
	}
	return schema
}

// fields adds the fields of a struct. Those of embedded structs are the struct's own, unless it has one of the name.
func (s *schemas) fields(t reflect.Type, strict bool, properties object) {
	var embedded []reflect.Type
	for field := range t.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Tag.Get("json") == "-" {
			continue
		}
		if inner := structOf(field.Type); field.Anonymous && name == "" && inner != nil && inner != t {
			embedded = append(embedded, inner)
			continue
		}
		if !field.IsExported() {
			continue
		}
		if name == "" {
			name = field.Name
		}
		properties[name] = quotedIf(s.goType(field.Type, strict), options)
	}
	for _, inner := range embedded {
		more := object{}
		s.fields(inner, strict, more)
		for name, schema := range more {
			if _, hidden := properties[name]; !hidden {
				properties[name] = schema
			}
		}
	}
}

// structOf returns the struct that a type is or points to, nil where it is none or decodes itself.
func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(unmarshalerType) || reflect.PointerTo(t).Implements(textType) {
		return nil
	}
	return t
}

// quotedIf is a string where the field's tag asks for a number or boolean in quotes.
func quotedIf(schema object, options string) object {
	for option := range strings.SplitSeq(options, ",") {
		if kind, _ := schema["type"].(string); option == "string" && kind != "object" && kind != "array" {
			return object{"type": "string"}
		}
	}
	return schema
}
