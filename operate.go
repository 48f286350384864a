package flows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/kappaflows/flows/internal/operations"
	"github.com/kappaflows/flows/runtime"
)

// function returns the function of a name; those that belong to another one, as the sides of a join do, have names too.
func (a *App) function(name string) (*runtime.Function, error) {
	functions, err := a.compile()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range withParts(functions) {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return nil, usagef("no function is called %q; there are %s", name, strings.Join(names, ", "))
}

// operate opens what an operation on these functions needs and closes it afterwards.
func (in *Invocation) operate(ctx context.Context, functions []*runtime.Function, do func(operations.Operator) error) error {
	if err := in.Settings.check(); err != nil {
		return err
	}
	d, err := in.openDrivers(ctx, needStore(functions))
	if err != nil {
		return err
	}
	return closeAfter(do(operations.Operator{Log: d.log, Store: d.store, Logger: in.Logger}), d)
}

// operateOn does the same for one function, by its name. Its tables are made where they are missing, so that looking at
// a function that never ran is no error.
func (in *Invocation) operateOn(ctx context.Context, name string, do func(operations.Operator, *runtime.Function) error) error {
	f, err := in.App.function(name)
	if err != nil {
		return err
	}
	functions := []*runtime.Function{f}
	return in.operate(ctx, functions, func(o operations.Operator) error {
		if o.Store != nil {
			if err := o.Store.Migrate(ctx, tablesOf(functions)); err != nil {
				return err
			}
		}
		return do(o, f)
	})
}

// confirm returns nil where a person says that something may be done, or said so before with --yes.
func (in *Invocation) confirm(ctx context.Context, what string, yes bool) error {
	switch {
	case yes:
		return nil
	case !isTerminal(in.Stdin):
		return usagef("about to %s, and nobody is there to be asked: say --yes", what)
	default:
		return ask(ctx, in.Stdin, in.Stderr, what)
	}
}

// ask asks a person.
func ask(ctx context.Context, from io.Reader, to io.Writer, what string) error {
	_, _ = fmt.Fprintf(to, "About to %s. Go on? [y/N] ", what)
	answer := ""
	err := eachLine(ctx, from, func(line []byte) error {
		answer = strings.ToLower(strings.TrimSpace(string(line)))
		return errEnough
	})
	switch {
	case answer == "y" || answer == "yes":
		return nil
	case ctx.Err() != nil:
		return err
	default:
		return errors.New("nothing was done")
	}
}

// moment is a time on the command line: as RFC 3339, or as how long ago.
type moment struct{ time.Time }

// UnmarshalText reads it.
func (m *moment) UnmarshalText(text []byte) (err error) {
	if ago, err := time.ParseDuration(string(text)); err == nil && ago >= 0 {
		m.Time = time.Now().Add(-ago)
		return nil
	}
	if m.Time, err = time.Parse(time.RFC3339, string(text)); err != nil {
		return fmt.Errorf("%q is neither a time such as 2026-11-21T03:00:00Z nor one ago such as 90m", text)
	}
	return nil
}

// shownTime is how listings write times.
func shownTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// optionalTime is a time in JSON, null where there is none.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// shownBytes shows bytes on one line of a listing.
func shownBytes(data []byte) string {
	switch {
	case data == nil:
		return "(null)"
	case utf8.Valid(data):
		return printable(string(data))
	default:
		return fmt.Sprintf("%q", data)
	}
}

// bytesJSON is bytes in JSON: as text where they are text, else in base64; null stays null.
type bytesJSON struct {
	Text   *string `json:"text,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
}

func newBytesJSON(data []byte) *bytesJSON {
	if data == nil {
		return nil
	}
	if text := string(data); utf8.ValidString(text) {
		return &bytesJSON{Text: &text}
	}
	return &bytesJSON{Base64: data}
}

// listing prints rows: as a table for people, or as one JSON object a line.
type listing struct {
	table *tabwriter.Writer
	lines *json.Encoder
}

func newListing(out io.Writer, asJSON bool, columns ...string) *listing {
	if asJSON {
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		return &listing{lines: lines}
	}
	l := &listing{table: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	_, _ = fmt.Fprintln(l.table, strings.Join(columns, "\t"))
	return l
}

// row prints one row, from what is fit for either.
func (l *listing) row(object any, cells ...any) error {
	if l.lines != nil {
		return l.lines.Encode(object)
	}
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = fmt.Sprint(cell)
	}
	_, err := fmt.Fprintln(l.table, strings.Join(texts, "\t"))
	return err
}

func (l *listing) flush() error {
	if l.table == nil {
		return nil
	}
	return l.table.Flush()
}
