package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The longest that a file and a function may be, in lines. Most are far below.
const (
	longestFile     = 500
	longestFunction = 60
)

func TestFilesAndFunctionsAreShort(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	checked := 0
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		checked++
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		checkFile(t, name, path)
		return nil
	})
	require.NoError(t, err)
	require.NotZero(t, checked)
}

func checkFile(t *testing.T, name, path string) {
	t.Helper()
	source, err := os.ReadFile(path)
	require.NoError(t, err)
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.ParseComments)
	require.NoError(t, err)
	if ast.IsGenerated(file) {
		return
	}
	if lines := files.File(file.Pos()).LineCount(); lines > longestFile {
		t.Errorf("%s has %d lines; %d are the most", name, lines, longestFile)
	}
	if strings.HasSuffix(name, "_test.go") {
		return // A test is read from top to bottom, and tables are long.
	}
	ast.Inspect(file, func(node ast.Node) bool {
		function, is := node.(*ast.FuncDecl)
		if !is {
			return true
		}
		start := files.Position(function.Pos())
		if lines := files.Position(function.End()).Line - start.Line + 1; lines > longestFunction {
			t.Errorf("%s: %s has %d lines; %d are the most", start, function.Name.Name, lines, longestFunction)
		}
		return false
	})
}
