// Command oracle judges what an example program left in Kafka and Postgres: it prints how many outputs are lost, doubled,
// reordered and wrong, with the keys, and exits with status 1 when there are any, 2 when it can't judge, or has nothing to.
//
//	KAFKA_BROKERS=... POSTGRES_URL=... oracle [wordcount | enrich | table | shop]
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/kappaflows/flows/internal/oracle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := judge(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

func judge(ctx context.Context, arguments []string) (status int) {
	name := "wordcount"
	if len(arguments) > 0 {
		name = arguments[0]
	}
	program := oracle.Programs[name]
	if program == nil || len(arguments) > 1 {
		fmt.Fprintln(os.Stderr, "usage: oracle [wordcount | enrich | table | shop]")
		return 2
	}
	o := oracle.Oracle{Brokers: strings.Split(os.Getenv("KAFKA_BROKERS"), ","), Database: os.Getenv("POSTGRES_URL")}
	reports, err := program(o, ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		return 2
	}
	for _, of := range slices.Sorted(maps.Keys(reports)) {
		fmt.Printf("%s: %v\n", of, reports[of])
		switch {
		case !reports[of].Clean():
			status = 1
		case reports[of].Inputs == 0 && status == 0:
			fmt.Fprintf(os.Stderr, "oracle: %s: nothing came in\n", of)
			status = 2
		}
	}
	return status
}
