package format

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// String keeps text. Bytes that are not valid UTF-8 are refused in both directions, with the position of the first bad
// one. A null key reads as "".
func String() Format[string] { return text{} }

type text struct{}

func (text) Name() string { return "string" }

func (text) Kind() Kind { return Text }

func (text) Append(dst []byte, value string) ([]byte, error) {
	if !utf8.ValidString(value) {
		return dst, fmt.Errorf("invalid UTF-8 at byte %d", invalidAt(value))
	}
	return append(dst, value...), nil
}

func (text) Decode(data []byte) (string, error) {
	if !utf8.Valid(data) {
		return "", fmt.Errorf("invalid UTF-8 at byte %d", invalidAt(string(data)))
	}
	return string(data), nil
}

// Show quotes a text that is not printable as it is, so that it stays on its line and cannot drive a terminal.
func (text) Show(value string) string {
	if strings.IndexFunc(value, unprintable) >= 0 {
		return strconv.Quote(value)
	}
	return value
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) }

// invalidAt returns the position of the first byte that is not part of valid UTF-8; the length where there is none.
func invalidAt(s string) int {
	for at := 0; at < len(s); {
		r, size := utf8.DecodeRuneInString(s[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return len(s)
}

// Bool keeps a boolean as the text "true" or "false"; nothing else is read.
func Bool() Format[bool] { return boolean{} }

type boolean struct{}

func (boolean) Name() string { return "bool" }

func (boolean) Kind() Kind { return Text }

func (boolean) Append(dst []byte, value bool) ([]byte, error) {
	return strconv.AppendBool(dst, value), nil
}

func (boolean) Decode(data []byte) (bool, error) {
	switch string(data) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%s: neither true nor false", excerpt(data))
}

func (boolean) Show(value bool) string { return strconv.FormatBool(value) }

// excerptBytes is how much of bad data an error shows.
const excerptBytes = 32

// excerpt quotes the beginning of data that could not be read, for an error of one line.
func excerpt(data []byte) string {
	if len(data) <= excerptBytes {
		return strconv.Quote(string(data))
	}
	return strconv.Quote(string(data[:excerptBytes])) + "..."
}
