package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/kappaflows/flows"
)

// demo counts the words of a text and shows what it found: the file or folder that TEXT names, else a book. It serves
// until it is told to stop; with ONCE=1 it ends by itself.
var demo = flows.Command{
	Name: "demo",
	Help: "Count the words of a book, or of the file or folder TEXT, show the most frequent, and serve; ONCE=1 ends after showing.",
	Run:  runDemo,
}

func runDemo(ctx context.Context, in *flows.Invocation) error {
	path := os.Getenv("TEXT")
	if path == "" {
		var err error
		if path, err = bookPath(ctx); err != nil {
			return err
		}
	}
	source, err := openText(path)
	if err != nil {
		return err
	}
	instance, err := in.App.Open(ctx, in.Settings)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(in.Stdout, "Counting the words of %s (%d files, %d skipped as no text)\n", path, len(source.files), source.skipped)
	err = demonstrate(ctx, instance, source, in.Stdout)
	return errors.Join(err, instance.Close())
}

// demonstrate runs the functions while it feeds them and shows what comes of it.
func demonstrate(ctx context.Context, instance *flows.Instance, source *text, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f, err := newFeed(ctx, instance, source)
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return instance.Run(running) })
	group.Go(func() error { return f.run(running) })
	group.Go(func() error {
		if err := show(running, instance, f, out); err != nil {
			return err
		}
		if os.Getenv("ONCE") == "1" {
			stop()
			return nil
		}
		_, err := fmt.Fprintln(out, "Serving until Ctrl-C.")
		return err
	})
	return group.Wait()
}

// show shows how the counting goes, and its result when all is counted.
func show(ctx context.Context, instance *flows.Instance, f *feed, out io.Writer) error {
	watched := &watch{instance: instance, feed: f, progress: newProgress(out)}
	counted, err := watched.untilCounted(ctx)
	if err != nil {
		return err
	}
	if total := f.words.Load(); counted.words != total {
		return fmt.Errorf("counted %d words where the text has %d", counted.words, total)
	}
	if err := report(ctx, instance.DB(), out); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\n%d words, %d of them now, in %.1f s: %.0f words/s\n",
		counted.words, counted.now, counted.took.Seconds(), float64(counted.now)/counted.took.Seconds())
	if url := instance.URL(); url != "" {
		_, _ = fmt.Fprintf(out, "topology: %s/topology\nmetrics:  %s/metrics\n", url, url)
	}
	return nil
}
