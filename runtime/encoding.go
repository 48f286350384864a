package runtime

import (
	"encoding/binary"
	"fmt"
	"math"
)

func appendString(buf []byte, s string) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(s)))
	return append(buf, s...)
}

// decoder reads what the append functions wrote. Its first error sticks and later reads give zeros, so that callers
// check once, at the end. It never reads past the data, and never allocates more than the data could hold.
type decoder struct {
	data []byte
	err  error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errCorrupt, what)
		d.data = nil
	}
}

func (d *decoder) finish() error {
	if d.err == nil && len(d.data) > 0 {
		d.fail(fmt.Sprintf("%d bytes too many", len(d.data)))
	}
	return d.err
}

func (d *decoder) version(known byte) {
	if len(d.data) == 0 || d.data[0] != known {
		d.fail("unknown version")
		return
	}
	d.data = d.data[1:]
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.data)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.data = d.data[n:]
	return v
}

// int31 reads a number from 0 to 2147483647.
func (d *decoder) int31() int32 {
	v := d.uvarint()
	if v > math.MaxInt32 {
		d.fail("number out of range")
		return 0
	}
	return int32(v)
}

// count reads how many things follow, each of at least size bytes.
func (d *decoder) count(size int) int {
	v := d.uvarint()
	if v > uint64(len(d.data)/size) {
		d.fail("count out of range")
		return 0
	}
	return int(v)
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.data)) {
		d.fail("cut short")
		return nil
	}
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b
}

func (d *decoder) string() string { return string(d.take(d.uvarint())) }
