package flows

import (
	"context"

	"github.com/kappaflows/flows/runtime"
)

// On makes the app run on this log and store, whatever its settings say; nothing closes them.
func (a *App) On(log runtime.Log, store runtime.Store) *App {
	a.open = func(_ context.Context, _ *Settings, withStore bool) (*drivers, error) {
		d := &drivers{log: log, logName: "kafka"}
		if withStore {
			d.store, d.storeName = store, "postgres"
		}
		return d, nil
	}
	return a
}

// What tests of the inside look at.
var (
	EachLine  = eachLine
	Printable = printable
	Ask       = ask
)

// Redact is Settings.redact.
func (s *Settings) Redact(line string) string { return s.redact(line) }

// ProfilesAddr returns where an instance serves profiles.
func (i *Instance) ProfilesAddr() string { return i.profiles.Addr().String() }

// Unescape is what a key separator on the command line means.
var Unescape = unescape

// ParsePosition reads a position on the command line.
func ParsePosition(text string) (runtime.Position, error) {
	var p position
	err := p.UnmarshalText([]byte(text))
	return p.Position, err
}
