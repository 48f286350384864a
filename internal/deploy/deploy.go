// Package deploy renders what runs an app on containers, from the app's own functions: a Docker Compose file or
// Kubernetes manifests, one container a function, all of one image.
//
// It prints and does nothing else: it reaches no cluster, reads no environment and holds no secret. The same app and the
// same options always give the same bytes.
package deploy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/kappaflows/flows/runtime"
)

// App is what is deployed.
type App struct {
	// Name names what belongs to the app.
	Name string
	// Image is the container image; its entry point is the program.
	Image string
	// Functions are the app's, compiled.
	Functions []*runtime.Function
	// Replicas is how many containers a function gets, at most as many as its inputs have partitions; 0 is 1.
	Replicas int
	// Partitions is how many partitions topics get whose declaration leaves that open; 0 is 4.
	Partitions int32
	// BufferBytes and CacheBytes are what bounds the memory of each process, see runtime.Config; 0 is its default.
	BufferBytes, CacheBytes int
}

const (
	defaultPartitions = 4
	httpPort          = 8080
	// user is the one that "nonroot" images run as; read-only files and no rights are all that the program needs.
	user = 65532
	// graceSeconds is how long a container may take to stop: more than the ten seconds that the program takes at most.
	graceSeconds = 20
)

// object is a mapping in YAML; its keys are written in alphabetical order.
type object = map[string]any

func (a App) withDefaults() App {
	if a.Replicas == 0 {
		a.Replicas = 1
	}
	if a.Partitions == 0 {
		a.Partitions = defaultPartitions
	}
	return a
}

func (a App) validate() error {
	switch {
	case a.Name == "":
		return errors.New("the app has no name")
	case !oneWord(a.Name):
		return fmt.Errorf("the app's name is %q; it takes one without spaces", a.Name)
	case a.Image == "":
		return errors.New("there is no image")
	case !oneWord(a.Image):
		return fmt.Errorf("image %q is no name of an image", a.Image)
	case len(a.Functions) == 0:
		return errors.New("the app has no functions")
	case a.Replicas < 1:
		return fmt.Errorf("%d replicas; it takes one or more", a.Replicas)
	case a.Partitions < 1:
		return fmt.Errorf("%d partitions; it takes one or more", a.Partitions)
	}
	return nil
}

// oneWord says whether text is printable and has no spaces, as the names of images, files and hosts are.
func oneWord(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) < 0
}

// withParts returns a function and those that run with it.
func withParts(f *runtime.Function) []*runtime.Function {
	return append([]*runtime.Function{f}, f.Parts...)
}

// widest returns the partitions of the function's widest input: more containers than these have nothing to do. What
// takes requests instead of messages has no such bound.
func (a App) widest(f *runtime.Function) (partitions int32) {
	for _, part := range withParts(f) {
		for _, input := range part.Inputs {
			if input.Partitions == 0 {
				partitions = max(partitions, a.Partitions)
			}
			partitions = max(partitions, input.Partitions)
		}
	}
	return partitions
}

// replicas returns how many containers of a function are of use.
func (a App) replicas(f *runtime.Function) int {
	if widest := int(a.widest(f)); widest > 0 {
		return min(a.Replicas, widest)
	}
	return a.Replicas
}

// memoryMiB returns what a container of a function may need at most, in MiB: the program and what drivers hold of what is on
// its way, what all partitions share, and for each partition that falls to it what the function's options ask for besides.
func (a App) memoryMiB(f *runtime.Function) int {
	const base, step, batches = 256, 64, 6
	held, caches := 0, 0
	if len(f.Inputs) > 0 {
		held = cmp.Or(a.BufferBytes, runtime.DefaultBufferBytes)
	}
	for _, part := range withParts(f) {
		options, partitions := part.Options, ceiling(int(a.widest(part)), a.replicas(f))
		held += partitions * (options.QueueBytes + batches*options.BatchBytes + options.CacheBytes)
		if part.State != nil && options.CacheBytes == 0 {
			caches = cmp.Or(a.CacheBytes, runtime.DefaultCacheBytes)
		}
	}
	return ceiling(base+ceiling(held+caches, 1<<20), step) * step
}

// bounds are the settings of a function's container that bound its memory.
func (a App) bounds(memory int) map[string]string {
	set := map[string]string{"GOMEMLIMIT": goMemoryLimit(memory)}
	for name, bytes := range map[string]int{"BUFFER_BYTES": a.BufferBytes, "CACHE_BYTES": a.CacheBytes} {
		if bytes > 0 {
			set[name] = strconv.Itoa(bytes)
		}
	}
	return set
}

func ceiling(a, b int) int { return (a + b - 1) / b }

// needsStore says whether a function keeps something in the database.
func needsStore(f *runtime.Function) bool {
	for _, part := range withParts(f) {
		if part.Options.Delivery == runtime.ExactlyOnce || part.State != nil {
			return true
		}
	}
	return false
}

func (a App) needsStore() bool {
	return slices.ContainsFunc(a.Functions, needsStore)
}

// goMemoryLimit is the soft limit that keeps the garbage collector below the container's hard one.
func goMemoryLimit(memoryMiB int) string { return strconv.Itoa(memoryMiB*9/10) + "MiB" }

// write writes YAML documents, each behind a comment where it has one.
func write(w io.Writer, header string, documents ...object) error {
	var out bytes.Buffer
	out.WriteString(header)
	for i, document := range documents {
		if i > 0 {
			out.WriteString("---\n")
		}
		encoder := yaml.NewEncoder(&out)
		encoder.SetIndent(2)
		if err := encoder.Encode(document); err != nil {
			return fmt.Errorf("deploy: %w", err)
		}
		if err := encoder.Close(); err != nil {
			return fmt.Errorf("deploy: %w", err)
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}
