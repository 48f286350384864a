package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// program is a contender in a process of its own.
type program struct {
	command *exec.Cmd
	input   io.Closer
	output  io.Reader
	events  *json.Decoder
	errors  *strings.Builder
}

// start starts a process of this program that does a task.
func (p *place) start(ctx context.Context, t task) (*program, error) {
	t.Brokers = p.brokers
	data, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	g := &program{command: exec.CommandContext(ctx, self, taskCommand, string(data)), errors: &strings.Builder{}}
	g.command.Stderr = g.errors
	if t.Settings.MemoryLimit > 0 {
		g.command.Env = append(os.Environ(), fmt.Sprint("GOMEMLIMIT=", t.Settings.MemoryLimit))
	}
	if g.input, err = g.command.StdinPipe(); err != nil {
		return nil, err
	}
	if g.output, err = g.command.StdoutPipe(); err != nil {
		return nil, err
	}
	g.events = json.NewDecoder(g.output)
	return g, g.command.Start()
}

// await waits for an event and returns those before it, too, it being the last.
func (g *program) await(what string) (before []event, e event, err error) {
	for {
		if err := g.events.Decode(&e); err != nil {
			return nil, e, fmt.Errorf("the program ended: %w", errors.Join(err, g.end()))
		}
		if e.What == what {
			return before, e, nil
		}
		before = append(before, e)
		e = event{}
	}
}

// end asks the program to end and waits for it.
func (g *program) end() error {
	_ = g.input.Close()
	_, _ = io.Copy(io.Discard, g.output)
	if err := g.command.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(g.errors.String()))
	}
	return nil
}

// kill ends the program as a crash does.
func (g *program) kill() {
	_ = g.command.Process.Kill()
	_ = g.command.Wait() // It says that it was killed.
}

// usage is what a process that ended has used: CPU, and its peak of memory.
func usage(state *os.ProcessState) (used time.Duration, peak int64) {
	used = state.UserTime() + state.SystemTime()
	if resources, ok := state.SysUsage().(*syscall.Rusage); ok {
		peak = resources.Maxrss << 10
	}
	return used, peak
}

// figuresOf are the figures of a process that handled some messages and ended.
func figuresOf(messages int, took time.Duration, state *os.ProcessState) figures {
	used, peak := usage(state)
	return figures{
		rate: float64(messages) / took.Seconds(), cpu: used.Seconds() * 1e6 / float64(messages), memory: float64(peak) / 1e6,
	}
}

// work runs a task to its end.
func (p *place) work(ctx context.Context, t task) (f figures, err error) {
	g, err := p.start(ctx, t)
	if err != nil {
		return nil, err
	}
	_, finished, err := g.await(done)
	if err != nil {
		return nil, err
	}
	if err := g.end(); err != nil {
		return nil, err
	}
	f = figuresOf(t.Settings.Messages, finished.Took, g.command.ProcessState)
	maps.Copy(f, finished.Figures)
	return f, p.tidy(ctx)
}

// connections counts this process's connections to a port.
func connections(port uint16) (n float64) {
	self, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		return 0
	}
	open, err := self.Connections()
	if err != nil {
		return 0
	}
	for _, c := range open {
		if c.Raddr.Port == uint32(port) {
			n++
		}
	}
	return n
}
