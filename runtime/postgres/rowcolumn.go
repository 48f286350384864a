package postgres

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun/extra/bunjson"
	"github.com/uptrace/bun/schema"

	"github.com/kappaflows/flows/runtime/internal/rows"
)

// rowColumn writes a column of a table of rows as an array, with the values that bun would write.
type rowColumn struct {
	field *schema.Field
	// name is the column's, quoted; element the type of the array's elements and cast what makes the column's own of it.
	name, element, cast string
	oid                 uint32
	// pointer and zeroIsNull say when a value is null.
	pointer, zeroIsNull bool
	// append appends a value in the binary format. A nil result is a null.
	append func(dst []byte, value reflect.Value) ([]byte, error)
	// exact says that two values are equal for Postgres only where their bytes are, and sortable makes bytes of these that are
	// in order.
	exact    bool
	sortable func(dst, value []byte) []byte
}

// encoding is how values of some Go types are sent for a type of column.
type encoding struct {
	element  string
	oid      uint32
	append   func(dst []byte, value reflect.Value) ([]byte, error)
	sortable func(dst, value []byte) []byte
}

// Object ids of further element types.
const (
	boolOID        = 16
	jsonOID        = 114
	floatOID       = 700
	doubleOID      = 701
	timestampOID   = 1114
	timestamptzOID = 1184
	uuidOID        = 2950
)

var (
	timeType      = reflect.TypeFor[time.Time]()
	rawJSONType   = reflect.TypeFor[json.RawMessage]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
	valuerType    = reflect.TypeFor[driver.Valuer]()
	appenderType  = reflect.TypeFor[schema.QueryAppender]()
	addressTypes  = []reflect.Type{reflect.TypeFor[net.IP](), reflect.TypeFor[net.IPNet](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.Prefix]()}
	bunOptions    = []string{"msgpack", "array", "hstore", "composite", "multirange", "autoincrement", "identity", "default"}
)

// newRowColumn returns nil where bun has to write the column.
func newRowColumn(model reflect.Type, field *schema.Field, column catalogueColumn) *rowColumn {
	of := field.StructField.Type
	c := &rowColumn{field: field, name: string(field.SQLName), pointer: of.Kind() == reflect.Pointer, zeroIsNull: field.NullZero}
	if slices.ContainsFunc(bunOptions, field.Tag.HasOption) || embeddedByPointer(model, field) ||
		column.Defaulted && (c.pointer || c.zeroIsNull) { // bun writes the word default
		return nil
	}
	if c.pointer {
		of = of.Elem()
	}
	found := encodingOf(field, of, column.Builtin)
	if found.append == nil {
		if of.Kind() != reflect.String || special(of) || c.pointer && field.StructField.Type.Implements(marshalerType) {
			return nil
		}
		// Text is read as a constant in a statement would be.
		found, c.cast = encoding{"text", textOID, appendText, nil}, "::"+column.Type
	}
	c.element, c.oid, c.append, c.sortable = found.element, found.oid, found.append, found.sortable
	c.exact = c.sortable != nil && !c.pointer && !c.zeroIsNull && (c.oid != textOID || column.Exact)
	return c
}

// embeddedByPointer says whether the way to a field goes through a pointer.
func embeddedByPointer(of reflect.Type, field *schema.Field) bool {
	for _, i := range field.Index {
		if of.Kind() == reflect.Pointer {
			return true
		}
		of = of.Field(i).Type
	}
	return false
}

// special says whether bun writes a type in a way of its own.
func special(of reflect.Type) bool {
	custom := func(t reflect.Type) bool { return t.Implements(valuerType) || t.Implements(appenderType) }
	return custom(of) || custom(reflect.PointerTo(of)) || slices.Contains(addressTypes, of)
}

