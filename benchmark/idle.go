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
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/runtime"
)

// idleLines is how many lines an app counts before it is idle, and quiet how long it is left alone before it is looked at.
const (
	idleLines = 10_000
	quiet     = 10 * time.Second
)

// runIdle looks at the word count of the examples, whole, when it has nothing more to do.
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
	if f, err = p.startIdle(ctx, program, env, url, s); err != nil {
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

// startIdle runs the app for as long as it is looked at.
func (p *place) startIdle(ctx context.Context, program string, env []string, url string, s settings) (f figures, err error) {
	app := exec.CommandContext(ctx, program, "run")
	var said strings.Builder
	app.Env, app.Stderr = env, &said
	if err := app.Start(); err != nil {
		return nil, err
	}
	f, err = p.watchIdle(ctx, app.Process.Pid, url, time.Duration(s.Idle)*time.Second)
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said.String())
	}
	_ = app.Process.Signal(syscall.SIGTERM)
	return f, errors.Join(err, app.Wait())
}

// watchIdle gives the app something to do, waits until it has done it, and then looks at what it uses.
func (p *place) watchIdle(ctx context.Context, pid int, url string, length time.Duration) (figures, error) {
	for i := range idleLines {
		line := fmt.Appendf(nil, "a line with words, number-%d of them", i%1000)
		p.client.Produce(ctx, &kgo.Record{Topic: "lines", Key: line, Value: line}, nil)
	}
	if err := p.client.Flush(ctx); err != nil {
		return nil, err
	}
	if err := awaitWord(ctx, url, "line", idleLines); err != nil {
		return nil, err
	}
	if !runtime.Sleep(ctx, runtime.WallClock, quiet) {
		return nil, ctx.Err()
	}
	app, err := process.NewProcess(int32(pid))
	if err != nil {
		return nil, err
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
	used, err := app.MemoryInfo()
	if err != nil {
		return nil, err
	}
	return figures{
		busy:     (after.User + after.System - before.User - before.System) / time.Since(began).Seconds() * 100,
		resident: float64(used.RSS) / 1e6, memory: float64(used.HWM) / 1e6,
	}, nil
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
