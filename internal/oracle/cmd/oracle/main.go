// Command oracle judges what the word count example left in Kafka and Postgres: it prints how many outputs are lost,
// doubled, reordered and wrong, with the keys, and exits with status 1 when there are any, 2 when it can't judge.
//
//	KAFKA_BROKERS=... POSTGRES_URL=... oracle [-lines lines] [-words words] [-counts counts] [-table word_count]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/kappaflows/flows/internal/oracle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := judge(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

func judge(ctx context.Context, arguments []string) int {
	flags := flag.NewFlagSet("oracle", flag.ContinueOnError)
	lines := flags.String("lines", "lines", "topic of lines; empty to leave out the words that come from them")
	words := flags.String("words", "words", "topic of words")
	counts := flags.String("counts", "counts", "topic of the words' running counts")
	table := flags.String("table", "word_count", "table of the words' counts")
	if flags.Parse(arguments) != nil {
		return 2
	}
	o := oracle.Oracle{Brokers: strings.Split(os.Getenv("KAFKA_BROKERS"), ","), Database: os.Getenv("POSTGRES_URL")}
	clean := true
	if *lines != "" {
		report, err := o.Words(ctx, *lines, *words)
		if !tell(*words, report, err) {
			return 2
		}
		clean = report.Clean()
	}
	report, err := o.Counts(ctx, *words, *counts, *table)
	switch {
	case !tell(*counts, report, err):
		return 2
	case clean && report.Clean():
		return 0
	default:
		return 1
	}
}

func tell(topic string, report oracle.Report, err error) (ok bool) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		return false
	}
	fmt.Printf("%s: %v\n", topic, report)
	return true
}
