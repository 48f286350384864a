package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reference is a test that the register names: its package, itself, and the part of it where there is one.
var reference = regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)(?:/([^`]+))?`")

// suites are where parts of a test are named that are not in its own package.
var suites = []string{"runtime/logtest", "runtime/storetest"}

// TestRegisterNamesTestsThatExist holds docs/guarantees.md against the tests.
func TestRegisterNamesTestsThatExist(t *testing.T) {
	named := 0
	for _, match := range reference.FindAllStringSubmatch(guarantees(t), -1) {
		folder, test, part := match[1], match[2], match[3]
		if folder == "flows" {
			folder = "."
		}
		tests := sources(t, folder, "_test.go")
		// Not require.Contains, which would print all of the code.
		exists := strings.Contains(tests, "\nfunc "+test+"(")
		require.True(t, exists, "%s has no %s", folder, test)
		if part != "" {
			for _, suite := range suites {
				tests += sources(t, suite, ".go")
			}
			exists := strings.Contains(tests, strconv.Quote(part))
			require.True(t, exists, "%s of %s has no part %q", test, folder, part)
		}
		named++
	}
	require.Greater(t, named, 50)
}

// mutation is one of the simulator's bugs: a key of its map, or the name of a rule's. mutant is one of internal/mutation.
var (
	mutation = regexp.MustCompile(`(?m)^\t(?:"([^"]+)": +(?:func\(p Ports|onCommit)|\tbug: "([^"]+)")`)
	mutant   = regexp.MustCompile(`(?m)^\t\tbug: "([^"]+)()"`)
)

// TestRegisterNamesAllBugs: the tables of bugs are those of the simulator and of internal/mutation, and guarantees that are
// broken by a bug name it as it is.
func TestRegisterNamesAllBugs(t *testing.T) {
	text := guarantees(t)
	known := map[string]bool{"": true}
	for _, table := range []struct {
		head, folder string
		pattern      *regexp.Regexp
		least        int
	}{
		{"| bug | seed |", "internal/simulation", mutation, 40},
		{"| bug | in |", "internal/mutation", mutant, 20},
	} {
		bugs := map[string]bool{}
		for _, match := range table.pattern.FindAllStringSubmatch(sources(t, table.folder, "_test.go"), -1) {
			bugs[match[1]+match[2]] = true
		}
		require.Greater(t, len(bugs), table.least)
		rows := tableRows(t, text, table.head)
		require.Len(t, rows, len(bugs))
		for _, row := range rows {
			name := strings.TrimSpace(strings.Split(row, "|")[1])
			require.True(t, bugs[name], "%s has no bug %q", table.folder, name)
			require.False(t, known[name], "two bugs are called %q", name)
			known[name] = true
		}
	}
	for _, head := range []string{"| guarantee | proved by | broken by |", "| fact | of the broker | of the engine | broken by |"} {
		for _, row := range tableRows(t, text, head) {
			cells := strings.Split(strings.Trim(row, "|"), "|")
			for name := range strings.SplitSeq(strings.TrimSpace(cells[len(cells)-1]), "; ") {
				require.True(t, known[name], "there is no bug %q", name)
			}
		}
	}
}

// tableRows returns the rows of a table, without its head.
func tableRows(t *testing.T, text, head string) []string {
	t.Helper()
	_, table, found := strings.Cut(text, head)
	require.True(t, found, head)
	table, _, _ = strings.Cut(table, "\n\n")
	return strings.Split(table, "\n")[2:]
}

// TestOracleKnowsNothingOfTheLibrary: what judges the programs shares no code with them.
func TestOracleKnowsNothingOfTheLibrary(t *testing.T) {
	checked := 0
	for _, p := range packages(t) {
		if of := relative(p.ImportPath); !within(of, "internal/oracle") {
			continue
		}
		checked++
		for _, dependency := range p.Deps {
			if ours(dependency) && !within(relative(dependency), "internal/oracle") {
				t.Errorf("%s must not depend on %s", p.ImportPath, dependency)
			}
		}
	}
	require.Equal(t, 2, checked)
}

func guarantees(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/guarantees.md")
	require.NoError(t, err)
	return string(text)
}

// sources returns the text of a folder's files whose names end so.
func sources(t *testing.T, folder, suffix string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", folder, "*"+suffix))
	require.NoError(t, err)
	require.NotEmpty(t, files, folder)
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}
