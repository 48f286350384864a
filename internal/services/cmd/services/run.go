package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kappaflows/flows/internal/services/local"
)

// kind is a service that can be started here, and the variable that tells programs where it is.
type kind struct {
	name, variable string
	usualPort      int
	start          func(context.Context, local.Config) (*local.Service, error)
	// settings spare the disk where data need not outlive the machine.
	settings []string
}

func kinds() []kind {
	return []kind{
		{name: "kafka", variable: "KAFKA_BROKERS", usualPort: 9092, start: local.StartKafka},
		{
			name: "postgres", variable: "POSTGRES_URL", usualPort: 5432, start: local.StartPostgres,
			settings: []string{"fsync = off", "full_page_writes = off"},
		},
	}
}

// run starts what the environment does not name yet, runs a command and ends what was started.
func run(ctx context.Context, arguments []string) (err error) {
	environment := os.Environ()
	var started []*local.Service
	defer func() {
		for _, service := range started {
			err = errors.Join(err, service.Remove())
		}
	}()
	for _, k := range kinds() {
		if os.Getenv(k.variable) != "" {
			continue
		}
		service, err := k.start(ctx, local.Config{Settings: k.settings})
		switch {
		case err == nil:
			started = append(started, service)
			environment = append(environment, k.variable+"="+service.Address)
		case !errors.Is(err, local.ErrMissing):
			return err
		case dockerAnswers(ctx):
			fmt.Fprintf(os.Stderr, "services: %s: %v; using containers\n", k.name, err)
			return runInContainers(ctx, environment, arguments)
		case os.Getenv("CI") == "true":
			return fmt.Errorf("%s: %w", k.name, err)
		default:
			fmt.Fprintf(os.Stderr, "services: %v: tests that need %s are skipped\n", err, k.name)
		}
	}
	return execute(ctx, environment, "", arguments)
}

// execute runs a command in the foreground. An interrupt is passed on, and the command gets time to clean up.
func execute(ctx context.Context, environment []string, dir string, arguments []string) error {
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	command.Env, command.Dir = environment, dir
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 20 * time.Second
	return command.Run()
}

func dockerAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "version").Run() == nil
}

// runInContainers leaves the starting to a module of its own, so that this one does not depend on a container library.
// Services that are started already are named in the environment and used.
func runInContainers(ctx context.Context, environment, arguments []string) error {
	root, err := local.ModuleRoot()
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	arguments = append([]string{"go", "run", ".", "-dir", here, "--"}, arguments...)
	return execute(ctx, environment, filepath.Join(root, "test", "containers"), arguments)
}
