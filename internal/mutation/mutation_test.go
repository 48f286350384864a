package mutation

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var writeTable = flag.Bool("mutation.table", false, "write the table of bugs into docs/guarantees.md")

// switchVariable says in a mutant's environment which bug is switched on.
const switchVariable = "FLOWS_MUTATION"

// switches is what each package with bugs has besides. A bug is switched on from the first moment on, so that it can be in
// what is made once.
const switches = `package %s

import "os"

var mutation = os.Getenv("` + switchVariable + `")

func mutated(bug string) bool { return mutation == bug }

func either[T any](bug bool, wrong, right T) T {
	if bug {
		return wrong
	}
	return right
}
`

// TestBugsAreCaught: for each bug there is a test that fails with it, in the words that are expected, and passes without it in
// the same binary.
func TestBugsAreCaught(t *testing.T) {
	of := map[string][]mutant{}
	for _, m := range mutants {
		of[m.in] = append(of[m.in], m)
	}
	for in, all := range of {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			binary := build(in, all).Binary(t)
			for _, m := range all {
				t.Run(m.bug, func(t *testing.T) {
					t.Parallel()
					m.check(t, binary)
				})
			}
		})
	}
}

func build(in string, all []mutant) Build {
	b := Build{Package: in, Added: map[string]string{}}
	for _, m := range all {
		b.Bugs = append(b.Bugs, Bug{Name: m.bug, Edits: m.edits})
		for _, edit := range m.edits {
			folder := path.Dir(edit.File)
			b.Added[path.Join(folder, "mutated.go")] = fmt.Sprintf(switches, path.Base(folder))
		}
	}
	return b
}

func (m mutant) check(t *testing.T, binary string) {
	said, err := m.run(t, binary, "", 2*time.Minute)
	if _, reason, skipped := strings.Cut(said, "--- SKIP"); skipped {
		t.Skip(reason)
	}
	require.NoError(t, err, "without the bug:\n%s", said)
	require.Contains(t, said, "--- PASS: ")
	limit := m.limit
	if limit == 0 {
		limit = time.Minute
	}
	said, err = m.run(t, binary, m.bug, limit)
	require.Error(t, err, "%s.%s does not find it", m.in, m.test)
	require.NotContains(t, said, "panic: ")
	require.Contains(t, said, m.said)
}

// run runs the test with a bug, or without one, and returns what it said.
func (m mutant) run(t *testing.T, binary, bug string, limit time.Duration) (string, error) {
	t.Helper()
	pattern := "^" + strings.ReplaceAll(m.test, "/", "$/^") + "$"
	test := exec.CommandContext(t.Context(), binary, "-test.v", "-test.failfast", "-test.run", pattern, "-test.timeout", limit.String())
	test.Dir, test.Env = filepath.Join(root, m.in), append(os.Environ(), switchVariable+"="+bug)
	output, err := test.CombinedOutput()
	return string(output), err
}

const (
	register  = root + "/docs/guarantees.md"
	tableHead = "| bug | in | found by | what the test says |\n|---|---|---|---|\n"
)

// TestTableOfBugs holds the register's table against what is caught.
func TestTableOfBugs(t *testing.T) {
	text, err := os.ReadFile(register)
	require.NoError(t, err)
	before, after, found := strings.Cut(string(text), tableHead)
	require.True(t, found, "there is a table")
	rows, rest, _ := strings.Cut(after, "\n\n")
	var want strings.Builder
	for _, m := range mutants {
		fmt.Fprintf(&want, "| %s | `%s` | `%s.%s` | %s |\n", m.bug, m.edits[0].File, m.in, m.test, m.said)
	}
	if *writeTable {
		require.NoError(t, os.WriteFile(register, []byte(before+tableHead+want.String()+"\n"+rest), 0o600))
		return
	}
	require.Equal(t, want.String(), rows+"\n", "go test ./internal/mutation -run TestTableOfBugs -mutation.table writes it")
}
