package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, folder, name, content string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func linesOf(t *testing.T, source *text) (all []string) {
	t.Helper()
	next := int64(0)
	require.NoError(t, source.each(func(number int64, line []byte) error {
		require.Equal(t, next, number)
		next++
		all = append(all, string(line))
		return nil
	}))
	return all
}

func TestAFolderIsItsTextInOrderOfPaths(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "b", "second\nthird")
	write(t, folder, "a/deep/file", "first\n")
	write(t, folder, "c", "binary\x00")
	write(t, folder, "d", "latin-1: \xe9t\xe9")
	write(t, folder, "e", "cut: \xc3")
	require.NoError(t, os.Symlink(filepath.Join(folder, "b"), filepath.Join(folder, "f")))
	source, err := openText(folder)
	require.NoError(t, err)
	require.Equal(t, []string{"first", "second", "third"}, linesOf(t, source))
	require.Equal(t, 3, source.skipped, "a link is neither text nor skipped")
}

func TestWhatIsNoTextIsSaid(t *testing.T) {
	folder := t.TempDir()
	_, err := openText(write(t, folder, "x", "\x00"))
	require.ErrorContains(t, err, "x is no text")
	_, err = openText(filepath.Join(folder, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = openText(folder)
	require.EqualError(t, err, "there is no text in "+folder)
}

func TestCharactersAcrossReads(t *testing.T) {
	for shift := range 4 {
		path := write(t, t.TempDir(), "x", strings.Repeat("a", 64<<10-shift)+"語é\U0001F600")
		is, err := isText(path)
		require.NoError(t, err)
		require.True(t, is, "shift %d", shift)
	}
}

func TestLongLinesAreCutAtWhiteSpace(t *testing.T) {
	content := strings.Repeat("ünïcode words ", 20_000) // 320 kB without a line feed
	source, err := openText(write(t, t.TempDir(), "x", content))
	require.NoError(t, err)
	all := linesOf(t, source)
	require.Greater(t, len(all), 1)
	var found []string
	for _, line := range all {
		require.LessOrEqual(t, len(line), longWord)
		found = append(found, strings.Fields(line)...)
	}
	require.Equal(t, strings.Fields(content), found)
}

func TestAWordThatFitsNowhereIsRefused(t *testing.T) {
	path := write(t, t.TempDir(), "x", "short\n"+strings.Repeat("x", longWord+1))
	source, err := openText(path)
	require.NoError(t, err)
	err = source.each(func(int64, []byte) error { return nil })
	require.EqualError(t, err, path+": it has a word of more than 262144 bytes")
}

func FuzzSplitLinesKeepsEveryWord(f *testing.F) {
	f.Add("a b\nc", uint16(3))
	f.Add(" x ", uint16(0))
	f.Add("wörter\u00a0und ", uint16(1999))
	f.Add("\r\n\v\f\u0085", uint16(1999))
	f.Fuzz(func(t *testing.T, piece string, times uint16) {
		if strings.ContainsRune(piece, 0) || strings.ToValidUTF8(piece, "") != piece || len(piece) > 1000 {
			t.Skip("no text")
		}
		content := strings.Repeat(piece, int(times)%2000)
		want := strings.Fields(content)
		for _, word := range want {
			if len(word) >= longLine {
				t.Skip("a word too long")
			}
		}
		path := filepath.Join(t.TempDir(), "x")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		var got []string
		require.NoError(t, eachLine(path, func(line []byte) error {
			got = append(got, strings.Fields(string(line))...)
			return nil
		}))
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i], got[i])
		}
	})
}
