package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/postgres"
)

// stoppedVariable makes the test binary a process that commits to this database and stands still in the middle of it.
const stoppedVariable = "FLOWS_POSTGRES_TEST_URL"

const holdsRow = "holds the row"

// counting is the next batch of an owner, which writes one count.
func counting(at runtime.Checkpoint, count string, version int64) *runtime.Commit {
	next := batch(at)
	next.Table = counts.Name
	next.Writes = runtime.StateWrites{
		Keys: []string{"a"}, States: [][]byte{[]byte(count)}, Versions: []int64{version}, Fresh: []bool{version == 1},
	}
	if version == 1 {
		next.Writes.FreshRows = 1
	}
	return next
}

// commitAndStop takes a partition over and commits a batch with its row locked, as the engine does after a conflict. It says
// when it holds the row, computes until it is told to go on, and then says what came of it.
func commitAndStop(url string) {
	ctx, told := context.Background(), bufio.NewReader(os.Stdin)
	store, err := postgres.Open(ctx, postgres.Config{URL: url})
	var at runtime.Checkpoint
	if err == nil {
		at, err = store.Claim(ctx, words)
	}
	for again := err == nil; again; again = errors.Is(err, runtime.ErrUnavailable) {
		err = store.CommitLocked(ctx, counts.Name, []string{"a"}, func([]runtime.StateRow) (*runtime.Commit, error) {
			fmt.Println(holdsRow)
			told.ReadString('\n') // The end of the input, once it came, tells every time.
			return counting(at, "of the one that stopped", 2), nil
		})
	}
	fmt.Println(err)
	os.Exit(0)
}

// TestStoppedProcessHoldsNoOneUp: a process stops in the middle of a batch whose rows it has locked. Whoever owns the partition now
// needs them, and gets them, because the database ends a transaction that stands still. What the process does when it
// goes on changes nothing.
func TestStoppedProcessHoldsNoOneUp(t *testing.T) {
	ctx := services.WithPatience(t, 90*time.Second)
	url := services.Postgres(t)
	store := open(t, postgres.Config{URL: url})
	require.NoError(t, store.Migrate(ctx, []runtime.StateTable{counts}))
	at, err := store.Claim(ctx, words)
	require.NoError(t, err)
	require.NoError(t, store.Commit(ctx, counting(at, "1", 1)))

	stopped := exec.Command(os.Args[0])
	stopped.Env = append(os.Environ(), stoppedVariable+"="+url)
	tell, err := stopped.StdinPipe()
	require.NoError(t, err)
	output, err := stopped.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, stopped.Start())
	t.Cleanup(func() {
		stopped.Process.Kill()
		stopped.Wait() // It may have been killed: its status says nothing.
	})
	said := bufio.NewReader(output)
	line, err := said.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, holdsRow+"\n", line)
	require.NoError(t, stopped.Process.Signal(syscall.SIGSTOP))

	at, err = store.Claim(ctx, words)
	require.NoError(t, err)
	for again := true; again; again = errors.Is(err, runtime.ErrUnavailable) {
		err = store.Commit(ctx, counting(at, "2", 2))
	}
	require.NoError(t, err, "the database ends a transaction that stands still")

	require.NoError(t, stopped.Process.Signal(syscall.SIGCONT))
	require.NoError(t, tell.Close())
	rest, err := io.ReadAll(said)
	require.NoError(t, err)
	require.Contains(t, string(rest), runtime.ErrFenced.Error())
	rows, err := store.Load(ctx, counts.Name, []string{"a"})
	require.NoError(t, err)
	require.Equal(t, []runtime.StateRow{{Key: "a", State: []byte("2"), Version: 2}}, rows)
}
