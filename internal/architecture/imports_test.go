package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/kappaflows/flows"

// goPackage is what the go command knows of a package; its imports are those outside of tests.
type goPackage struct {
	ImportPath string
	Imports    []string
	// Deps are the imports and all that they import in turn.
	Deps []string
}

func packages(t *testing.T) (all []goPackage) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,Deps", module+"/...")
	list.Stderr = os.Stderr
	output, err := list.Output()
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		var one goPackage
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		all = append(all, one)
	}
	require.NotEmpty(t, all)
	return all
}

// core is what a function is written with and what runs it.
var core = []string{"format", "join", "materialise", "router", "runtime", "stateful", "stateless", "topic"}

// clients are libraries that speak to something outside, or to people. They belong into drivers and the app.
var clients = []string{
	"github.com/IBM/sarama",
	"github.com/alecthomas/kong",
	"github.com/jackc/pgx",
	"github.com/lib/pq",
	"github.com/prometheus",
	"github.com/twmb/franz-go",
	"github.com/uptrace/bun",
	"github.com/uptrace/bunrouter",
	"modernc.org/sqlite",
}

func TestCoreKnowsNoClientLibrary(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(core, relative(p.ImportPath)) {
			continue
		}
		for _, dependency := range p.Deps {
			for _, client := range clients {
				if within(dependency, client) {
					t.Errorf("%s must not depend on %s, not even indirectly", p.ImportPath, dependency)
				}
			}
		}
	}
}

// What each part of the core may import of this module, besides internal packages and the generated code of proto.
var layers = map[string][]string{
	"format":      {},
	"topic":       {"format"},
	"runtime":     {"format", "topic"},
	"stateless":   {"format", "topic", "runtime"},
	"stateful":    {"format", "topic", "runtime"},
	"join":        {"format", "topic", "runtime", "stateful"}, // A join is a stateful function over its own topic.
	"materialise": {"format", "topic", "runtime"},
	"router":      {"format", "topic", "runtime"},
}

func TestLayersOfTheCore(t *testing.T) {
	for _, p := range packages(t) {
		allowed, isCore := layers[relative(p.ImportPath)]
		if !isCore {
			continue
		}
		for _, imported := range p.Imports {
			if !ours(imported) {
				continue
			}
			of := relative(imported)
			port := slices.Contains(shared, of) && slices.Contains(allowed, "runtime")
			if !port && !slices.Contains(allowed, of) && !within(of, "internal") && !within(of, "proto") {
				t.Errorf("%s must not import %s", p.ImportPath, imported)
			}
		}
	}
}

// shared are below runtime and no drivers: suites, and what is built on the ports or is a port.
var shared = []string{
	"runtime/internal", "runtime/logtest", "runtime/storetest", "runtime/ingress", "runtime/problem", "runtime/producer",
}

func isDriver(of string) bool {
	return strings.HasPrefix(of, "runtime/") && !slices.ContainsFunc(shared, func(s string) bool { return within(of, s) })
}

func TestDriversDoNotKnowEachOther(t *testing.T) {
	for _, p := range packages(t) {
		if !isDriver(relative(p.ImportPath)) {
			continue
		}
		for _, dependency := range p.Deps {
			if dependency == module || ours(dependency) && isDriver(relative(dependency)) {
				t.Errorf("%s must not depend on %s", p.ImportPath, dependency)
			}
		}
	}
}

// builders are who may import the root package: what is built with the library, or tests it as its users do.
var builders = []string{"example", "flowstest", "integration"}

func TestOnlyProgramsImportTheRoot(t *testing.T) {
	for _, p := range packages(t) {
		of := relative(p.ImportPath)
		if slices.ContainsFunc(builders, func(b string) bool { return within(of, b) }) {
			continue
		}
		if slices.Contains(p.Imports, module) {
			t.Errorf("%s must not import %s", p.ImportPath, module)
		}
	}
}

func TestTestLibrariesStayInTests(t *testing.T) {
	library := func(of string) bool {
		return !within(of, "example") && !within(of, "integration") && !within(of, "internal") && !strings.HasSuffix(path.Base(of), "test")
	}
	for _, p := range packages(t) {
		if !library(relative(p.ImportPath)) {
			continue
		}
		for _, dependency := range p.Deps {
			if dependency == "testing" || within(dependency, "github.com/stretchr/testify") || within(dependency, module+"/internal/services") {
				t.Errorf("%s must not depend on %s", p.ImportPath, dependency)
			}
		}
	}
}

func ours(importPath string) bool { return within(importPath, module) }

// relative returns a package's folder; "." is the root.
func relative(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// within says whether a package is another one or below it. Major versions count as below.
func within(importPath, parent string) bool {
	return importPath == parent || strings.HasPrefix(importPath, parent+"/")
}
