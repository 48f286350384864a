// Package rows checks what a commit asks of the rows of a state table, for the drivers that have no database to refuse
// it, and to name the row where a database did refuse.
package rows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
)

// CheckTable checks the name of a state table: an identifier of letters, digits and underscores, with a schema before a
// dot or without. Names that begin with flows_ are the framework's.
func CheckTable(table runtime.StateTable) error {
	parts := strings.Split(table.Name, ".")
	last := parts[len(parts)-1]
	if len(parts) > 2 || !identifier(parts[0]) || !identifier(last) {
		return fmt.Errorf("table %q: a name is letters, digits and underscores, at most 63, with a schema and a dot before it or without", table.Name)
	}
	if strings.HasPrefix(strings.ToLower(last), "flows_") {
		return fmt.Errorf("table %q: names that begin with flows_ are taken", table.Name)
	}
	return nil
}

func identifier(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= 63
}

// CheckBatch checks that the states of a batch are in the form that the port promises to drivers: columns of one length,
// keys in order, none twice.
func CheckBatch(batch *runtime.Commit) error {
	writes, deletes := batch.Writes, batch.Deletes
	n, fresh := len(writes.Keys), 0
	for _, f := range writes.Fresh {
		if f {
			fresh++
		}
	}
	switch {
	case len(writes.States) != n || len(writes.Versions) != n || len(writes.Fresh) != n || len(deletes.Versions) != len(deletes.Keys):
		return fmt.Errorf("table %q: the columns of a batch have different lengths", batch.Table)
	case fresh != writes.FreshRows:
		return fmt.Errorf("table %q: %d rows are fresh, FreshRows is %d", batch.Table, fresh, writes.FreshRows)
	case !ascending(writes.Keys) || !ascending(deletes.Keys) || overlap(writes.Keys, deletes.Keys):
		return fmt.Errorf("table %q: the keys of a batch are not in order or not unique", batch.Table)
	}
	return nil
}

func ascending(keys []string) bool {
	for i := 1; i < len(keys); i++ {
		if keys[i-1] >= keys[i] {
			return false
		}
	}
	return true
}

// overlap says whether two ascending lists have a key in common.
func overlap(a, b []string) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			return true
		}
	}
	return false
}

// CheckStates checks that the table's columns can hold the keys and states, and names the first key where not.
func CheckStates(table runtime.StateTable, writes runtime.StateWrites) error {
	for i, key := range writes.Keys {
		if table.Key == format.Text {
			if err := CheckText(key); err != nil {
				return fmt.Errorf("table %q: key %q: %w", table.Name, key, err)
			}
		}
		if table.State == format.Document {
			if err := checkDocument(writes.States[i]); err != nil {
				return fmt.Errorf("table %q: state of key %q: %w", table.Name, key, err)
			}
		}
	}
	return nil
}

// CheckText checks that a database can hold a text.
func CheckText(text string) error {
	if strings.IndexByte(text, 0) >= 0 {
		return errors.New("text in a database can't hold a NUL character")
	}
	if !utf8.ValidString(text) {
		return errors.New("not valid UTF-8")
	}
	return nil
}

func checkDocument(state []byte) error {
	if !json.Valid(state) || !utf8.Valid(state) {
		return errors.New("not a JSON document")
	}
	if EscapesNUL(state) {
		return ErrNULInJSON
	}
	return nil
}

// ErrNULInJSON says that a JSON document has a NUL character in one of its strings.
var ErrNULInJSON = errors.New("JSON in a database can't hold a NUL character")

// EscapesNUL says whether a valid JSON document has the escape \u0000 in a string: a backslash that is not itself
// escaped, and then u0000.
func EscapesNUL(document []byte) bool {
	for {
		i := bytes.IndexByte(document, '\\')
		if i < 0 || i+1 >= len(document) {
			return false
		}
		if bytes.HasPrefix(document[i+1:], []byte("u0000")) {
			return true
		}
		document = document[i+2:]
	}
}
