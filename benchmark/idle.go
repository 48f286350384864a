package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shirou/gopsutil/v4/process"

	"github.com/kappaflows/flows/runtime"
)

// idleLines is how many lines an app counts, and quiet how long it is left alone before it is looked at.
const (
	idleLines = 10_000
	quiet     = 10 * time.Second
)

// runIdle looks at the word count of the examples, whole, when it has nothing to do.
func runIdle(ctx context.Context, p *place, s settings) (f figures, err error) {
	folder, err := os.MkdirTemp("", "idle")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	program := filepath.Join(folder, "wordcount")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./example/wordcount")
	build.Dir = ".."
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, output)
	}
	url, drop, err := p.database(ctx)
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), "KAFKA_BROKERS="+strings.Join(p.brokers, ","), "POSTGRES_URL="+url, "HTTP_ADDR=127.0.0.1:0")
	create := exec.CommandContext(ctx, program, "topics", "create", fmt.Sprint("--partitions=", s.Partitions))
	create.Env = env
	if output, err := create.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, output)
	}
	app := &idleApp{program: program, env: env, url: url}
	if f, err = app.run(ctx, folder, time.Duration(s.Idle)*time.Second); err != nil {
		return nil, err
	}
	if _, err := p.admin.DeleteTopics(ctx, "lines", "words", "counts", "split.dead-letter", "count.dead-letter"); err != nil {
		return nil, err
	}
	if _, err := p.admin.DeleteGroups(ctx, "split", "count"); err != nil {
		return nil, err
	}
	return f, drop()
}

// idleApp is an app that has nothing to do.
type idleApp struct {
	program, url string
	env          []string
}

// run runs the app for as long as it is looked at: with nothing to do, and after it has had something.
func (a *idleApp) run(ctx context.Context, folder string, length time.Duration) (f figures, err error) {
	command := exec.CommandContext(ctx, a.program, "run")
	var said strings.Builder
	command.Env, command.Stderr = a.env, &said
	if err := command.Start(); err != nil {
		return nil, err
	}
	app, err := process.NewProcess(int32(command.Process.Pid))
	if err == nil {
		f, err = a.watch(ctx, app, length)
	}
	if err == nil {
		f[afterWork], err = a.work(ctx, app, filepath.Join(folder, "lines"))
	}
	_ = command.Process.Signal(syscall.SIGTERM)
	if err = errors.Join(err, command.Wait()); err != nil {
		return nil, fmt.Errorf("%w: %s", err, said.String())
	}
	return f, nil
}

// watch looks at what the app uses when it has never had anything to do.
func (a *idleApp) watch(ctx context.Context, app *process.Process, length time.Duration) (figures, error) {
	if !runtime.Sleep(ctx, runtime.WallClock, quiet) {
		return nil, ctx.Err()
	}
	before, err := app.Times()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if !runtime.Sleep(ctx, runtime.WallClock, length) {
		return nil, ctx.Err()
	}
	after, err := app.Times()
	if err != nil {
		return nil, err
	}
	used := after.User + after.System - before.User - before.System
	f := figures{busy: used / time.Since(began).Seconds() * 100}
	f[resident], err = residentMemory(app)
	return f, err
}

// work gives the app something to do, and returns its memory some time after it has done it.
func (a *idleApp) work(ctx context.Context, app *process.Process, file string) (float64, error) {
	if err := os.WriteFile(file, []byte(strings.Repeat("a line with words, a number of them\n", idleLines)), 0o600); err != nil {
		return 0, err
	}
	produce := exec.CommandContext(ctx, a.program, "produce", "lines", file)
	produce.Env = a.env
	if output, err := produce.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, output)
	}
	if err := awaitWord(ctx, a.url, "line", idleLines); err != nil {
		return 0, err
	}
	if !runtime.Sleep(ctx, runtime.WallClock, quiet) {
		return 0, ctx.Err()
	}
	return residentMemory(app)
}

func residentMemory(app *process.Process) (megabytes float64, err error) {
	used, err := app.MemoryInfo()
	if err != nil {
		return 0, err
	}
	return float64(used.RSS) / 1e6, nil
}

// awaitWord waits until a word has been counted so often.
func awaitWord(ctx context.Context, url, word string, n int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var counted int
		err := conn.QueryRow(ctx, `select coalesce(max(convert_from(state, 'UTF8')::bigint), 0) from word_count where key = $1`, word).Scan(&counted)
		if err == nil && counted >= n {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("%q is counted %d times, not %d", word, counted, n), err)
		}
	}
}
