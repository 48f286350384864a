// Command containers runs a command with a Kafka broker and a Postgres server in Docker containers, named to it by
// KAFKA_BROKERS and POSTGRES_URL, and removes the containers when the command is done.
//
//	go run -C test/containers . -- make test
//
// The command runs in the root of the flows module unless -dir says otherwise. A service that one of the variables
// names already is used as it is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/testcontainers/testcontainers-go"
)

func main() {
	dir := flag.String("dir", "../..", "folder in which the command runs")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: containers [-dir folder] -- command [argument ...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *dir, flag.Args())
	stop()
	if exit, is := errors.AsType[*exec.ExitError](err); is && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode()) // The command has said what is wrong.
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "containers:", err)
		os.Exit(1)
	}
}

// service is what can be started in a container, and the variable that names it.
type service struct {
	variable string
	start    func(context.Context) (container testcontainers.Container, address string, err error)
}

// run starts what the environment does not name, runs the command and removes what was started.
func run(ctx context.Context, dir string, arguments []string) (err error) {
	environment := os.Environ()
	for _, s := range []service{{"KAFKA_BROKERS", startKafka}, {"POSTGRES_URL", startPostgres}} {
		if os.Getenv(s.variable) != "" {
			continue
		}
		container, address, startErr := s.start(ctx)
		if container != nil {
			defer func() { err = errors.Join(err, testcontainers.TerminateContainer(container)) }()
		}
		if startErr != nil {
			return fmt.Errorf("%s: %w", s.variable, startErr)
		}
		environment = append(environment, s.variable+"="+address)
	}
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	command.Dir, command.Env = dir, environment
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 20 * time.Second
	return command.Run()
}
