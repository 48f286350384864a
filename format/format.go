// Package format turns keys, values and states into bytes and back.
//
// A Format is stateless and safe for many goroutines. Decoding never panics, whatever the bytes: it gives the value or
// an error. The package knows nothing of topics, brokers or databases.
//
// The numbers and booleans are decimal text, as every Kafka tool reads and writes it, and not Java's big-endian bytes.
// A format of one's own is a type that implements Format; it may embed nothing and register nowhere.
package format

// Kind says what the bytes of a format are, which decides the column that holds them in a database.
type Kind uint8

const (
	// Binary bytes have no form that a database knows.
	Binary Kind = iota
	// Text is valid UTF-8.
	Text
	// Document is one JSON document.
	Document
)

// Format encodes and decodes values of one type.
type Format[T any] interface {
	// Name is how the format is called in listings, errors and drawings, such as "string" or "json". Two formats of one
	// type that have one name write the same bytes.
	Name() string
	// Kind says what its bytes are.
	Kind() Kind
	// Append appends the encoding of value to dst and returns the extended slice, or an error where the value has no
	// encoding. dst is left as it was up to its length either way.
	Append(dst []byte, value T) ([]byte, error)
	// Decode reads one value from data, which is nil for a null key. Unless the format is a Borrower it must not keep data,
	// which is used again after it returns. Where it returns an error, the value is the zero one.
	Decode(data []byte) (T, error)
	// Show renders a value for people, on one line.
	Show(value T) string
}

// Nullable is what a format also implements when some of its values stand for Kafka's null, which has no bytes at all:
// a null key, or a null value (a tombstone). Bytes does, for a nil slice; Protobuf, for a nil message; None, always.
type Nullable[T any] interface{ IsNull(value T) bool }

// Borrower is what a format also implements whose values are their own encoding and whose Decode copies nothing. Borrowed is the
// only one here.
type Borrower[T any] interface{ Borrow(value T) []byte }

// BorrowOf returns how a format gives the encoding of a value without a copy, or nil where it does not.
func BorrowOf[T any](f Format[T]) func(T) []byte {
	if b, ok := f.(Borrower[T]); ok {
		return b.Borrow
	}
	return nil
}

// NullOf returns how a format tells null, or nil where none of its values is null.
func NullOf[T any](f Format[T]) func(T) bool {
	if n, ok := f.(Nullable[T]); ok {
		return n.IsNull
	}
	return nil
}