// encodingOf returns how values of a type, or that pointers to it lead to, are sent; nothing where that is not known to be as
// bun does it.
func encodingOf(field *schema.Field, of reflect.Type, column string) encoding {
	pointer := field.StructField.Type.Kind() == reflect.Pointer
	marshals := pointer && field.StructField.Type.Implements(marshalerType)
	option, _ := field.Tag.Option("type")
	document := strings.EqualFold(option, "json") || strings.EqualFold(option, "jsonb")
	switch {
	case column == "uuid" && isUUID(of):
		return encoding{"uuid", uuidOID, appendByteArray, appendFixed}
	case special(of):
		return encoding{}
	case document:
		return jsonEncoding(column, pointer)
	case of == timeType:
		return timeEncoding(column)
	case of == rawJSONType:
		if pointer {
			return encoding{}
		}
		return rawJSONEncoding(column)
	case marshals && of.Kind() != reflect.Struct && of.Kind() != reflect.Map && of.Kind() != reflect.Slice:
		return encoding{}
	}
	switch of.Kind() { //nolint:exhaustive // the others are scalar
	case reflect.Slice, reflect.Array:
		if of.Elem().Kind() != reflect.Uint8 {
			return jsonEncoding(column, marshals)
		}
		if marshals {
			return encoding{}
		}
	case reflect.Map, reflect.Struct:
		return jsonEncoding(column, marshals)
	}
	return scalarEncoding(of.Kind(), column)
}

func scalarEncoding(kind reflect.Kind, column string) encoding {
	switch integer := column == "int2" || column == "int4" || column == "int8"; kind { //nolint:exhaustive // the others are no scalars
	case reflect.Bool:
		return only(column == "bool", encoding{"boolean", boolOID, appendBool, appendFixed})
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return only(integer, encoding{"bigint", int8OID, appendInt, appendSigned})
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return only(integer, encoding{"bigint", int8OID, appendUint, appendSigned})
	case reflect.Float64:
		return only(column == "float8", encoding{"double precision", doubleOID, appendDouble, appendFloating})
	case reflect.Float32:
		return only(column == "float4", encoding{"real", floatOID, appendFloat, appendFloating})
	case reflect.String:
		if column == "uuid" {
			return encoding{"uuid", uuidOID, appendUUID, appendFixed}
		}
		return only(column == "text" || column == "varchar", encoding{"text", textOID, appendText, appendVariable})
	case reflect.Slice:
		return only(column == "bytea", encoding{"bytea", byteaOID, appendBytes, appendVariable})
	case reflect.Array:
		return only(column == "bytea", encoding{"bytea", byteaOID, appendByteArray, appendVariable})
	}
	return encoding{}
}

func only(fits bool, e encoding) encoding {
	if !fits {
		return encoding{}
	}
	return e
}

func timeEncoding(column string) encoding {
	switch column {
	case "timestamptz":
		return encoding{"timestamptz", timestamptzOID, appendTime, appendSigned}
	case "timestamp":
		return encoding{"timestamp", timestampOID, appendTime, appendSigned}
	}
	return encoding{}
}

// jsonEncoding sends JSON; whole says that a pointer is given to the encoder as it is.
func jsonEncoding(column string, whole bool) encoding {
	marshal := func(prefix string) func([]byte, reflect.Value) ([]byte, error) {
		return func(dst []byte, value reflect.Value) ([]byte, error) {
			if whole && value.CanAddr() {
				value = value.Addr()
			}
			document, err := bunjson.Marshal(value.Interface())
			if err == nil && rows.EscapesNUL(document) {
				err = rows.ErrNULInJSON
			}
			return append(append(dst, prefix...), document...), err
		}
	}
	switch column {
	case "jsonb":
		return encoding{"jsonb", jsonbOID, marshal(jsonbVersion), nil}
	case "json":
		return encoding{"json", jsonOID, marshal(""), nil}
	}
	return encoding{}
}

func rawJSONEncoding(column string) encoding {
	raw := func(prefix string) func([]byte, reflect.Value) ([]byte, error) {
		return func(dst []byte, value reflect.Value) ([]byte, error) {
			if value.IsNil() {
				return nil, nil
			}
			return append(append(dst, prefix...), value.Bytes()...), nil
		}
	}
	switch column {
	case "jsonb":
		return encoding{"jsonb", jsonbOID, raw(jsonbVersion), nil}
	case "json":
		return encoding{"json", jsonOID, raw(""), nil}
	}
	return encoding{}
}

