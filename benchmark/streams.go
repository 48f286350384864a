package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// streamsVersion names the folder of the jars; see streams/pom.xml.
const streamsVersion = "kafka-streams-4.1.0"

// Guarantees of Kafka Streams.
const (
	streamsExactlyOnce = "exactly_once_v2"
	streamsAtLeastOnce = "at_least_once"
)

// streamsTask is what Kafka Streams is to do.
type streamsTask struct {
	work, guarantee string
	inputs          []string
	output          string
	messages        int
	// linger and commit are linger.ms and commit.interval.ms; a commit of 0 is the default.
	linger, commit int
}

// throughputLinger is how long its producer waits for more of a batch where only the rate counts, in milliseconds.
const throughputLinger = 20

// runStreams returns the work done by Kafka Streams: 2 threads, RocksDB, no cache, with the jars that Maven fetches.
func runStreams(work, guarantee string) func(context.Context, *place, settings) (figures, error) {
	return func(ctx context.Context, p *place, s settings) (figures, error) {
		in, err := p.input(ctx, s)
		if err != nil {
			return nil, err
		}
		return p.streamsRun(ctx, s, streamsTask{work: work, guarantee: guarantee, inputs: []string{in}})
	}
}

// streamsRun runs the program over its inputs until it has handled all messages.
func (p *place) streamsRun(ctx context.Context, s settings, t streamsTask) (figures, error) {
	var err error
	if t.output, err = p.create(ctx, s, "streams-"+t.work); err != nil {
		return nil, err
	}
	t.messages, t.linger = s.Messages, throughputLinger
	command, end, err := p.streams(ctx, t)
	if err != nil {
		return nil, err
	}
	defer end()
	printed, err := command.Output()
	if err != nil {
		return nil, err
	}
	_, figure, found := strings.Cut(string(printed), "took ")
	nanoseconds, err := strconv.ParseInt(strings.TrimSpace(figure), 10, 64)
	if !found || err != nil {
		return nil, fmt.Errorf("no figure in %q", printed)
	}
	return figuresOf(s.Messages, time.Duration(nanoseconds), command.ProcessState), p.tidy(ctx)
}

// streams returns the program, not started, and what deletes its files.
func (p *place) streams(ctx context.Context, t streamsTask) (*exec.Cmd, func(), error) {
	if p.classes == "" {
		var err error
		if p.classes, err = streamsClasses(ctx); err != nil {
			return nil, nil, err
		}
	}
	states, err := os.MkdirTemp("", "streams")
	if err != nil {
		return nil, nil, err
	}
	arguments := []string{"-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-Dlinger=" + strconv.Itoa(t.linger)}
	if t.commit > 0 {
		arguments = append(arguments, "-Dcommit="+strconv.Itoa(t.commit))
	}
	arguments = append(arguments, "-cp", p.classes, "Streams", t.work, strings.Join(p.brokers, ","), t.output, t.guarantee, states,
		strconv.Itoa(t.messages), t.output)
	command := exec.CommandContext(ctx, "java", append(arguments, t.inputs...)...)
	command.Stderr = os.Stderr
	return command, func() { _ = os.RemoveAll(states) }, nil
}

// streamsClasses returns the path of the compiled program and its jars, which are fetched on first use.
func streamsClasses(ctx context.Context) (string, error) {
	jars, err := filepath.Abs(filepath.Join("..", ".services", streamsVersion))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(jars); err != nil {
		fetch := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", "streams/pom.xml", "dependency:copy-dependencies", "-DoutputDirectory="+jars)
		if output, err := fetch.CombinedOutput(); err != nil {
			return "", fmt.Errorf("fetch Kafka Streams: %w: %s", errors.Join(err, os.RemoveAll(jars)), output)
		}
	}
	found, err := filepath.Glob(filepath.Join(jars, "*.jar"))
	if err != nil {
		return "", err
	}
	path, classes := strings.Join(found, string(os.PathListSeparator)), filepath.Join(jars, "classes")
	// Compiled before, or compiling would count as the program's CPU.
	compiler := exec.CommandContext(ctx, "java", "-m", "jdk.compiler/com.sun.tools.javac.Main", "-cp", path, "-d", classes, filepath.Join("streams", "Streams.java"))
	if output, err := compiler.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile Streams.java: %w: %.1000s", err, output)
	}
	return path + string(os.PathListSeparator) + classes, nil
}
