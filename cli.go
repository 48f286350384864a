package flows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/kappaflows/flows/runtime"
)

// commandLine is the grammar of the command line, besides the app's own commands.
type commandLine struct {
	globalFlags

	Run     runCommand     `cmd:"" help:"Run functions until told to stop: all of them, or those that are named."`
	List    listCommand    `cmd:"" help:"List the functions with their topics and tables."`
	Graph   graphCommand   `cmd:"" help:"Print which function reads and writes what."`
	Topics  topicsCommand  `cmd:"" help:"Create the topics that the functions use."`
	Produce produceCommand `cmd:"" help:"Append lines of files, or of the standard input, to a topic."`
	Listen  listenCommand  `cmd:"" help:"Print the messages of a topic as they come."`
	Lag     lagCommand     `cmd:"" help:"Print where the functions are in their topics, and how much waits."`
	State   stateCommand   `cmd:"" help:"Print states of a function."`
	Reset   resetCommand   `cmd:"" help:"Take a function back to its beginning, or to an offset or a time."`

	DeadLetter deadLetterCommand `cmd:"" help:"List, show, retry and drop messages that a function could not be applied to."`
	Deploy     deployCommand     `cmd:"" help:"Print what runs the app on containers, one for each function."`
	Migrate    migrateCommand    `cmd:"" help:"Create and check the tables of the functions, and create the topics of their own."`
	Health     healthCommand     `cmd:"" help:"Ask the app on this machine whether it is ready."`
	Version    versionCommand    `cmd:"" help:"Print the version of this program and of what it is built with."`
}

// builtinCommands are the names that the app's own commands can't have.
var builtinCommands = []string{"run", "list", "graph", "topics", "migrate", "produce", "listen", "version", "help", "lag", "state", "reset", "dead-letter", "deploy", "health"}

// globalFlags are for every command. A flag decides over its environment variable.
type globalFlags struct {
	KafkaBrokers string   `group:"global" env:"KAFKA_BROKERS" placeholder:"HOST:PORT,..." help:"Brokers to begin with; without them the log and the store are embedded in the process. TLS and SASL are set by KAFKA_TLS, KAFKA_TLS_CA, KAFKA_TLS_CERT, KAFKA_TLS_KEY, KAFKA_TLS_SERVER_NAME, KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD; KAFKA_CLIENT_ID and KAFKA_INSTANCE_ID name the process."`
	PostgresURL  string   `group:"global" name:"postgres-url" env:"POSTGRES_URL" placeholder:"URL" help:"Database that holds states and positions; goes with the brokers."`
	HTTPAddr     string   `group:"global" name:"http-addr" env:"HTTP_ADDR" placeholder:"HOST:PORT" help:"Where to answer /live, /ready, /metrics and /topology; :8080 by default, 127.0.0.1:8080 when embedded, 'off' for nowhere."`
	DebugAddr    string   `group:"global" env:"DEBUG_ADDR" placeholder:"HOST:PORT" help:"Where to serve profiles of the process, under /debug/pprof/; a loopback address. Nowhere unless set."`
	DataDir      string   `group:"global" env:"DATA_DIR" placeholder:"DIR" help:"Where the embedded log and store keep their data; without it they keep nothing."`
	BufferBytes  string   `group:"global" env:"BUFFER_BYTES" placeholder:"SIZE" help:"How much the process holds of messages that are on their way, at most, such as 64MiB; 256MiB unless set."`
	CacheBytes   string   `group:"global" env:"CACHE_BYTES" placeholder:"SIZE" help:"How much the process keeps of states in memory, at most; 256MiB unless set."`
	LogLevel     logLevel `group:"global" env:"LOG_LEVEL" default:"info" placeholder:"LEVEL" help:"Least severe messages to log, on the standard error: debug, info, warn or error."`
	LogFormat    string   `group:"global" env:"LOG_FORMAT" default:"auto" enum:"auto,text,json" help:"How to log: text, json, or auto: in colours on a terminal, text elsewhere."`
}

// logLevel is a level by its name.
type logLevel struct{ slog.Level }

// UnmarshalText takes the names of the levels, in small or capital letters.
func (l *logLevel) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "debug", "info", "warn", "error":
		return l.Level.UnmarshalText(text)
	default:
		return fmt.Errorf("%q is no level; debug, info, warn and error are", text)
	}
}

// lookup returns the environment with the flags in place of the variables that they stand for.
func (g *globalFlags) lookup(name string) (string, bool) {
	value := ""
	switch name {
	case "KAFKA_BROKERS":
		value = g.KafkaBrokers
	case "POSTGRES_URL":
		value = g.PostgresURL
	case "HTTP_ADDR":
		value = g.HTTPAddr
	case "DEBUG_ADDR":
		value = g.DebugAddr
	case "DATA_DIR":
		value = g.DataDir
	case "BUFFER_BYTES":
		value = g.BufferBytes
	case "CACHE_BYTES":
		value = g.CacheBytes
	default:
		return os.LookupEnv(name)
	}
	return value, value != ""
}

