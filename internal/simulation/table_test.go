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

// catch requires that the documented seed finds a bug, and that the check then says what is documented: any other failure would
// have another cause. Where it does not any more, it looks for the first seed that finds it, which is to be written down.
func catch(t *testing.T, bug string, mutate Mutation) {
	documented, after := tableRow(t, bug)
	if documented.bug != "" && !*writeTable && documented.said == found(t, documented.seed, mutate) {
		return
	}
	for seed := range uint64(mostSeeds) {
		said := found(t, seed, mutate)
		if said == "" {
			continue
		}
		now := row{bug: bug, seed: seed, said: said}
		if !*writeTable {
			t.Fatalf("the table has\n%s\nbut the first that finds it is\n%s\nWrite that down with -sim.table", documented, now)
		}
		text, _, _ := strings.Cut(tableText(t), after)
		if documented.bug != "" {
			text = text[:strings.LastIndex(text[:len(text)-1], "\n")+1]
		}
		require.NoError(t, os.WriteFile(tableFile, []byte(text+now.String()+"\n"+after), 0o600))
		return
	}
	require.Fail(t, "not caught", "by %d seeds", mostSeeds)
}

// findNothing requires that the documented seeds find nothing where there is no bug.
func findNothing(t *testing.T, mutate Mutation) {
	seeds := map[uint64]bool{}
	for _, r := range tableRows(t) {
		seeds[r.seed] = true
	}
	require.NotEmpty(t, seeds)
	for seed := range seeds {
		require.Empty(t, found(t, seed, mutate), "seed %d", seed)
	}
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

// row is one of the table.
type row struct {
	bug  string
	seed uint64
	said string
}

func (r row) String() string { return fmt.Sprintf("| %s | %d | %s |", r.bug, r.seed, r.said) }

// tableRows returns the table.
func tableRows(t *testing.T) (rows []row) {
	_, text, ok := strings.Cut(tableText(t), tableHead)
	require.True(t, ok, "there is a table")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.SplitN(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |\n"), " | ", 3)
		require.Len(t, cells, 3, line)
		seed, err := strconv.ParseUint(cells[1], 10, 64)
		require.NoError(t, err, line)
		rows = append(rows, row{bug: cells[0], seed: seed, said: cells[2]})
	}
	return rows
}

// tableRow returns a bug's row, and what comes after it; where there is none, what comes after the table.
func tableRow(t *testing.T, bug string) (documented row, after string) {
	_, after, _ = strings.Cut(tableText(t), tableHead)
	for _, r := range tableRows(t) {
		_, after, _ = strings.Cut(after, "\n")
		if r.bug == bug {
			return r, after
		}
	}
	return row{}, after
}
