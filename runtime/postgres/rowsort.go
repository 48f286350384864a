package postgres

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"

	"github.com/kappaflows/flows/runtime"
)

// rowChange is a change of a row with its primary key in a form that sorts.
type rowChange struct {
	*runtime.Change
	// first is the beginning of the key, which decides most comparisons, and number the place among the changes.
	first  uint64
	number int
	key    []byte
}

// sortRows returns changes of one table by primary key, those of one key in their order. All partitions write in this
// order, so that they do not wait for each other in a circle; and an index likes it.
func (t *rowTable) sortRows(changes []*runtime.Change) ([]rowChange, error) {
	sorted := make([]rowChange, len(changes))
	var keys arena
	var key, value []byte
	for i, change := range changes {
		row := reflect.ValueOf(change.Row).Elem()
		key = key[:0]
		for _, c := range t.primary {
			var err error
			if value, err = c.append(value[:0], c.value(row)); err != nil {
				return nil, c.refused(err)
			}
			key = c.sortable(key, value)
		}
		sorted[i] = rowChange{Change: change, number: i, key: keys.copy(key)}
		var first [8]byte
		copy(first[:], key)
		sorted[i].first = binary.BigEndian.Uint64(first[:])
	}
	slices.SortFunc(sorted, func(a, b rowChange) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.number, b.number))
	})
	return sorted, nil
}

// value returns the value of the column in a row, where a pointer leads to.
func (c *rowColumn) value(row reflect.Value) reflect.Value {
	for _, i := range c.field.Index {
		row = row.Field(i)
	}
	return row
}

// arrays returns the values of each column in rows as an array. It goes row by row: they are all over the memory.
func arrays(columns []*rowColumn, rows []any) (arrays [][]byte, err error) {
	const usual = 24 // bytes of an element with its length
	arrays = make([][]byte, len(columns))
	for i, c := range columns {
		arrays[i] = appendArrayHeader(make([]byte, 0, arrayHeader+usual*len(rows)), c.oid, len(rows))
	}
	for _, row := range rows {
		value := reflect.ValueOf(row).Elem()
		for i, c := range columns {
			if arrays[i], err = c.appendElement(arrays[i], c.value(value)); err != nil {
				return nil, c.refused(err)
			}
		}
	}
	return arrays, nil
}

// appendElement appends a value of the column to its array.
func (c *rowColumn) appendElement(dst []byte, value reflect.Value) (with []byte, err error) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	switch {
	case c.pointer && value.IsNil(), c.zeroIsNull && c.field.IsZero(value):
	case c.pointer:
		with, err = c.append(dst, value.Elem())
	default:
		with, err = c.append(dst, value)
	}
	switch {
	case err != nil:
		return nil, err
	case with == nil:
		dst[7] = 1 // there are nulls
		binary.BigEndian.PutUint32(dst[start:], 1<<32-1)
		return dst, nil
	default:
		binary.BigEndian.PutUint32(with[start:], uint32(len(with)-start-4))
		return with, nil
	}
}

func (c *rowColumn) refused(err error) error {
	return fmt.Errorf("column %s: %s", c.field.Name, oneLine(err.Error()))
}

func appendFixed(dst, value []byte) []byte { return append(dst, value...) }

// appendSigned makes the negative numbers come first.
func appendSigned(dst, value []byte) []byte {
	return append(append(dst, value[0]^0x80), value[1:]...)
}

// appendFloating makes the negative numbers come first, the larger ones before the smaller.
func appendFloating(dst, value []byte) []byte {
	if value[0]&0x80 == 0 {
		return appendSigned(dst, value)
	}
	for _, b := range value {
		dst = append(dst, ^b)
	}
	return dst
}

// appendVariable marks the end, so that what follows it in a key does not get mixed up with it.
func appendVariable(dst, value []byte) []byte {
	for _, b := range value {
		if dst = append(dst, b); b == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 1)
}
