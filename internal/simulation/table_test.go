package simulation

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var writeTable = flag.Bool("sim.table", false, "write the seeds that find bugs into "+tableFile)

// tableFile has the table of bugs: a row for each, with the seed that finds it and what the check says.
const (
	tableFile = "../../docs/guarantees.md"
	tableHead = "| bug | seed | what the check said |\n|---|---|---|\n"
)

// mostSeeds is how many seeds a bug may escape.
const mostSeeds = 6000

// catch requires that the documented seed finds a bug. Where it does not any more, it looks for the first that does, which is
// to be written down.
func catch(t *testing.T, bug string, mutate Mutation) {
	documented, after := tableRow(t, bug)
	if seed, err := strconv.ParseUint(documented, 10, 64); err == nil && !*writeTable && found(t, seed, mutate) != "" {
		return
	}
	for seed := range uint64(mostSeeds) {
		said := found(t, seed, mutate)
		if said == "" {
			continue
		}
		if !*writeTable {
			t.Fatalf("seed %q of the table does not find it, but %d does; write that down with -sim.table", documented, seed)
		}
		text, _, _ := strings.Cut(tableText(t), after)
		if documented != "" {
			text = text[:strings.LastIndex(text[:len(text)-1], "\n")+1]
		}
		row := fmt.Sprintf("| %s | %d | %s |\n", bug, seed, said)
		require.NoError(t, os.WriteFile(tableFile, []byte(text+row+after), 0o600))
		return
	}
	require.Fail(t, "not caught", "by %d seeds", mostSeeds)
}

// found returns what the check finds, in short.
func found(t *testing.T, seed uint64, mutate Mutation) string {
	err := live(t, newSchedule(seed), settings{mutate: mutate}).err
	if err == nil {
		return ""
	}
	require.NotContains(t, err.Error(), "panic")
	said, _, _ := strings.Cut(err.Error(), "\n")
	said, _, _ = strings.Cut(said, "; restore the store")
	return strings.TrimSuffix(said, ": "+errWrong.Error())
}

func tableText(t *testing.T) string {
	text, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	return string(text)
}

// tableRow returns the seed in a bug's row, and what comes after the row; where there is none, after the table.
func tableRow(t *testing.T, bug string) (seed, after string) {
	_, rows, ok := strings.Cut(tableText(t), tableHead)
	require.True(t, ok, "there is a table")
	for strings.HasPrefix(rows, "|") {
		row, rest, _ := strings.Cut(rows, "\n")
		if cells := strings.Split(row, " | "); cells[0] == "| "+bug {
			return cells[1], rest
		}
		rows = rest
	}
	return "", rows
}
