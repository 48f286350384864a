package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)

// TestFuzzTargetsHaveCorpora: what fuzzing found worth keeping is checked in beside each target, and run with its tests.
func TestFuzzTargetsHaveCorpora(t *testing.T) {
	targets := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && len(entry.Name()) > 2 && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, found := range fuzzTarget.FindAllStringSubmatch(string(source), -1) {
			targets++
			corpus, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "testdata", "fuzz", found[1], "*"))
			require.NotEmpty(t, corpus, "%s has no corpus for %s", path, found[1])
		}
		return err
	})
	require.NoError(t, err)
	require.Greater(t, targets, 30)
}
