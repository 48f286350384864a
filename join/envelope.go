package join

import (
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/topic"
)

// envelope is a message on its way through the intermediate topic: flows.v1.Envelope. It is written and read here and
// not by the generated code, which allocates for every field and takes three times as long; tests hold one against the
// other.
type envelope struct {
	// side is the id of the side that the message belongs to.
	side string
	// topic is where the message was read.
	topic     string
	partition int32
	offset    int64
	// timestamp is in milliseconds since 1970.
	timestamp int64
	headers   topic.Headers
	// key and value are nil for null.
	key, value []byte
}

// Field numbers of flows.v1.Envelope and flows.v1.Header.
const (
	sideField      = 1
	topicField     = 2
	partitionField = 3
	offsetField    = 4
	timestampField = 5
	headersField   = 6
	keyField       = 7
	valueField     = 8

	headerKeyField   = 1
	headerValueField = 2
)

// envelopes is the format of the intermediate topic. Unlike other formats it does not copy what it decodes: an envelope
// is valid as long as the message that it came in.
type envelopes struct {
	// names are side ids and topics that are known, so that reading one costs no memory.
	names map[string]string
}

var _ format.Format[envelope] = envelopes{}

func (envelopes) Name() string { return "protobuf flows.v1.Envelope" }

func (envelopes) Kind() format.Kind { return format.Binary }

func (envelopes) Append(dst []byte, e envelope) ([]byte, error) {
	dst = appendText(dst, sideField, e.side)
	dst = appendText(dst, topicField, e.topic)
	dst = appendNumber(dst, partitionField, int64(e.partition))
	dst = appendNumber(dst, offsetField, e.offset)
	dst = appendNumber(dst, timestampField, e.timestamp)
	for i := range e.headers {
		dst = appendHeader(dst, &e.headers[i])
	}
	dst = appendNullable(dst, keyField, e.key)
	return appendNullable(dst, valueField, e.value), nil
}

func appendText(dst []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return dst
	}
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	return protowire.AppendString(dst, text)
}

func appendNumber(dst []byte, field protowire.Number, n int64) []byte {
	if n == 0 {
		return dst
	}
	dst = protowire.AppendTag(dst, field, protowire.VarintType)
	return protowire.AppendVarint(dst, uint64(n))
}

// appendNullable appends bytes, which are there when they are empty and are not when they are nil.
func appendNullable(dst []byte, field protowire.Number, data []byte) []byte {
	if data == nil {
		return dst
	}
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	return protowire.AppendBytes(dst, data)
}

func appendHeader(dst []byte, h *topic.Header) []byte {
	size := 0
	if h.Key != "" {
		size += protowire.SizeTag(headerKeyField) + protowire.SizeBytes(len(h.Key))
	}
	if h.Value != nil {
		size += protowire.SizeTag(headerValueField) + protowire.SizeBytes(len(h.Value))
	}
	dst = protowire.AppendTag(dst, headersField, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = appendText(dst, headerKeyField, h.Key)
	return appendNullable(dst, headerValueField, h.Value)
}

func (f envelopes) Decode(data []byte) (e envelope, _ error) {
	err := eachField(data, func(number int, n uint64, bytes []byte) (err error) {
		switch number {
		case sideField:
			e.side, err = f.text(bytes)
		case topicField:
			e.topic, err = f.text(bytes)
		case partitionField:
			e.partition = int32(n)
		case offsetField:
			e.offset = int64(n)
		case timestampField:
			e.timestamp = int64(n)
		case headersField:
			var h topic.Header
			h, err = decodeHeader(bytes)
			e.headers = append(e.headers, h)
		case keyField:
			e.key = bytes
		case valueField:
			e.value = bytes
		}
		return err
	}, envelopeType)
	if err != nil {
		return envelope{}, err
	}
	return e, nil
}

// text reads a name, without memory of its own where it is known.
func (f envelopes) text(data []byte) (string, error) {
	if known, ok := f.names[string(data)]; ok {
		return known, nil
	}
	if !utf8.Valid(data) {
		return "", fmt.Errorf("%q is no valid UTF-8", data)
	}
	return string(data), nil
}

func decodeHeader(data []byte) (h topic.Header, _ error) {
	err := eachField(data, func(number int, _ uint64, bytes []byte) error {
		if number == headerKeyField {
			h.Key = string(bytes)
		} else {
			h.Value = bytes
		}
		return nil
	}, headerType)
	return h, err
}

// envelopeType returns the wire type of a field, as headerType does; -1 where there is no such field.
func envelopeType(number int) protowire.Type {
	switch number {
	case sideField, topicField, headersField, keyField, valueField:
		return protowire.BytesType
	case partitionField, offsetField, timestampField:
		return protowire.VarintType
	}
	return -1
}

func headerType(number int) protowire.Type {
	if number == headerKeyField || number == headerValueField {
		return protowire.BytesType
	}
	return -1
}

// eachField calls visit with each known field of a message, in order; bytes are a part of data. A field that is not
// known, or is of another type than it should be, is passed over, as protobuf does.
func eachField(
	data []byte, visit func(number int, n uint64, bytes []byte) error, typeOf func(number int) protowire.Type,
) error {
	for len(data) > 0 {
		number, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		if !number.IsValid() {
			return fmt.Errorf("there is no field %d", number)
		}
		data = data[size:]
		var n uint64
		var bytes []byte
		known := typeOf(int(number)) == kind
		switch {
		case !known:
			size = protowire.ConsumeFieldValue(number, kind, data)
		case kind == protowire.VarintType:
			n, size = protowire.ConsumeVarint(data)
		default:
			bytes, size = protowire.ConsumeBytes(data)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		if !known {
			continue
		}
		if err := visit(int(number), n, slices.Clip(bytes)); err != nil {
			return err
		}
	}
	return nil
}

// Show names the message; what is in it is of the side's formats, which are not known here.
func (envelopes) Show(e envelope) string {
	return e.side + ": " + e.topic + " partition " + strconv.Itoa(int(e.partition)) + " offset " + strconv.FormatInt(e.offset, 10) +
		" key " + shown(e.key) + " value " + shown(e.value)
}

func shown(data []byte) string {
	if data == nil {
		return "(null)"
	}
	return strconv.Quote(string(data))
}

// timestampOf returns the timestamp of an envelope that was decoded before.
func timestampOf(data []byte) (timestamp int64) {
	_ = eachField(data, func(number int, n uint64, _ []byte) error {
		if number == timestampField {
			timestamp = int64(n)
		}
		return nil
	}, envelopeType)
	return timestamp
}