// Exit statuses.
const (
	statusDone   = 0
	statusFailed = 1
	statusUsage  = 2
)

// Execute runs one command line and returns the exit status: 0 when it did what was asked, 2 when it was asked wrongly,
// 1 when something failed; then there is one line a problem on stderr. It is Main without the process around it.
func (a *App) Execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	invocation := &Invocation{App: a, Stdin: stdin, Stdout: stdout, Stderr: stderr}
	err := a.execute(ctx, args, invocation)
	if err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return statusDone // being told to stop is no failure
	}
	if invocation.Logger != nil {
		logPanic(invocation.Logger, err)
	}
	problems := []string{err.Error()}
	if invalid, ok := errors.AsType[*InvalidError](err); ok {
		problems = invalid.Problems
	}
	for _, problem := range problems {
		line := strings.Join(strings.FieldsFunc(problem, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
		_, _ = fmt.Fprintf(stderr, "%s: %s\n", programName(), invocation.Settings.redact(line))
	}
	if isUsage(err) {
		return statusUsage
	}
	return statusFailed
}

// logPanic logs the stack of a panic of a user's function, which the line about the failure has no room for.
func logPanic(logger *slog.Logger, err error) {
	if p, ok := errors.AsType[*runtime.PanicError](err); ok {
		logger.Error("a function panicked", "panic", p.Value, "stack", string(p.Stack))
	}
}

func (a *App) execute(ctx context.Context, args []string, in *Invocation) error {
	grammar := &commandLine{}
	helped := false
	parser, err := a.parser(ctx, grammar, in, func(int) { helped = true })
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	switch {
	case helped:
		return nil // whatever else is wrong: help was asked for
	case err != nil:
		return usagef("%w; see %s --help", err, programName())
	}
	if in.Settings, err = FromEnvironment(grammar.lookup); err != nil {
		return usageError{err}
	}
	in.Logger = newLogger(in.Stderr, grammar.LogFormat, grammar.LogLevel.Level)
	in.Settings.Logger = in.Logger
	if own := a.ownCommand(parsed); own != nil {
		return own.Run(ctx, in)
	}
	return parsed.Run(in)
}

// ownCommand returns the command of the app's own that has flags and was called, nil where it was another.
func (a *App) ownCommand(called *kong.Context) *Command {
	for i, command := range a.commands {
		if selected := called.Selected(); command.Flags != nil && selected != nil && selected.Name == command.Name {
			return &a.commands[i]
		}
	}
	return nil
}

const helpText = `Kafka dataflows as typed functions, exactly once.

Examples:

    %[1]s run                          # all functions, everything in this process
    KAFKA_BROKERS=localhost:9092 POSTGRES_URL=postgres://localhost/app %[1]s run
    %[1]s topics create --partitions 8
    %[1]s produce %[2]s words.txt
    %[1]s listen %[3]s --from oldest --max 10

Where both a flag and its environment variable are set, the flag decides.`

func (a *App) parser(ctx context.Context, grammar *commandLine, in *Invocation, exit func(int)) (*kong.Kong, error) {
	first, last := a.exampleTopics()
	options := []kong.Option{
		kong.Name(programName()),
		kong.Description(fmt.Sprintf(helpText, programName(), first, last)),
		kong.Writers(in.Stdout, in.Stderr),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 110}),
		kong.ExplicitGroups([]kong.Group{{Key: "global", Title: "Flags of every command:"}}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(in),
	}
	if len(a.commands) > 0 {
		if err := a.Validate(); err != nil {
			return nil, err // the commands' names would make a grammar that contradicts itself
		}
	}
	for _, command := range a.commands {
		grammar := command.Flags
		if grammar == nil {
			grammar = &ownArguments{run: command.Run}
		}
		options = append(options, kong.DynamicCommand(command.Name, command.Help, "", grammar))
	}
	return kong.New(grammar, options...)
}

// exampleTopics returns names of topics that examples in the help can use.
func (a *App) exampleTopics() (first, last string) {
	functions, err := a.compile()
	if err != nil {
		return "topic", "topic"
	}
	specs := allSpecs(withParts(functions))
	return specs[0].Name, specs[len(specs)-1].Name
}

// ownArguments is a command of the app's own without flags.
type ownArguments struct {
	Args []string `arg:"" optional:"" help:"Arguments of the command."`

	run func(context.Context, *Invocation) error
}

// Run does the command.
func (c *ownArguments) Run(ctx context.Context, in *Invocation) error {
	in.Args = c.Args
	return c.run(ctx, in)
}
