package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A word is a longest run of characters that are not white space, as Unicode has it; "The" and "the" are two.

const (
	// longLine is where a line is cut in two, at white space, so that no word is.
	longLine = 64 << 10
	// longWord is more than the longest word that fits: it is a key, a value, and both in one message.
	longWord = 256 << 10
)

// text is the lines of a file, or of all regular files below a folder that hold text: valid UTF-8 without NUL. Their
// order is that of their paths, always the same.
type text struct {
	files []string
	// skipped is how many files of the folder hold no text.
	skipped int
}

// bookPath returns the book that every Go installation carries, Newton's Opticks.
func bookPath(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("no text: set TEXT to a file or a folder, or have the go command in the path: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(output)), "src", "testdata", "Isaac.Newton-Opticks.txt"), nil
}

func openText(path string) (*text, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if is, err := isText(path); err != nil || !is {
			return nil, errors.Join(err, fmt.Errorf("%s is no text: it is not UTF-8, or has a NUL in it", path))
		}
		return &text{files: []string{path}}, nil
	}
	t := &text{}
	err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		is, err := isText(file)
		if is {
			t.files = append(t.files, file)
		} else {
			t.skipped++
		}
		return err
	})
	if err == nil && len(t.files) == 0 {
		err = fmt.Errorf("there is no text in %s", path)
	}
	return t, err
}

func isText(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }() // it was only read
	buffer := make([]byte, 64<<10)
	kept := 0 // bytes of a character whose end has not been read
	for {
		n, err := file.Read(buffer[kept:])
		data := buffer[:kept+n]
		whole := len(data) - partial(data)
		if bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data[:whole]) {
			return false, nil
		}
		kept = copy(buffer, data[whole:])
		switch {
		case errors.Is(err, io.EOF):
			return kept == 0, nil
		case err != nil:
			return false, err
		}
	}
}

// partial returns how many bytes at the end of data begin a character without ending it.
func partial(data []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		if tail := data[len(data)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// each calls do with every line and its number, from 0. The line may be kept.
func (t *text) each(do func(number int64, line []byte) error) error {
	number := int64(0)
	for _, path := range t.files {
		if err := eachLine(path, func(line []byte) error {
			err := do(number, bytes.Clone(line))
			number++
			return err
		}); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func eachLine(path string, do func(line []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	scanner := bufio.NewScanner(file)
	scanner.Buffer(make([]byte, longLine), longWord)
	scanner.Split(splitLines)
	for number := 1; scanner.Scan(); number++ {
		if err := do(scanner.Bytes()); err != nil {
			return err
		}
	}
	if errors.Is(scanner.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("it has a word of more than %d bytes", longWord)
	}
	return scanner.Err()
}

// splitLines is a bufio.SplitFunc that ends lines at line feeds, and at the last white space of a line that is long.
func splitLines(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if at := bytes.IndexByte(data, '\n'); at >= 0 {
		return at + 1, data[:at], nil
	}
	if len(data) >= longLine {
		if at := bytes.LastIndexFunc(data, unicode.IsSpace); at > 0 {
			return at, data[:at], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
