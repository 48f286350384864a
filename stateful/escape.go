package stateful

import (
	"bytes"
	"strconv"
	"unicode/utf16"
)

// badEscape says whether a JSON document has an escape that jsonb refuses: the character NUL, or half a surrogate pair.
func badEscape(document []byte) bool {
	for {
		at := bytes.IndexByte(document, '\\')
		if at < 0 || at+1 >= len(document) {
			return false
		}
		// An escape is taken whole, so that a second backslash does not begin one.
		document = document[at:]
		unit, ok := escapedUnit(document)
		switch {
		case !ok:
			document = document[2:]
		case unit == 0:
			return true
		case !utf16.IsSurrogate(unit):
			document = document[unitBytes:]
		default:
			low, _ := escapedUnit(document[unitBytes:])
			if utf16.DecodeRune(unit, low) == '\uFFFD' {
				return true
			}
			document = document[2*unitBytes:]
		}
	}
}

// unitBytes is the length of an escape such as \u00e9.
const unitBytes = 6

// escapedUnit returns the UTF-16 unit of the \u escape that document begins with, and whether it begins with one.
func escapedUnit(document []byte) (rune, bool) {
	if len(document) < unitBytes || document[0] != '\\' || document[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(document[2:unitBytes]), 16, 16)
	return rune(unit), err == nil
}
