package operations

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
)

// State is the state of one key, for people.
type State struct {
	// Key is the key's text where it is text, else 0x and its bytes in hexadecimal.
	Key string
	// State is the state's text: the document, where it is one.
	State string
	// Version changes with each write.
	Version int64
}

// ErrNoState says that there is no state: of a function that keeps none, or of a key that has none.
var ErrNoState = errors.New("no state")

// State returns the state of a key, which reads as State.Key is written.
func (o Operator) State(ctx context.Context, f *runtime.Function, key string) (State, error) {
	if err := o.checkStates(f); err != nil {
		return State{}, err
	}
	raw, err := parseKey(f.State.Table.Key, key)
	if err != nil {
		return State{}, err
	}
	rows, err := o.Store.Load(ctx, f.State.Table.Name, []string{raw})
	switch {
	case err != nil:
		return State{}, err
	case len(rows) == 0:
		return State{}, fmt.Errorf("function %s, key %s: %w", f.Name, key, ErrNoState)
	}
	return stateOf(f, rows[0])
}

func (o Operator) checkStates(f *runtime.Function) error {
	switch {
	case f.State == nil:
		return fmt.Errorf("function %s: %w: it keeps none", f.Name, ErrNoState)
	case o.Store == nil:
		return fmt.Errorf("function %s: %w", f.Name, ErrNoStore)
	default:
		return nil
	}
}

// statePage is how many states are read at once.
const statePage = 500

// States calls visit with the states of the keys that begin with prefix, in the order of the keys' bytes, at most limit;
// 0 is without a limit. They are read in pages: what changes meanwhile may be seen or not.
func (o Operator) States(ctx context.Context, f *runtime.Function, prefix string, limit int, visit func(State) error) error {
	if err := o.checkStates(f); err != nil {
		return err
	}
	lister, ok := o.Store.(runtime.StateLister)
	if !ok {
		return ErrNotSupported
	}
	raw, err := parseKey(f.State.Table.Key, prefix)
	if err != nil {
		return err
	}
	page := runtime.Page{Prefix: raw}
	for left := limit; limit == 0 || left > 0; left -= page.Limit {
		page.Limit = statePage
		if limit > 0 {
			page.Limit = min(left, statePage)
		}
		rows, err := lister.List(ctx, f.State.Table.Name, page)
		if err != nil {
			return err
		}
		for _, row := range rows {
			state, err := stateOf(f, row)
			if err != nil {
				return err
			}
			if err := visit(state); err != nil {
				return err
			}
		}
		if len(rows) < page.Limit {
			return nil
		}
		page.After = rows[len(rows)-1].Key
	}
	return nil
}

func stateOf(f *runtime.Function, row runtime.StateRow) (State, error) {
	state := State{Key: showKey(f.State.Table.Key, row.Key), Version: row.Version}
	decoded, err := f.State.Decode(row.State)
	if err != nil {
		return state, fmt.Errorf("table %s, key %s: %w", f.State.Table.Name, state.Key, err)
	}
	switch {
	case f.State.Table.State == format.Document, f.State.Table.State == format.Text && printable(string(row.State)):
		state.State = string(row.State)
	default:
		state.State = fmt.Sprintf("%v", reflect.Indirect(reflect.ValueOf(decoded)).Interface())
	}
	return state, nil
}

const hexadecimal = "0x"

func showKey(kind format.Kind, key string) string {
	if kind == format.Text {
		return key
	}
	return hexadecimal + hex.EncodeToString([]byte(key))
}

func parseKey(kind format.Kind, text string) (string, error) {
	if kind == format.Text || text == "" {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return "", fmt.Errorf("%q is no text that a key can be", text)
		}
		return text, nil
	}
	digits, found := strings.CutPrefix(text, hexadecimal)
	raw, err := hex.DecodeString(digits)
	if !found || err != nil {
		return "", fmt.Errorf("%q: the keys are bytes; one reads 0x and hexadecimal digits", text)
	}
	return string(raw), nil
}

func printable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
