package local

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kappaflows/flows/internal/folder"
)

//go:embed pom.xml
var pom []byte

// kafkaVersion is the version of the broker; it overrides the one in pom.xml.
const kafkaVersion = "4.1.0"

// kafkaJars returns the folder of the broker's jars, fetched by Maven the first time and kept in the project's
// .services folder. Any number of processes may ask at once; one fetches.
func kafkaJars(ctx context.Context) (string, error) {
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	jars := filepath.Join(cache, "kafka-"+kafkaVersion)
	if _, err := os.Stat(jars); err == nil {
		return jars, nil
	}
	return jars, folder.Exclusively(jars+".lock", func() error {
		if _, err := os.Stat(jars); err == nil {
			return nil // Another process fetched them meanwhile.
		}
		return fetchJars(ctx, jars)
	})
}

// fetchJars leaves the folder whole or not at all.
func fetchJars(ctx context.Context, jars string) error {
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("%w: Maven (mvn), which fetches the Kafka broker", ErrMissing)
	}
	work, err := os.MkdirTemp(filepath.Dir(jars), "fetch-")
	if err != nil {
		return fmt.Errorf("kafka jars: %w", err)
	}
	defer os.RemoveAll(work)
	project := filepath.Join(work, "pom.xml")
	if err := os.WriteFile(project, pom, 0o644); err != nil {
		return fmt.Errorf("kafka jars: %w", err)
	}
	command := exec.CommandContext(ctx, maven, "-q", "-B", "-f", project, "-Dkafka.version="+kafkaVersion,
		"dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(work, "jars"))
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: the Kafka broker, which Maven could not fetch: %w: %s", ErrMissing, err, firstError(output))
	}
	if err := os.Rename(filepath.Join(work, "jars"), jars); err != nil {
		return fmt.Errorf("kafka jars: %w", err)
	}
	return nil
}

// firstError returns the first line of Maven's output that says what is wrong.
func firstError(output []byte) string {
	for line := range strings.Lines(string(output)) {
		if strings.Contains(line, "ERROR") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(string(output))
}

// cacheFolder returns the folder .services beside the module's go.mod.
func cacheFolder() (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	cache := filepath.Join(root, ".services")
	return cache, os.MkdirAll(cache, 0o755)
}

// ModuleRoot returns the root of the flows module around the working directory.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module github.com/kappaflows/flows\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the flows module")
		}
		dir = parent
	}
}
