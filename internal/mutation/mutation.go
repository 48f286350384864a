// Package mutation builds the project's own tests with bugs in the code that they test. A test that no bug makes fail
// tests less than it seems to.
package mutation

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the module's, as the tests of a package of internal see it.
const root = "../.."

// Bug breaks a rule of the code, in one place or in several that belong together.
type Bug struct {
	Name  string
	Edits []Edit
}

// Edit has Wrong stand in place of Right in a file, which is named from the module's root and has Right once. In Wrong, BUG
// is true where the bug is switched on.
type Edit struct{ File, Right, Wrong string }

// Build is the test binary of a package with bugs, which are switched on one at a time.
type Build struct {
	// Package is the folder of the package whose tests are built, from the module's root.
	Package string
	Bugs    []Bug
	// Added are files that the build has besides, by their names. Each package with bugs needs a mutated(bug string) bool.
	Added map[string]string
	Tags  string
}

// Binary builds it, by go build's -overlay, and returns where it is. The code itself is left as it is.
func (b Build) Binary(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	overlay, binary := filepath.Join(folder, "overlay.json"), filepath.Join(folder, "mutants.test")
	replaced, err := json.Marshal(map[string]any{"Replace": b.write(t, folder)})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, replaced, 0o600))
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", b.Tags, "-overlay", overlay, "-o", binary, "./"+b.Package)
	build.Dir = root
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	return binary
}

// write writes the files that differ and returns what they replace.
func (b Build) write(t testing.TB, folder string) map[string]string {
	t.Helper()
	replaced := map[string]string{}
	for name, text := range b.files(t) {
		file := filepath.Join(folder, strings.ReplaceAll(name, "/", "."))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		original, err := filepath.Abs(filepath.Join(root, name))
		require.NoError(t, err)
		replaced[original] = file
	}
	return replaced
}

// files are the texts of the files that differ, by their names.
func (b Build) files(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	maps.Copy(files, b.Added)
	for _, bug := range b.Bugs {
		for _, edit := range bug.Edits {
			text, known := files[edit.File]
			if !known {
				original, err := os.ReadFile(filepath.Join(root, edit.File))
				require.NoError(t, err)
				text = string(original)
			}
			require.Equal(t, 1, strings.Count(text, edit.Right), "%s must have this once, for the bug %q:\n%s", edit.File, bug.Name, edit.Right)
			wrong := strings.ReplaceAll(edit.Wrong, "BUG", "mutated("+strconv.Quote(bug.Name)+")")
			files[edit.File] = strings.Replace(text, edit.Right, wrong, 1)
		}
	}
	return files
}
