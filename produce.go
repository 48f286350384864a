package flows

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/producer"
	"github.com/kappaflows/flows/topic"
)

type produceCommand struct {
	Topic        string   `arg:"" help:"Topic to append to."`
	Files        []string `arg:"" optional:"" name:"file" help:"Files to read; without one, or as '-', the standard input."`
	KeySeparator string   `placeholder:"TEXT" xor:"key" help:"What stands between the key and the value on each line, such as '\\t'. Without it lines have no key."`
	Key          *string  `placeholder:"TEXT" xor:"key" help:"Key of every line."`
	Rate         float64  `placeholder:"N" help:"Most lines a second; without it, as many as possible."`
}

// Help is shown by produce --help.
func (*produceCommand) Help() string {
	return `Each line becomes one message, as the bytes that it has. Lines with a key go to the partition that the functions put the key on; lines without one are spread.`
}

// Validate refuses a rate that makes no sense.
func (c *produceCommand) Validate() error {
	if c.Rate < 0 {
		return errors.New("--rate takes a number above 0")
	}
	return nil
}

// Run appends the lines and reports how many.
func (c *produceCommand) Run(ctx context.Context, in *Invocation) error {
	spec, err := in.App.topic(c.Topic, declaredSpecs)
	if err != nil {
		return err
	}
	separator := unescape(c.KeySeparator)
	d, err := in.openLog(ctx)
	if err != nil {
		return err
	}
	return closeAfter(c.produce(ctx, in, d, spec, separator), d)
}

func (c *produceCommand) produce(ctx context.Context, in *Invocation, d *drivers, spec *topic.Spec, separator []byte) error {
	if in.Settings.Embedded() {
		if _, err := createTopics(ctx, d.log, []*topic.Spec{spec}, topicDefaults{partitions: embeddedPartitions}); err != nil {
			return err
		}
	}
	if err := requireTopics(ctx, d.log, []*topic.Spec{spec}); err != nil {
		return err
	}
	p, err := producer.New(ctx, producer.Config{Log: d.log, Logger: in.Logger})
	if err != nil {
		return err
	}
	defer p.Close()
	lines := &lineProducer{producer: p, spec: spec, separator: separator, pace: newPace(c.Rate)}
	if c.Key != nil {
		lines.key = []byte(*c.Key)
	}
	err = lines.files(ctx, c.Files, in.Stdin)
	// What was read is appended, even where reading has failed or was told to stop.
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if flushing := p.Flush(flush); err == nil {
		err = flushing
	}
	_, _ = fmt.Fprintf(in.Stdout, "%d messages appended to %s\n", p.Sent(), spec.Name)
	return err
}

// flushTimeout bounds how long the end of produce waits for the broker.
const flushTimeout = 5 * time.Second

// topic returns the topic of a name, of those that specs takes of the app's functions.
func (a *App) topic(name string, specs func([]*runtime.Function) []*topic.Spec) (*topic.Spec, error) {
	functions, err := a.compile()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, spec := range specs(withParts(functions)) {
		if spec.Name == name {
			return spec, nil
		}
		names = append(names, spec.Name)
	}
	return nil, usagef("no function uses a topic %q; there are %s", name, strings.Join(names, ", "))
}

// unescape reads \t and its like as Go does.
func unescape(text string) []byte {
	unquoted, err := strconv.Unquote(`"` + text + `"`)
	if err != nil || !strings.Contains(text, `\`) {
		// A quote or a lone backslash means itself, and so does a byte that is no character.
		return []byte(text)
	}
	return []byte(unquoted)
}

// lineProducer makes messages of lines.
type lineProducer struct {
	producer  *producer.Producer
	spec      *topic.Spec
	separator []byte
	key       []byte
	pace      *pace
}

func (l *lineProducer) files(ctx context.Context, names []string, stdin io.Reader) error {
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		if err := l.file(ctx, name, stdin); err != nil {
			return err
		}
	}
	return nil
}

func (l *lineProducer) file(ctx context.Context, name string, stdin io.Reader) (err error) {
	input := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // it was only read
		input = file
	}
	number := 0
	return eachLine(ctx, input, func(line []byte) error {
		number++
		if err := l.line(ctx, line); err != nil {
			return fmt.Errorf("%s, line %d: %w", name, number, err)
		}
		return nil
	})
}

func (l *lineProducer) line(ctx context.Context, line []byte) error {
	record := runtime.Output{Key: l.key, Value: line}
	if len(l.separator) > 0 {
		key, value, found := bytes.Cut(line, l.separator)
		if !found {
			return fmt.Errorf("there is no %q between a key and a value", l.separator)
		}
		record.Key, record.Value = key, value
	}
	if err := l.pace.wait(ctx); err != nil {
		return err
	}
	return l.producer.Send(ctx, l.spec, record)
}

// pace bounds how many times a second something is done.
type pace struct {
	interval time.Duration
	next     time.Time
}

// newPace returns a pace of rate times a second; without bound where it is 0.
func newPace(rate float64) *pace {
	if rate == 0 {
		return &pace{}
	}
	return &pace{interval: time.Duration(float64(time.Second) / rate), next: time.Now()}
}

// wait waits until it is time. Waits too short for a timer are saved up, so that a high rate is kept.
func (p *pace) wait(ctx context.Context) error {
	if p.interval == 0 {
		return nil
	}
	early := time.Until(p.next)
	p.next = p.next.Add(p.interval)
	if early < time.Millisecond {
		return nil
	}
	if !runtime.Sleep(ctx, runtime.WallClock, early) {
		return ctx.Err()
	}
	return nil
}
