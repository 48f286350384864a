package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kappaflows/flows/internal/services/local"
)

// running is what is known of a service that up started: one entry of the file .services/up.json.
type running struct {
	Variable, Address, Dir string
	Pid                    int
	// Stop is the number of the signal that asks it to shut down cleanly.
	Stop int
}

// alive says whether the process is there and still the one that was started, not another that got its number since.
func (r running) alive() bool {
	output, err := exec.Command("ps", "-o", "args=", "-p", strconv.Itoa(r.Pid)).Output()
	return err == nil && strings.Contains(string(output), r.Dir)
}

// up starts what does not run yet and prints lines for a shell to evaluate.
func up(ctx context.Context) error {
	file, err := stateFile()
	if err != nil {
		return err
	}
	state, err := load(file)
	if err != nil {
		return err
	}
	for _, k := range kinds() {
		if state[k.name].alive() {
			continue
		}
		service, err := k.start(ctx, local.Config{Detached: true, Port: usualPort(k.usualPort)})
		if err != nil {
			return err
		}
		state[k.name] = running{
			Variable: k.variable, Address: service.Address, Dir: service.Dir, Pid: service.Pid(), Stop: int(service.StopSignal()),
		}
		if err := save(file, state); err != nil {
			return errors.Join(err, service.Remove())
		}
	}
	for _, k := range kinds() {
		fmt.Printf("export %s='%s'\n", k.variable, state[k.name].Address)
	}
	return nil
}

// down stops what up started and deletes its data.
func down() error {
	file, err := stateFile()
	if err != nil {
		return err
	}
	state, err := load(file)
	if err != nil {
		return err
	}
	for name, service := range state {
		if err := service.end(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (r running) end() error {
	if r.alive() {
		if err := syscall.Kill(r.Pid, syscall.Signal(r.Stop)); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(30 * time.Second); r.alive(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not stop", r.Pid)
		}
	}
	return os.RemoveAll(r.Dir)
}

// usualPort returns the port where people look for a service, or 0, any, where somebody else has it.
func usualPort(port int) int {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0
	}
	if err := listener.Close(); err != nil {
		return 0
	}
	return port
}

func stateFile() (string, error) {
	root, err := local.ModuleRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".services")
	return filepath.Join(dir, "up.json"), os.MkdirAll(dir, 0o755)
}

func load(file string) (map[string]running, error) {
	state := make(map[string]running)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return state, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return state, nil
}

func save(file string, state map[string]running) error {
	text, err := json.MarshalIndent(state, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}
