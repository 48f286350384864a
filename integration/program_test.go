package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// build compiles an example once a test and returns the path of the program.
func build(t *testing.T, example string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), example)
	buildPackage(t, program, "../example/"+example)
	return program
}

func buildPackage(t *testing.T, program, folder string) {
	t.Helper()
	output, err := exec.Command("go", "build", "-o", program, folder).CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// environment returns the variables that a program gets.
func environment(brokers, database string) []string {
	return append(os.Environ(), "KAFKA_BROKERS="+brokers, "POSTGRES_URL="+database, "HTTP_ADDR=off", "LOG_FORMAT=text")
}

// process is a running program.
type process struct {
	command *exec.Cmd
	log     *buffer
	done    chan struct{}
	err     error
}

// start starts a program; it is killed at the end of the test where it still runs.
func start(t *testing.T, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(program, args...), log: &buffer{}, done: make(chan struct{})}
	p.command.Env, p.command.Stdout, p.command.Stderr = env, p.log, p.log
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, p.command.Start())
	go func() {
		defer close(p.done)
		p.err = p.command.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %v:\n%s", filepath.Base(program), args, p.log.tail())
			p.keep(t)
		}
	})
	return p
}

// keep writes all that the program printed where "go test -artifacts" has tests leave such things.
func (p *process) keep(t *testing.T) {
	name := fmt.Sprintf("%s-%d.log", filepath.Base(p.command.Path), p.command.Process.Pid)
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), []byte(p.log.String()), 0o644); err != nil {
		t.Log(err)
	}
}

// run runs a program to its end, which must be a good one.
func run(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	p := start(t, env, program, args...)
	<-p.done
	require.NoError(t, p.err, "%v: %s", args, p.log.tail())
	return p.log.String()
}

// kill ends the program as a crash does.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.done
}

// terminate asks the program to leave, and waits for it.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	require.NoError(t, p.command.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
		require.NoError(t, p.err, "%s", p.log.tail())
	case <-time.After(30 * time.Second):
		require.Fail(t, "the program does not end on SIGTERM", "%s", p.log.tail())
	}
}

// running says whether the program has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// buffer is what a program printed.
type buffer struct {
	mutex sync.Mutex
	bytes bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.bytes.Write(p)
}

func (b *buffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.bytes.String()
}

// count returns how often a text was printed.
func (b *buffer) count(text string) int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return bytes.Count(b.bytes.Bytes(), []byte(text))
}

// tail returns the end of what was printed.
func (b *buffer) tail() string {
	const enough = 8 << 10
	all := b.String()
	return all[max(0, len(all)-enough):]
}
