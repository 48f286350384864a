package flows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"text/tabwriter"
)

type runCommand struct {
	Functions []string `arg:"" optional:"" name:"function" help:"Names of the functions to run; without one, all."`
}

// Help is shown by run --help.
func (*runCommand) Help() string {
	return `Runs until SIGTERM or SIGINT, then finishes what it has begun and leaves with status 0 within ten seconds. A function that fails ends the process with status 1. Any number of processes may run the same functions; they share the partitions.`
}

// Run runs the functions.
func (c *runCommand) Run(ctx context.Context, in *Invocation) error {
	in.Settings.Functions = c.Functions
	return in.App.Run(ctx, in.Settings)
}

type listCommand struct{}

// Run prints a line a function.
func (*listCommand) Run(in *Invocation) error {
	graph, err := in.App.Graph()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(in.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "FUNCTION\tKIND\tREADS\tWRITES\tTABLE\tDELIVERY")
	for _, f := range graph.Functions {
		_, _ = fmt.Fprintln(table, strings.Join([]string{
			f.Name, f.Kind, listed(f.reads()), listed(f.Outputs), listed(f.tables()), f.Delivery,
		}, "\t"))
	}
	return table.Flush()
}

// reads are the names of what a function reads: topics, or the requests of a route.
func (f GraphFunction) reads() []string {
	if f.Route != "" {
		return []string{f.Route}
	}
	return f.Inputs
}

// listed joins names, and shows none as a dash, so that columns stay columns for other programs.
func listed(names []string) string {
	if joined := strings.Join(names, ","); joined != "" {
		return joined
	}
	return "-"
}

type graphCommand struct {
	Format string `enum:"mermaid,json" default:"mermaid" help:"mermaid, a drawing that many tools show, or json."`
}

// Run prints the graph.
func (c *graphCommand) Run(in *Invocation) error {
	graph, err := in.App.Graph()
	if err != nil {
		return err
	}
	if c.Format == "json" {
		encoder := json.NewEncoder(in.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(graph)
	}
	_, err = io.WriteString(in.Stdout, graph.Mermaid())
	return err
}

type topicsCommand struct {
	Create topicsCreateCommand `cmd:"" help:"Create the topics that do not exist, those of the functions' own among them; leave those that do as they are."`
}

type topicsCreateCommand struct {
	Partitions int32 `default:"4" help:"Partitions of a topic whose declaration does not say how many."`
	Replicas   int16 `default:"0" help:"Copies of each partition; 0 is what the brokers have as their default."`
}

// Validate refuses what no broker takes.
func (c *topicsCreateCommand) Validate() error {
	if c.Partitions < 1 || c.Replicas < 0 {
		return errors.New("--partitions takes 1 or more, --replicas 0 or more")
	}
	return nil
}

// Run creates the topics and reports each.
func (c *topicsCreateCommand) Run(ctx context.Context, in *Invocation) error {
	compiled, err := in.App.compile()
	if err != nil {
		return err
	}
	functions := withParts(compiled)
	d, err := in.openLog(ctx)
	if err != nil {
		return err
	}
	topics, err := createTopics(ctx, d.log, declaredSpecs(functions), topicDefaults{partitions: c.Partitions, replicas: c.Replicas})
	in.report(topics)
	if err == nil {
		topics, err = createOwnTopics(ctx, d.log, functions, c.Replicas)
		in.report(topics)
	}
	return closeAfter(err, d)
}

// report prints a line a topic.
func (in *Invocation) report(topics []createdTopic) {
	for _, topic := range topics {
		what := "exists"
		if topic.created {
			what = "created"
		}
		_, _ = fmt.Fprintf(in.Stdout, "%s: %s, %d partitions\n", topic.Name, what, topic.Partitions)
	}
}

// openLog opens the log alone, for commands that look at topics or fill them.
func (in *Invocation) openLog(ctx context.Context) (*drivers, error) {
	return in.openDrivers(ctx, false)
}

// openDrivers opens the log, and the store where it is needed, for commands that are of no use without what is in them.
func (in *Invocation) openDrivers(ctx context.Context, withStore bool) (*drivers, error) {
	if in.Settings.Embedded() && in.Settings.DataDir == "" {
		return nil, usagef("KAFKA_BROKERS is not set, and an embedded log without DATA_DIR is empty and gone at the end")
	}
	return in.App.open(ctx, &in.Settings, withStore)
}

type versionCommand struct{}

// libraryPath is this module's path, which an app's build information has as a dependency or as the program itself.
const libraryPath = "github.com/kappaflows/flows"

// Run prints the versions.
func (*versionCommand) Run(in *Invocation) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	library := info.Main.Version
	for _, module := range info.Deps {
		if module.Path == libraryPath {
			library = module.Version
		}
	}
	_, err := fmt.Fprintf(in.Stdout, "%s %s (flows %s, %s)\n", programName(), known(info.Main.Version), known(library), info.GoVersion)
	return err
}

func known(version string) string {
	if version == "" {
		return "(unknown version)"
	}
	return version
}
