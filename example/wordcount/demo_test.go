package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// byTools counts the words of a file as the tools of a shell do.
func byTools(t *testing.T, path string) map[string]int64 {
	t.Helper()
	for _, tool := range []string{"sh", "tr", "sort", "uniq", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the comparison needs %s: %v", tool, err)
		}
	}
	command := exec.CommandContext(t.Context(), "sh", "-c", `tr -s '[:space:]' '\n' < "$1" | sed '/^$/d' | sort | uniq -c`, "sh", path)
	command.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	lines, err := command.Output()
	require.NoError(t, err)
	counted := map[string]int64{}
	for line := range strings.Lines(string(lines)) {
		number, word, found := strings.Cut(strings.TrimSpace(line), " ")
		require.True(t, found, line)
		n, err := strconv.ParseInt(number, 10, 64)
		require.NoError(t, err)
		counted[word] = n
	}
	return counted
}

// byTable reads the table of the function count as any program may.
func byTable(t *testing.T, folder string) map[string]int64 {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(folder, "store.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	rows, err := db.QueryContext(t.Context(), "select key, cast(cast(state as text) as integer) from word_count")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	counted := map[string]int64{}
	for rows.Next() {
		var word string
		var n int64
		require.NoError(t, rows.Scan(&word, &n))
		counted[word] = n
	}
	require.NoError(t, rows.Err())
	return counted
}

// byTopic reads the topic counts with the program's own listen, and requires that each word's counts are 1, 2, 3, ... in
// this order.
func byTopic(t *testing.T, settings []string) map[string]int64 {
	t.Helper()
	status, stdout, stderr := run(t, settings, "listen", "counts", "--from=oldest", "--until-end")
	require.Equal(t, 0, status, stderr)
	counted := map[string]int64{}
	for line := range strings.Lines(stdout) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.Len(t, fields, 5, line)
		word := fields[3]
		counted[word]++
		require.Equal(t, strconv.FormatInt(counted[word], 10), fields[4], line)
	}
	return counted
}

func book(t *testing.T) string {
	t.Helper()
	path, err := bookPath(t.Context())
	require.NoError(t, err)
	return path
}

func TestTheCountsAreThoseOfSortAndUniq(t *testing.T) {
	settings := []string{"DATA_DIR=" + t.TempDir(), "ONCE=1"}
	folder := strings.TrimPrefix(settings[0], "DATA_DIR=")
	status, stdout, stderr := run(t, settings, "demo")
	require.Equal(t, 0, status, stderr)

	want := byTools(t, book(t))
	total := int64(0)
	for n := range maps.Values(want) {
		total += n
	}
	require.Empty(t, cmp.Diff(want, byTable(t, folder)))
	require.Empty(t, cmp.Diff(want, byTopic(t, settings)))
	require.Contains(t, stdout, fmt.Sprintf("%d words, %d of them now,", total, total))
	require.Regexp(t, `topology: http://127\.0\.0\.1:\d+/topology`, stdout)
	require.Equal(t, mostFrequent(want, shownWords), shown(stdout))

	status, stdout, stderr = run(t, settings, "demo")
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, fmt.Sprintf("%d words, 0 of them now,", total), "a second run has nothing left to do")
	require.Empty(t, cmp.Diff(want, byTable(t, folder)))

	status, _, stderr = run(t, append(settings, "TEXT=main.go", "LOG_LEVEL=error"), "demo")
	require.Equal(t, 1, status)
	require.Equal(t, "wordcount: "+errOtherText.Error()+"\n", stderr)
}

func mostFrequent(counted map[string]int64, n int) (lines []string) {
	words := slices.Collect(maps.Keys(counted))
	slices.SortFunc(words, func(a, b string) int {
		if counted[a] != counted[b] {
			return int(counted[b] - counted[a])
		}
		return strings.Compare(a, b)
	})
	for _, word := range words[:n] {
		lines = append(lines, fmt.Sprintf("%d %s", counted[word], word))
	}
	return lines
}

// shown returns the words that the demo shows, with one space between number and word.
func shown(stdout string) (lines []string) {
	for _, found := range regexp.MustCompile(`(?m)^ *(\d+)  (\S+)$`).FindAllStringSubmatch(stdout, -1) {
		lines = append(lines, found[1]+" "+found[2])
	}
	return lines
}

// A process that is killed at any moment leaves nothing that the next one does not put right.
func TestKilledProcessesLoseAndDoubleNothing(t *testing.T) {
	folder := t.TempDir()
	text := bytes.Repeat([]byte("alpha beta gamma alpha\n"), 40_000)
	source := write(t, t.TempDir(), "text", string(text))
	settings := []string{"DATA_DIR=" + folder, "ONCE=1", "TEXT=" + source, "LOG_LEVEL=warn"}
	for _, moment := range []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, 900 * time.Millisecond, 1200 * time.Millisecond} {
		c := start(t, settings, "demo")
		select {
		case <-c.ended: // a fast machine is done before
		case <-time.After(moment):
			c.signal(t, syscall.SIGKILL)
			c.wait(t)
		}
	}
	status, stdout, stderr := run(t, settings, "demo")
	require.Equal(t, 0, status, stderr)
	require.Contains(t, stdout, "160000 words, ")
	want := map[string]int64{"alpha": 80_000, "beta": 40_000, "gamma": 40_000}
	require.Equal(t, want, byTable(t, folder))
	require.Equal(t, want, byTopic(t, settings))
}

func TestTheDemoServesUntilItIsTold(t *testing.T) {
	c := start(t, []string{"LOG_LEVEL=warn"}, "demo")
	require.Eventually(t, func() bool { return strings.Contains(c.stdout.String(), "Serving until Ctrl-C.") }, patience, 20*time.Millisecond)
	found := regexp.MustCompile(`topology: (\S+)`).FindStringSubmatch(c.stdout.String())
	require.NotNil(t, found)
	code, _ := get(found[1])
	require.Equal(t, 200, code)
	c.signal(t, syscall.SIGINT)
	require.Equal(t, 0, c.wait(t))
	require.Empty(t, c.stderr.String())
}
