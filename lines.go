package flows

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

const (
	// lineChunk is how much is read at once; lines are parts of chunks and cost no copy.
	lineChunk = 64 << 10
	// maxLine is the longest line; no topic takes larger messages unless it is told to.
	maxLine = 16 << 20
)

var errLongLine = fmt.Errorf("a line of more than %d bytes", maxLine)

// eachLine calls do with each line of r, without its end. The bytes of a line stay as they are for as long as they are
// used. When ctx is done it returns, although r may have nothing to read for long.
func eachLine(ctx context.Context, r io.Reader, do func(line []byte) error) error {
	chunks := make(chan [][]byte)
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		// A terminal that nobody types on can't be interrupted: this goroutine ends with it, at the latest with the
		// process.
		defer close(chunks)
		failed <- readLines(r, func(lines [][]byte) error {
			select {
			case chunks <- lines:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	for {
		select {
		case lines, more := <-chunks:
			if !more {
				return <-failed
			}
			for _, line := range lines {
				if err := do(line); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readLines reads r to its end and gives the lines of each chunk as they arrive.
func readLines(r io.Reader, give func(lines [][]byte) error) error {
	var rest []byte // the beginning of a line whose end has not been read
	for {
		size := max(lineChunk, 2*len(rest))
		chunk := append(make([]byte, 0, size), rest...)
		n, err := r.Read(chunk[len(chunk):cap(chunk)])
		lines, after := cut(chunk[:len(chunk)+n])
		rest = after
		if err != nil && len(rest) > 0 {
			lines, rest = append(lines, rest), nil
		}
		if len(lines) > 0 {
			if giving := give(lines); giving != nil {
				return giving
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(rest) > maxLine:
			return errLongLine
		}
	}
}

// cut splits a chunk into its whole lines and what follows the last of them.
func cut(chunk []byte) (lines [][]byte, rest []byte) {
	for {
		line, after, found := bytes.Cut(chunk, []byte("\n"))
		if !found {
			return lines, chunk
		}
		lines = append(lines, bytes.TrimSuffix(line, []byte("\r")))
		chunk = after
	}
}
