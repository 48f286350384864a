package flows

import (
	"context"
	"fmt"
	"strings"
)

type migrateCommand struct {
	Functions []string `arg:"" optional:"" name:"function" help:"Names of the functions to prepare; without one, all."`
}

// Help is shown by migrate --help.
func (*migrateCommand) Help() string {
	return `Creates the tables of the functions that are missing, checks the others, and creates the topics of the functions' own, with the rights of whoever calls it. Then run, which would do the same, finds nothing to do and needs no right to. What is already right stays as it is.`
}

// Run makes tables and topics and reports them.
func (c *migrateCommand) Run(ctx context.Context, in *Invocation) error {
	compiled, err := in.App.compile()
	if err != nil {
		return err
	}
	functions, err := choose(compiled, c.Functions)
	if err != nil {
		return err
	}
	d, err := in.openDrivers(ctx, needStore(functions))
	if err != nil {
		return err
	}
	if err := d.migrate(ctx, functions); err != nil {
		return closeAfter(err, d)
	}
	var tables []string
	for _, table := range tablesOf(functions) {
		tables = append(tables, table.Name)
	}
	for _, table := range rowTables(functions) {
		tables = append(tables, rowTableName(table))
	}
	_, _ = fmt.Fprintf(in.Stdout, "tables: %s\n", listed([]string{strings.Join(tables, ", ")}))
	if err := requireTopics(ctx, d.log, declaredSpecs(functions)); err != nil {
		return closeAfter(err, d)
	}
	topics, err := createOwnTopics(ctx, d.log, functions, 0)
	in.report(topics)
	return closeAfter(err, d)
}
