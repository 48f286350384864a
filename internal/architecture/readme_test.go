package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeIsTested finds every piece of Go in the README in a program or an example that is compiled and tested.
func TestReadmeIsTested(t *testing.T) {
	const root = "../.."
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	var code strings.Builder
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		source, err := os.ReadFile(path)
		code.WriteString(folded(string(source)))
		return err
	})
	require.NoError(t, err)
	snippets := fenced(string(readme), "go")
	require.NotEmpty(t, snippets)
	for _, snippet := range snippets {
		if !strings.Contains(code.String(), folded(snippet)) {
			// Not require.Contains, which would print all of the code.
			t.Errorf("the README has code that is not tested:\n%s", snippet)
		}
	}
}

// fenced returns the fenced blocks of a language.
func fenced(text, language string) (blocks []string) {
	for {
		_, rest, found := strings.Cut(text, "```"+language+"\n")
		if !found {
			return blocks
		}
		block, after, _ := strings.Cut(rest, "```")
		blocks, text = append(blocks, block), after
	}
}

// folded makes all white space one space.
func folded(text string) string { return strings.Join(strings.Fields(text), " ") }
