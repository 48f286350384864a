package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"golang.org/x/term"
)

// shownWords is how many of the words are shown.
const shownWords = 20

// report prints the most frequent words. The counts are states in a plain table, so the database can say.
func report(ctx context.Context, db *bun.DB, out io.Writer) error {
	number := "cast(cast(state as text) as integer)"
	if db.Dialect().Name() == dialect.PG {
		number = "convert_from(state, 'UTF8')::bigint"
	}
	rows, err := db.QueryContext(ctx, "select key, "+number+" as n from word_count order by n desc, key limit ?", shownWords)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	_, _ = fmt.Fprintf(out, "\nThe %d most frequent words:\n", shownWords)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for rows.Next() {
		var word string
		var n int64
		if err := rows.Scan(&word, &n); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\n", n, "  "+word)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return table.Flush()
}

// progress shows how far the counting is.
type progress interface {
	show(counted, total int64)
	finish()
}

func newProgress(out io.Writer) progress {
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return &bar{progressbar.NewOptions64(1,
			progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("words"), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionThrottle(watchInterval), progressbar.OptionClearOnFinish())}
	}
	return &plain{out: out, next: time.Now().Add(plainInterval)}
}

// bar shows progress on a terminal.
type bar struct{ bar *progressbar.ProgressBar }

func (b *bar) show(counted, total int64) {
	// One more than there is, so that the bar is not done before the counting is.
	b.bar.ChangeMax64(total + 1)
	_ = b.bar.Set64(min(counted, total)) // it is only for show
}

func (b *bar) finish() { _ = b.bar.Finish() }

// plain shows progress as lines.
type plain struct {
	out  io.Writer
	next time.Time
}

const plainInterval = time.Second

func (p *plain) show(counted, total int64) {
	if now := time.Now(); !now.Before(p.next) {
		p.next = now.Add(plainInterval)
		_, _ = fmt.Fprintf(p.out, "%d of %d words counted\n", counted, total)
	}
}

func (p *plain) finish() {}
