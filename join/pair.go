package join

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kappaflows/flows/format"
)

// Pair is the state of a join of two tables: the last value of each for one key, nil where there is none.
type Pair[L, R any] struct {
	Left  *L `json:"left,omitempty"`
	Right *R `json:"right,omitempty"`
}

// Pairs is the format of a Pair whose values have these formats. Where both are documents, such as format.JSON, the pair
// is one too, {"left": ..., "right": ...} without what is nil, so that people can query it; else it is binary.
func Pairs[L, R any](left format.Format[L], right format.Format[R]) format.Format[Pair[L, R]] {
	p := pairs[L, R]{left: left, right: right}
	if left.Kind() == format.Document && right.Kind() == format.Document {
		return documents[L, R]{p}
	}
	return p
}

// pairs keeps a pair as two values behind their lengths. A length is one more than the value's, so that 0 is nil.
type pairs[L, R any] struct {
	left  format.Format[L]
	right format.Format[R]
}

func (p pairs[L, R]) Name() string { return "pair of " + p.left.Name() + " and " + p.right.Name() }

func (pairs[L, R]) Kind() format.Kind { return format.Binary }

func (p pairs[L, R]) Append(dst []byte, pair Pair[L, R]) ([]byte, error) {
	data, err := appendHalf(dst, p.left, pair.Left)
	if err != nil {
		return dst, fmt.Errorf("left: %w", err)
	}
	if data, err = appendHalf(data, p.right, pair.Right); err != nil {
		return dst, fmt.Errorf("right: %w", err)
	}
	return data, nil
}

func appendHalf[T any](dst []byte, half format.Format[T], value *T) ([]byte, error) {
	if value == nil {
		return append(dst, 0), nil
	}
	start := len(dst)
	data, err := half.Append(append(dst, 0), *value)
	if err != nil {
		return dst, err
	}
	// Most lengths need more room than the one byte that was left for them.
	size := len(data) - start - 1
	length := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64), uint64(size)+1)
	data = append(data, length[1:]...)
	copy(data[start+len(length):], data[start+1:start+1+size])
	copy(data[start:], length)
	return data, nil
}

func (p pairs[L, R]) Decode(data []byte) (pair Pair[L, R], err error) {
	if pair.Left, data, err = decodeHalf(data, p.left); err != nil {
		return Pair[L, R]{}, fmt.Errorf("left: %w", err)
	}
	if pair.Right, data, err = decodeHalf(data, p.right); err != nil {
		return Pair[L, R]{}, fmt.Errorf("right: %w", err)
	}
	if len(data) > 0 {
		return Pair[L, R]{}, fmt.Errorf("%d bytes too many", len(data))
	}
	return pair, nil
}

var errCut = errors.New("the length is not that of the data")

func decodeHalf[T any](data []byte, half format.Format[T]) (value *T, rest []byte, _ error) {
	size, n := binary.Uvarint(data)
	switch {
	case n <= 0 || size > uint64(len(data)-n)+1:
		return nil, nil, errCut
	case size == 0:
		return nil, data[n:], nil
	}
	end := n + int(size) - 1
	value, err := decodeOne(data[n:end], half)
	return value, data[end:], err
}

func decodeOne[T any](data []byte, f format.Format[T]) (*T, error) {
	value, err := f.Decode(data)
	if err != nil {
		return nil, err
	}
	return &value, nil
}

func (p pairs[L, R]) Show(pair Pair[L, R]) string {
	return "left " + showHalf(p.left, pair.Left) + " right " + showHalf(p.right, pair.Right)
}

func showHalf[T any](half format.Format[T], value *T) string {
	if value == nil {
		return "(none)"
	}
	return half.Show(*value)
}

// documents keeps a pair of documents as one.
type documents[L, R any] struct{ pairs[L, R] }

func (documents[L, R]) Kind() format.Kind { return format.Document }

func (d documents[L, R]) Append(dst []byte, pair Pair[L, R]) (data []byte, err error) {
	data = dst
	data = append(data, '{')
	if pair.Left != nil {
		if data, err = d.left.Append(append(data, `"left":`...), *pair.Left); err != nil {
			return dst, fmt.Errorf("left: %w", err)
		}
	}
	if pair.Left != nil && pair.Right != nil {
		data = append(data, ',')
	}
	if pair.Right != nil {
		if data, err = d.right.Append(append(data, `"right":`...), *pair.Right); err != nil {
			return dst, fmt.Errorf("right: %w", err)
		}
	}
	return append(data, '}'), nil
}

func (d documents[L, R]) Decode(data []byte) (pair Pair[L, R], err error) {
	var halves struct{ Left, Right json.RawMessage }
	if err := json.Unmarshal(data, &halves); err != nil {
		return pair, fmt.Errorf("pair: %w", err)
	}
	if halves.Left != nil {
		if pair.Left, err = decodeOne(halves.Left, d.left); err != nil {
			return Pair[L, R]{}, fmt.Errorf("left: %w", err)
		}
	}
	if halves.Right != nil {
		if pair.Right, err = decodeOne(halves.Right, d.right); err != nil {
			return Pair[L, R]{}, fmt.Errorf("right: %w", err)
		}
	}
	return pair, nil
}