func appendBool(dst []byte, value reflect.Value) ([]byte, error) {
	return append(dst, boolValue(value.Bool())...), nil
}

func appendInt(dst []byte, value reflect.Value) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(value.Int())), nil
}

func appendUint(dst []byte, value reflect.Value) ([]byte, error) {
	if value.Uint() > math.MaxInt64 {
		return dst, errors.New("bigint out of range")
	}
	return binary.BigEndian.AppendUint64(dst, value.Uint()), nil
}

// appendDouble knows one zero and one NaN, as decimal numbers do.
func appendDouble(dst []byte, value reflect.Value) ([]byte, error) {
	number := value.Float()
	if number == 0 {
		number = 0
	} else if math.IsNaN(number) {
		number = math.NaN()
	}
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(number)), nil
}

func appendFloat(dst []byte, value reflect.Value) ([]byte, error) {
	number := float32(value.Float())
	if number == 0 {
		number = 0
	} else if number != number {
		number = float32(math.NaN())
	}
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(number)), nil
}

func appendText(dst []byte, value reflect.Value) ([]byte, error) {
	return append(dst, value.String()...), nil
}

func appendBytes(dst []byte, value reflect.Value) ([]byte, error) {
	if value.IsNil() {
		return nil, nil
	}
	return append(dst, value.Bytes()...), nil
}

func appendByteArray(dst []byte, value reflect.Value) ([]byte, error) {
	return append(dst, value.Bytes()...), nil
}

// epoch is where Postgres counts microseconds from, in Unix microseconds, and the years that its text format has.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

const firstYear, lastYear = 1, 294275

func appendTime(dst []byte, value reflect.Value) ([]byte, error) {
	at := value.Addr().Interface().(*time.Time)
	if year := at.UTC().Year(); year < firstYear || year > lastYear {
		return dst, errors.New("timestamp out of range")
	}
	return binary.BigEndian.AppendUint64(dst, uint64(at.UnixMicro()-epoch)), nil
}

// appendUUID reads what Postgres reads as a UUID.
func appendUUID(dst []byte, value reflect.Value) ([]byte, error) {
	text := value.String()
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		if text, ok = strings.CutSuffix(inner, "}"); !ok {
			return dst, errUUID
		}
	}
	for n := range 16 {
		if n > 0 && n%2 == 0 {
			text = strings.TrimPrefix(text, "-")
		}
		if len(text) < 2 {
			return dst, errUUID
		}
		high, low := hex(text[0]), hex(text[1])
		if high > 15 || low > 15 {
			return dst, errUUID
		}
		dst, text = append(dst, high<<4|low), text[2:]
	}
	if text != "" {
		return dst, errUUID
	}
	return dst, nil
}

var errUUID = errors.New("invalid input syntax for type uuid")

func hex(digit byte) byte {
	switch {
	case '0' <= digit && digit <= '9':
		return digit - '0'
	case 'a' <= digit|0x20 && digit|0x20 <= 'f':
		return digit | 0x20 - 'a' + 10
	}
	return 0xff
}

// isUUID says whether a type is sixteen bytes that are written in the usual text format of a UUID.
func isUUID(of reflect.Type) bool {
	if of.Kind() != reflect.Array || of.Len() != 16 || of.Elem().Kind() != reflect.Uint8 || of.Implements(appenderType) {
		return false
	}
	value := reflect.New(of).Elem()
	is := func(want string) bool {
		valuer, ok := reflect.TypeAssert[driver.Valuer](value)
		if !ok {
			return false
		}
		text, err := valuer.Value()
		return err == nil && fmt.Sprint(text) == want
	}
	zero := is("00000000-0000-0000-0000-000000000000")
	for i := range 16 {
		value.Index(i).SetUint(uint64(0xf0 - 15*i))
	}
	return zero && is("f0e1d2c3-b4a5-9687-7869-5a4b3c2d1e0f")
}
