package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kappaflows/flows/internal/folder"
)

// Config says how a service is run. The zero value is a service of its own that ends with this process.
type Config struct {
	// Settings are further lines of the service's configuration file; the last of one name wins.
	Settings []string
	// Port is the one to listen on; 0 chooses a free one.
	Port int
	// Listeners are those that a broker has beside PLAINTEXT, each on a free port: protocols such as SASL_SSL by the name
	// of the listener. What else they need is in Settings.
	Listeners map[string]string
	// Advertised is where clients of a broker are told to come, as host:port; empty is where it listens.
	Advertised string
	// Detached lets the service live on when this process ends.
	Detached bool
}

// Service is one service and its folder. Its methods are not for use by several goroutines at once.
type Service struct {
	// Dir holds configuration, data and the file "log", which is what the service printed.
	Dir string
	// Address is where clients connect to: host:port of a broker, the URL of a database.
	Address string
	// Listeners are the addresses of a broker's further listeners by name.
	Listeners map[string]string

	name    string
	config  Config
	folder  *folder.Folder
	program []string
	user    *syscall.Credential
	env     []string
	// ready reports nil once the service answers its clients.
	ready func(context.Context) error
	// stopSignal asks for a clean shutdown, deathSignal is what the kernel sends when this process ends.
	stopSignal, deathSignal syscall.Signal

	command *exec.Cmd
}

// How long a service may take to start and to stop cleanly. A cold machine with two busy cores is slow.
const (
	startTimeout = 90 * time.Second
	stopTimeout  = 90 * time.Second
)

// Pid returns the id of the service's process, 0 where it does not run.
func (s *Service) Pid() int {
	if s.command == nil {
		return 0
	}
	return s.command.Process.Pid
}

// StopSignal is what asks the service's process for a clean shutdown.
func (s *Service) StopSignal() syscall.Signal { return s.stopSignal }

// Start starts the service, again where it ran before, and returns when it answers.
func (s *Service) Start(ctx context.Context) error {
	if s.command != nil {
		return fmt.Errorf("%s runs already", s.name)
	}
	output, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	defer output.Close()

	command := exec.Command(s.program[0], s.program[1:]...)
	command.Dir = s.Dir
	command.Env = s.env
	// Files, not pipes: a service that outlives a test must not keep the go command waiting for its output.
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = attributes(s.user, s.deathSignal, s.config.Detached)
	if err := command.Start(); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.command = command
	if err := s.awaitReady(ctx); err != nil {
		s.Kill()
		return err
	}
	return nil
}

// awaitReady asks the service until it answers, its process ends or the time is over.
func (s *Service) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		attempt, done := context.WithTimeout(ctx, 2*time.Second)
		err := s.ready(attempt)
		done()
		if err == nil {
			return nil
		}
		if exited(s.Pid()) {
			return fmt.Errorf("%s ended while starting: %s", s.name, s.lastWords())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w: %s", s.name, err, s.lastWords())
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// Stop shuts the service down cleanly and waits until it is gone. A service that does not run is no error; one that
// does not go in time is killed, and that is one.
func (s *Service) Stop() error { return s.endBy(s.stopSignal) }

// Quit ends the service by the signal that the kernel sends when this process ends, and waits until it is gone: a
// Postgres server shuts down immediately, without tidying up, and a broker is killed.
func (s *Service) Quit() error { return s.endBy(s.deathSignal) }

func (s *Service) endBy(signal syscall.Signal) error {
	if s.command == nil {
		return nil
	}
	orphans := children(s.Pid())
	if err := s.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	for deadline := time.Now().Add(stopTimeout); !exited(s.Pid()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("%s did not stop within %v and was killed: %s", s.name, stopTimeout, s.lastWords())
		}
	}
	s.reap()
	awaitEnd(orphans)
	return nil
}

// Kill ends all processes of the service at once, as a crash does, and waits until they are gone.
func (s *Service) Kill() {
	if s.command == nil {
		return
	}
	// Stopped first, it can't start another child between the look at its children and its end.
	s.command.Process.Signal(syscall.SIGSTOP) //nolint:errcheck // One that has ended is what is wanted.
	orphans := children(s.Pid())
	for _, pid := range orphans {
		syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // Likewise.
	}
	s.command.Process.Kill() //nolint:errcheck // Likewise.
	s.reap()
	awaitEnd(orphans)
}

// awaitEnd waits until processes are gone: a server does not start while a child of its former self has its memory.
func awaitEnd(pids []int) {
	for deadline := time.Now().Add(stopTimeout); slices.ContainsFunc(pids, alive) && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
}

// Pause freezes the service: it stays connected and answers nothing.
func (s *Service) Pause() error { return s.signalAll(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *Service) Continue() error { return s.signalAll(syscall.SIGCONT) }

// Remove ends the service and deletes its folder.
func (s *Service) Remove() error {
	s.Kill()
	if s.folder == nil {
		return os.RemoveAll(s.Dir)
	}
	return s.folder.Close()
}

func (s *Service) signalAll(signal syscall.Signal) error {
	if s.command == nil {
		return fmt.Errorf("%s does not run", s.name)
	}
	if err := s.command.Process.Signal(signal); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	for _, pid := range children(s.Pid()) {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// reap takes the exit status, which says nothing that is not known, so that no zombie stays.
func (s *Service) reap() {
	s.command.Wait() //nolint:errcheck // Killed and stopped processes have an exit status that looks like an error.
	s.command = nil
}

// lastWords returns the end of what the service printed, on one line.
func (s *Service) lastWords() string {
	text, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}
