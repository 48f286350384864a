// Package flows makes an app of dataflow functions: it checks them, gives them a command line, opens the broker and the
// database, and runs them, exactly once.
//
// A whole program is its topics, its functions and one call of Main:
//
//	func main() {
//		flows.Main(
//			stateless.Config[string, string]{Name: "split", Input: lines, Outputs: topic.List{words}, Function: split},
//			stateful.Config[string, string, int64]{Name: "count", Input: words, Outputs: topic.List{counts},
//				State: format.Int64(), Table: "word_count", Function: count},
//		)
//	}
//
// With KAFKA_BROKERS and POSTGRES_URL set it runs on these; without them, on a log and a database inside the process.
//
// The package wires and holds no mechanism of its own: topics are of package topic, the kinds of functions of packages
// such as stateless and stateful, and what runs them of package runtime.
package flows

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/kappaflows/flows/runtime"
)

// Function is what an app runs: the config of any kind of function. Compile checks the config and returns the function
// without its types; its error says everything that is wrong.
type Function interface {
	Compile() (*runtime.Function, error)
}

// App is a set of functions with a command line. It holds no connection and no goroutine; it is safe for use by many
// goroutines once it is made.
type App struct {
	functions []Function
	commands  []Command
	// open is how the log and the store are opened; tests open others.
	open opener
}

// Command is a command of the app's own, beside run, list and so on.
type Command struct {
	// Name is what is typed, and Help the sentence about it in --help.
	Name, Help string
	// Run does it. Its error is the process's: status 1 and one line.
	Run func(ctx context.Context, invocation *Invocation) error
	// Flags, where set, is a pointer to a struct whose fields are the command's flags and arguments, with the tags of
	// github.com/alecthomas/kong; they are filled when Run is called. Without it the command takes arguments of any number.
	Flags any
}

// Invocation is one call of the program, for a Command.
type Invocation struct {
	App *App
	// Settings are what the environment and the flags say.
	Settings Settings
	// Args are the command's own arguments, where it has no Flags.
	Args   []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Logger *slog.Logger
}

// New returns an app of these functions. Nothing is checked yet: Validate, Open and Main do.
func New(functions ...Function) *App {
	return &App{functions: functions, open: openDrivers}
}

// With adds commands to the app's command line and returns the app.
func (a *App) With(commands ...Command) *App {
	a.commands = append(a.commands, commands...)
	return a
}

// Main is a whole main function: it runs the command line of an app of these functions and exits.
func Main(functions ...Function) { New(functions...).Main() }

// Run runs an app of these functions until ctx is done; see App.Run.
func Run(ctx context.Context, settings Settings, functions ...Function) error {
	return New(functions...).Run(ctx, settings)
}

// Main runs the app's command line and exits: with 0 when it did what was asked, 2 when it was asked wrongly, 1 when
// something failed. SIGTERM and SIGINT end it in order within ten seconds, a second one at once.
func (a *App) Main() {
	ctx, release := untilSignal(os.Stderr, programName())
	status := a.Execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	release()
	os.Exit(status)
}

// Run opens the app and runs its functions until ctx is done, then drains and returns nil, or until one of them fails.
func (a *App) Run(ctx context.Context, settings Settings) error {
	instance, err := a.Open(ctx, settings)
	if err != nil {
		return err
	}
	return closeAfter(instance.Run(ctx), instance)
}

// programName is what the program was called as.
func programName() string {
	return strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
}
