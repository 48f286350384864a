// Command services starts a real Kafka broker and a real Postgres server on this machine.
//
//	services up              starts both and prints what to export; they run until "services down"
//	services down            stops what "services up" started and deletes its data
//	services run -- COMMAND  runs a command with both, and stops them when it is done
//
// A service that KAFKA_BROKERS or POSTGRES_URL names already is used as it is. Where this machine can't run one and
// Docker answers, run takes containers; without Docker it says what is missing and runs the command all the same, except
// with CI=true, where that is an error.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

const usage = "usage: services up | down | run -- command [argument ...]"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode()) // The command has said what is wrong.
	default:
		fmt.Fprintln(os.Stderr, "services:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New(usage)

func dispatch(ctx context.Context, arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "up":
		return up(ctx)
	case len(arguments) == 1 && arguments[0] == "down":
		return down()
	case len(arguments) > 2 && arguments[0] == "run" && arguments[1] == "--":
		return run(ctx, arguments[2:])
	}
	return errUsage
}
