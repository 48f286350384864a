package oracle

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"
)

// envelope is flows.v1.Envelope as it is published (proto/flows/v1): a message on its way through the intermediate topic
// of a join, with the side that it is for.
type envelope struct {
	side, topic       string
	partition         int32
	offset, timestamp int64
	headers           []kgo.RecordHeader
	key, value        []byte
}

// decodeEnvelope reads one, which must have nothing else than what is known.
func decodeEnvelope(data []byte) (e envelope, _ error) {
	err := eachField(data, func(field protowire.Number, number uint64, bytes []byte) (err error) {
		switch field {
		case 1:
			e.side = string(bytes)
		case 2:
			e.topic = string(bytes)
		case 3:
			e.partition = int32(number)
		case 4:
			e.offset = int64(number)
		case 5:
			e.timestamp = int64(number)
		case 6:
			var h kgo.RecordHeader
			h, err = decodeHeader(bytes)
			e.headers = append(e.headers, h)
		case 7:
			e.key = bytes
		case 8:
			e.value = bytes
		default:
			err = fmt.Errorf("an envelope has no field %d", field)
		}
		return err
	})
	return e, err
}

func decodeHeader(data []byte) (h kgo.RecordHeader, _ error) {
	err := eachField(data, func(field protowire.Number, _ uint64, bytes []byte) error {
		switch field {
		case 1:
			h.Key = string(bytes)
		case 2:
			h.Value = bytes
		default:
			return fmt.Errorf("a header has no field %d", field)
		}
		return nil
	})
	return h, err
}

// eachField calls visit with each field of a message of protobuf, its number or its bytes, which are never nil.
func eachField(data []byte, visit func(field protowire.Number, number uint64, bytes []byte) error) error {
	for len(data) > 0 {
		field, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		var number uint64
		var bytes []byte
		switch kind {
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			bytes, size = protowire.ConsumeBytes(data)
		default:
			return fmt.Errorf("field %d is of type %d", field, kind)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		if err := visit(field, number, bytes); err != nil {
			return err
		}
	}
	return nil
}
