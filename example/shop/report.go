package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/uptrace/bun"
)

// questions are what people ask the tables, in SQL that SQLite and Postgres understand alike.
var questions = []struct{ title, query string }{
	{"How far are the orders?", `
select status, count(*) as orders, sum(cents) as cents
from orders
group by status
order by status`},
	{"What sells best?", `
select product, sum(quantity) as pieces, sum(quantity * cents) as cents
from order_lines
group by product
order by cents desc
limit 5`},
	{"Which parcels are on their way and not paid for?", `
select id, customer, cents, carrier
from orders
where status = 'shipped'
order by cents desc, id
limit 5`},
	{"What is left in the stock?", `
select key as product, state->>'pieces' as pieces, state->>'sold' as sold
from stock
order by key`},
}

// report asks the questions and prints the answers.
func report(ctx context.Context, db *bun.DB, out io.Writer) error {
	for _, question := range questions {
		_, _ = fmt.Fprintf(out, "\n%s\n\n", question.title)
		if err := answer(ctx, db, question.query, out); err != nil {
			return fmt.Errorf("%s %w", question.title, err)
		}
	}
	return nil
}

// answer prints what a query finds, in columns.
func answer(ctx context.Context, db *bun.DB, query string, out io.Writer) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, strings.Join(columns, "\t"))
	cells := make([]sql.NullString, len(columns))
	targets := make([]any, len(columns))
	for i := range cells {
		targets[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		texts := make([]string, len(cells))
		for i, cell := range cells {
			texts[i] = cell.String
		}
		_, _ = fmt.Fprintln(table, strings.Join(texts, "\t"))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return table.Flush()
}
