// Command benchmark measures flows on a real Kafka broker and a real Postgres server, side by side with the same work done
// by other programs on the same services.
//
//	benchmark list      the parts that there are
//	benchmark measure   runs parts and keeps what came of them in a file
//	benchmark report    writes that file as Markdown with figures
//
// It starts the services itself unless KAFKA_BROKERS and POSTGRES_URL name some. Every figure is the median of several runs,
// the contenders taking turns, so that a machine whose speed drifts does not favour one of them. Each contender is a process
// of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// settings are what a measurement is of. A part changes some of them for itself.
type settings struct {
	Messages int    `json:"messages"`
	Keys     int    `json:"keys"`
	Shape    string `json:"distribution"`
	Size     int    `json:"size"`
	// Noise says that values are such that compression makes nothing of them.
	Noise      bool `json:"noise,omitempty"`
	Partitions int  `json:"partitions"`
	Runs       int  `json:"runs"`
	// Batch is the messages of a batch, and Cache the bytes of each partition's cache; 0 is the default.
	Batch int `json:"batch,omitempty"`
	Cache int `json:"cache,omitempty"`
	// BatchBytes and QueueBytes are the options of these names; 0 is the default.
	BatchBytes int `json:"batchBytes,omitempty"`
	QueueBytes int `json:"queueBytes,omitempty"`
	// MemoryLimit is the soft limit of a process of flows in bytes, GOMEMLIMIT; 0 is none.
	MemoryLimit int `json:"memoryLimit,omitempty"`
	// Rate is messages a second, for latency, and Seconds how long that is measured.
	Rate    int `json:"rate,omitempty"`
	Seconds int `json:"seconds,omitempty"`
	// States is how many rows the state table has before.
	States int `json:"states,omitempty"`
	// Functions is how many share the messages in one process.
	Functions int `json:"functions,omitempty"`
	// Idle is how many seconds an idle app is looked at.
	Idle int `json:"idle,omitempty"`

	how
}

// how is what of the settings changes nothing of what is measured.
type how struct {
	only, contenders, profile, results string
	resume                             bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmark:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	command := ""
	if len(arguments) > 0 {
		command, arguments = arguments[0], arguments[1:]
	}
	switch command {
	case "list":
		list()
		return nil
	case "measure":
		return measureCommand(ctx, arguments)
	case "report":
		return reportCommand(arguments)
	case taskCommand:
		return runTask(ctx, arguments)
	default:
		return errors.New("usage: benchmark list | measure [flags] | report [flags]; -h after a command lists its flags")
	}
}

func list() {
	for _, p := range parts {
		fmt.Printf("%-16s %s: %s\n", p.id, p.title, strings.Join(names(p.contenders), ", "))
	}
}

func measureCommand(ctx context.Context, arguments []string) (err error) {
	s := settings{Functions: 1}
	flags := flag.NewFlagSet("measure", flag.ExitOnError)
	flags.StringVar(&s.only, "only", "", "which parts, separated by commas; all unless set")
	flags.StringVar(&s.contenders, "contenders", "", "which contenders, separated by commas; all unless set. Results of some are not kept")
	flags.StringVar(&s.results, "results", "", "the file that keeps what came of whole parts; nothing is kept unless set")
	flags.BoolVar(&s.resume, "resume", false, "leave out parts of which the file has results of this commit and these settings")
	flags.IntVar(&s.Runs, "runs", 5, "runs of each contender; parts without a goal have fewer")
	flags.IntVar(&s.Messages, "messages", 3_000_000, "messages a run; some parts take a share of it")
	flags.IntVar(&s.Keys, "keys", 100_000, "distinct keys")
	flags.IntVar(&s.Size, "size", 100, "bytes of a value")
	flags.IntVar(&s.Partitions, "partitions", 4, "partitions of each topic")
	flags.IntVar(&s.Batch, "batch", 0, "messages of a batch of flows; 0 is the default")
	flags.IntVar(&s.BatchBytes, "batch-bytes", 0, "bytes of a batch of flows; 0 is the default")
	flags.IntVar(&s.QueueBytes, "queue-bytes", 0, "bytes that flows reads ahead for each partition; 0 is the default")
	flags.IntVar(&s.Cache, "cache", 0, "bytes of the cache that flows has for each partition; 0 is the default, or less for many states")
	flags.IntVar(&s.MemoryLimit, "memory-limit", 0, "GOMEMLIMIT of flows in bytes; 0 is none, but for many states")
	flags.IntVar(&s.Rate, "rate", 1000, "messages a second, for latency")
	flags.IntVar(&s.Seconds, "seconds", 15, "how long latency is measured, after a warm-up")
	flags.IntVar(&s.States, "states", 10_000_000, "rows of the large state table")
	flags.IntVar(&s.Idle, "idle", 60, "how many seconds an idle app is looked at")
	flags.StringVar(&s.profile, "cpuprofile", "", "write a CPU profile of the last run of flows to this file")
	_ = flags.Parse(arguments) // It ends the process by itself.
	chosen, err := chooseParts(s.only)
	if err != nil {
		return err
	}
	p, err := openPlace(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	for _, one := range chosen {
		began := time.Now()
		if err := p.measure(ctx, one, s); err != nil {
			return fmt.Errorf("%s: %w", one.id, err)
		}
		fmt.Printf("%s took %s\n\n", one.id, time.Since(began).Round(time.Second))
	}
	return nil
}

func chooseParts(only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	return choose(parts, only, func(p part) string { return p.id })
}

// choose returns those of some things that a list of names names, in the order of the list.
func choose[T any](all []T, list string, name func(T) string) (chosen []T, err error) {
next:
	for wanted := range strings.SplitSeq(list, ",") {
		for _, one := range all {
			if name(one) == wanted {
				chosen = append(chosen, one)
				continue next
			}
		}
		return nil, fmt.Errorf("there is no %q", wanted)
	}
	return chosen, nil
}
