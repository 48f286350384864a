package flows_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
)

func readAll(t *testing.T, r io.Reader) (lines []string) {
	t.Helper()
	var kept [][]byte
	require.NoError(t, flows.EachLine(t.Context(), r, func(line []byte) error {
		kept = append(kept, line)
		return nil
	}))
	for _, line := range kept {
		lines = append(lines, string(line))
	}
	return lines
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for text, want := range map[string][]string{
		"":                        nil,
		"\n":                      {""},
		"a":                       {"a"},
		"a\nb\n":                  {"a", "b"},
		"a\r\n\r\nb\rc":           {"a", "", "b\rc"},
		"a\n" + long + "\nb":      {"a", long, "b"},
		strings.Repeat("ab\n", 9): slicesOf("ab", 9),
	} {
		require.Equal(t, want, readAll(t, strings.NewReader(text)))
		if len(text) < 100 {
			require.Equal(t, want, readAll(t, iotest.OneByteReader(strings.NewReader(text))))
			require.Equal(t, want, readAll(t, iotest.DataErrReader(strings.NewReader(text))))
		}
	}
}

func slicesOf(s string, n int) (all []string) {
	for range n {
		all = append(all, s)
	}
	return all
}

func TestALineWithoutEndIsRefused(t *testing.T) {
	err := flows.EachLine(t.Context(), endless{}, func([]byte) error { return nil })
	require.EqualError(t, err, "a line of more than 16777216 bytes")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

func TestReadingEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	require.ErrorIs(t, flows.EachLine(t.Context(), iotest.ErrReader(broken), nil), broken)
	require.ErrorIs(t, flows.EachLine(t.Context(), strings.NewReader("a\nb"), func([]byte) error { return broken }), broken)
}

func TestReadingEndsWithTheContext(t *testing.T) {
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, flows.EachLine(ctx, reader, nil), context.Canceled)
	require.NoError(t, writer.Close())
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var got [][]byte
		require.NoError(t, flows.EachLine(t.Context(), iotest.HalfReader(bytes.NewReader(text)), func(line []byte) error {
			got = append(got, line)
			return nil
		}))
		want := bytes.Split(text, []byte("\n"))
		if len(want[len(want)-1]) == 0 {
			want = want[:len(want)-1]
		}
		require.Len(t, got, len(want))
		for i := range want {
			end := want[i]
			if i < len(want)-1 || bytes.HasSuffix(text, []byte("\n")) {
				end = bytes.TrimSuffix(end, []byte("\r"))
			}
			require.Equal(t, string(end), string(got[i]))
		}
	})
}

func TestTextForATerminalHasNoControlCharacters(t *testing.T) {
	for text, want := range map[string]string{
		"plain, ünï, 語": "plain, ünï, 語", "a\nb\tc": `a\nb\tc`, "\x1b]0;x\a": `\x1b]0;x\a`, "\u202e": `\u202e`, `back\n`: `back\n`,
	} {
		require.Equal(t, want, flows.Printable(text))
	}
}
