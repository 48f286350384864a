package format

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Int64 keeps an integer as decimal text, such as "-12". What is read is what strconv.ParseInt takes in base 10: a sign
// and leading zeros are fine, spaces and underscores are not.
func Int64() Format[int64] { return signed[int64]{name: "int64", bits: 64} }

// Int32 keeps an integer as Int64 does; one that does not fit 32 bits is refused.
func Int32() Format[int32] { return signed[int32]{name: "int32", bits: 32} }

// Int keeps an integer as Int64 does; one that does not fit the machine's int is refused.
func Int() Format[int] { return signed[int]{name: "int", bits: strconv.IntSize} }

// Uint64 keeps an integer from 0 as decimal text. What is read is what strconv.ParseUint takes in base 10: leading zeros
// are fine; signs, spaces and underscores are not.
func Uint64() Format[uint64] { return unsigned[uint64]{name: "uint64", bits: 64} }

// Uint32 keeps an integer as Uint64 does; one that does not fit 32 bits is refused.
func Uint32() Format[uint32] { return unsigned[uint32]{name: "uint32", bits: 32} }

type signed[T int | int32 | int64] struct {
	name string
	bits int
}

func (f signed[T]) Name() string { return f.name }

func (f signed[T]) Kind() Kind { return Text }

func (f signed[T]) Append(dst []byte, value T) ([]byte, error) {
	return strconv.AppendInt(dst, int64(value), 10), nil
}

func (f signed[T]) Decode(data []byte) (T, error) {
	n, err := strconv.ParseInt(string(data), 10, f.bits)
	if err != nil {
		return 0, numberError(data, err)
	}
	return T(n), nil
}

func (f signed[T]) Show(value T) string { return strconv.FormatInt(int64(value), 10) }

type unsigned[T uint32 | uint64] struct {
	name string
	bits int
}

func (f unsigned[T]) Name() string { return f.name }

func (f unsigned[T]) Kind() Kind { return Text }

func (f unsigned[T]) Append(dst []byte, value T) ([]byte, error) {
	return strconv.AppendUint(dst, uint64(value), 10), nil
}

func (f unsigned[T]) Decode(data []byte) (T, error) {
	n, err := strconv.ParseUint(string(data), 10, f.bits)
	if err != nil {
		return 0, numberError(data, err)
	}
	return T(n), nil
}

func (f unsigned[T]) Show(value T) string { return strconv.FormatUint(uint64(value), 10) }

// Float64 keeps a number as the shortest decimal text that reads back as the same number: "0.1", "1000000", "1e+21",
// "NaN", "+Inf". What is read is what strconv.ParseFloat takes, without its hexadecimal and underscore forms.
func Float64() Format[float64] { return float{} }

type float struct{}

func (float) Name() string { return "float64" }

func (float) Kind() Kind { return Text }

func (float) Append(dst []byte, value float64) ([]byte, error) { return appendFloat(dst, value), nil }

func (float) Decode(data []byte) (float64, error) {
	if bytes.ContainsAny(data, "_xX") {
		return 0, numberError(data, strconv.ErrSyntax)
	}
	n, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return 0, numberError(data, err)
	}
	return n, nil
}

func (float) Show(value float64) string { return string(appendFloat(nil, value)) }

// appendFloat writes an exponent only where the digits would be many, as JSON does it.
func appendFloat(dst []byte, value float64) []byte {
	const least, most = 1e-6, 1e21
	verb := byte('f')
	if size := math.Abs(value); size != 0 && (size < least || size >= most) {
		verb = 'e'
	}
	return strconv.AppendFloat(dst, value, verb, -1, 64)
}

// numberError says in one short line why data is no number; strconv's own error repeats all of it.
func numberError(data []byte, err error) error {
	if cause, ok := errors.AsType[*strconv.NumError](err); ok {
		err = cause.Err
	}
	return fmt.Errorf("%s: %w", excerpt(data), err)
}
