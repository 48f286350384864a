package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// streamsVersion names the folder of the jars; see streams/pom.xml.
const streamsVersion = "kafka-streams-4.1.0"

// Guarantees of Kafka Streams.
const (
	streamsExactlyOnce = "exactly_once_v2"
	streamsAtLeastOnce = "at_least_once"
)

// runStreams returns the work done by Kafka Streams: 2 threads, RocksDB, no cache, with the jars that Maven fetches.
func runStreams(work, guarantee string) func(context.Context, *place, int) (result, error) {
	return func(ctx context.Context, p *place, run int) (result, error) {
		return p.streamsRun(ctx, work, guarantee, run, p.input)
	}
}

// streamsRun runs the program over its inputs until it has handled all messages.
func (p *place) streamsRun(ctx context.Context, work, guarantee string, run int, inputs ...string) (result, error) {
	output := p.name("streams-"+work+"-"+guarantee, run)
	if err := p.create(ctx, output); err != nil {
		return result{}, err
	}
	command, end, err := p.streams(ctx, work, guarantee, output, p.settings.messages, inputs...)
	if err != nil {
		return result{}, err
	}
	defer end()
	printed, err := command.Output()
	if err != nil {
		return result{}, err
	}
	return streamsResult(p.settings.messages, string(printed), command.ProcessState)
}

// streams returns the program, not started, and what deletes its files.
func (p *place) streams(ctx context.Context, work, guarantee, output string, messages int, inputs ...string) (*exec.Cmd, func(), error) {
	jars, err := streamsJars(ctx)
	if err != nil {
		return nil, nil, err
	}
	states, err := os.MkdirTemp("", "streams")
	if err != nil {
		return nil, nil, err
	}
	arguments := []string{
		"-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(jars, "*"), filepath.Join("streams", "Streams.java"),
		work, strings.Join(p.brokers, ","), output, guarantee, states, strconv.Itoa(messages), output,
	}
	command := exec.CommandContext(ctx, "java", append(arguments, inputs...)...)
	command.Stderr = os.Stderr
	return command, func() { _ = os.RemoveAll(states) }, nil
}

func streamsResult(messages int, output string, state *os.ProcessState) (result, error) {
	_, figure, found := strings.Cut(output, "took ")
	nanoseconds, err := strconv.ParseInt(strings.TrimSpace(figure), 10, 64)
	if !found || err != nil {
		return result{}, fmt.Errorf("no figure in %q", output)
	}
	usage, _ := state.SysUsage().(*syscall.Rusage)
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return result{messages: messages, took: time.Duration(nanoseconds), cpu: cpu}, nil
}

// streamsJars returns the folder of the jars, fetched on first use.
func streamsJars(ctx context.Context) (string, error) {
	folder, err := filepath.Abs(filepath.Join("..", ".services", streamsVersion))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	fetch := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", "streams/pom.xml", "dependency:copy-dependencies", "-DoutputDirectory="+folder)
	if output, err := fetch.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch Kafka Streams: %w: %s", err, output)
	}
	return folder, nil
}
