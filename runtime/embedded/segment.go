package embedded

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// batch is what recovery needs of a record batch's header.
type batch struct {
	producerID int64
	epoch      int16
	sequence   int32
	records    int32
	offset     int64
}

// Where things are in a record batch (format version 2). Length counts what follows it; the checksum covers what
// follows itself.
const (
	lengthAt      = 8
	afterLength   = 12
	checksumAt    = 17
	checkedAt     = 21
	lastDeltaAt   = 23
	producerAt    = 43
	epochAt       = 51
	sequenceAt    = 53
	headerBytes   = 61
	maxBatchBytes = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// eachBatch calls visit for each batch of a segment, up to the first that is not whole: what was being written when the
// process died. kfake cuts the file at the same place.
func eachBatch(segment io.Reader, visit func(batch)) error {
	reader := bufio.NewReaderSize(segment, 1<<20)
	var buffer []byte
	for {
		var err error
		buffer, err = readBatch(reader, buffer)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errBroken) {
			return nil
		}
		if err != nil {
			return err
		}
		visit(parseBatch(buffer))
	}
}

var errBroken = errors.New("broken batch")

// readBatch reads one batch into the buffer, which grows as it must.
func readBatch(reader *bufio.Reader, buffer []byte) ([]byte, error) {
	start, err := reader.Peek(afterLength)
	if err != nil {
		return buffer, err
	}
	length := int64(binary.BigEndian.Uint32(start[lengthAt:]))
	if length < headerBytes-afterLength || length > maxBatchBytes {
		return buffer, errBroken
	}
	size := int(afterLength + length)
	if cap(buffer) < size {
		buffer = make([]byte, size)
	}
	buffer = buffer[:size]
	if _, err := io.ReadFull(reader, buffer); err != nil {
		return buffer, err
	}
	if crc32.Checksum(buffer[checkedAt:], castagnoli) != binary.BigEndian.Uint32(buffer[checksumAt:]) {
		return buffer, errBroken
	}
	return buffer, nil
}

func parseBatch(b []byte) batch {
	return batch{
		offset:     int64(binary.BigEndian.Uint64(b)),
		producerID: int64(binary.BigEndian.Uint64(b[producerAt:])),
		epoch:      int16(binary.BigEndian.Uint16(b[epochAt:])),
		sequence:   int32(binary.BigEndian.Uint32(b[sequenceAt:])),
		// Not the number of records: compaction takes some out and leaves this.
		records: int32(binary.BigEndian.Uint32(b[lastDeltaAt:])) + 1,
	}
}
