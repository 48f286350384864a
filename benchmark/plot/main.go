// Command plot draws a file of comma-separated values as SVG: the first column along the horizontal axis, each further one as
// a line in a panel of its own. The first row names the columns, with their units.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/kappaflows/flows/benchmark/chart"
)

func main() {
	out := flag.String("out", "", "the file to write; standard output unless set")
	title := flag.String("title", "", "what stands above")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: plot [-out FILE.svg] [-title TEXT] FILE.csv, or - for standard input")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := draw(flag.Arg(0), *out, *title); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func draw(in, out, title string) error {
	var source io.Reader = os.Stdin
	if in != "-" {
		file, err := os.Open(in)
		if err != nil {
			return err
		}
		defer file.Close()
		source = file
	}
	figure, err := chart.Series(title, source)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	var svg bytes.Buffer
	if err := figure.WriteSVG(&svg); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if out == "" {
		_, err := svg.WriteTo(os.Stdout)
		return err
	}
	return os.WriteFile(out, svg.Bytes(), 0o644)
}
