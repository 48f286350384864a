package postgres

import "encoding/binary"

// Object ids of the element types of arrays that go to the server, fixed in every Postgres.
const (
	byteaOID = 17
	int8OID  = 20
	textOID  = 25
	jsonbOID = 3802
)

// arrayHeader is the length of the header of an array in the binary format: dimensions, whether there are nulls,
// element type, length, lower bound.
const arrayHeader = 5 * 4

func appendArrayHeader(dst []byte, oid uint32, length int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, 1)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, oid)
	dst = binary.BigEndian.AppendUint32(dst, uint32(length))
	return binary.BigEndian.AppendUint32(dst, 1)
}

// bytesArray encodes strings or bytes as an array of oid, each element behind prefix.
func bytesArray[T ~string | ~[]byte](oid uint32, prefix string, values []T) []byte {
	size := arrayHeader
	for _, value := range values {
		size += 4 + len(prefix) + len(value)
	}
	dst := appendArrayHeader(make([]byte, 0, size), oid, len(values))
	for _, value := range values {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(prefix)+len(value)))
		dst = append(dst, prefix...)
		dst = append(dst, value...)
	}
	return dst
}

func int8Array(values []int64) []byte {
	dst := appendArrayHeader(make([]byte, 0, arrayHeader+12*len(values)), int8OID, len(values))
	for _, value := range values {
		dst = binary.BigEndian.AppendUint32(dst, 8)
		dst = binary.BigEndian.AppendUint64(dst, uint64(value))
	}
	return dst
}

func int8Value(value int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(value)) }

func int4Value(value int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(value)) }

func int2Value(value int16) []byte { return binary.BigEndian.AppendUint16(nil, uint16(value)) }

func boolValue(value bool) []byte {
	if value {
		return []byte{1}
	}
	return []byte{0}
}
