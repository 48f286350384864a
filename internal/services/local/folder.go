package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lock is a lock on a file that ends with the process that holds it.
type lock struct{ file *os.File }

// lockFile waits for the lock on a file, or returns an error at once where it is held and wait is false.
func lockFile(path string, wait bool) (*lock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		err = syscall.Flock(int(file.Fd()), how)
		if err == nil {
			return &lock{file: file}, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, file.Close())
		}
	}
}

func (l *lock) release() {
	l.file.Close() //nolint:errcheck // Nothing was written.
}

// remove deletes the file and lets go of the lock on it.
func (l *lock) remove() {
	os.Remove(l.file.Name()) //nolint:errcheck // The next sweep tries again.
	l.release()
}

const (
	folderPrefix = "flows-service-"
	lockSuffix   = ".lock"
	// folderMode lets Postgres, which may run as another user, get at its data below.
	folderMode = 0o755
)

// newFolder makes a folder for a service, and removes those of processes that were killed before they could.
func newFolder(detached bool) (string, *lock, error) {
	sweepFolders()
	if detached {
		dir, err := os.MkdirTemp("", folderPrefix)
		if err != nil {
			return "", nil, err
		}
		return dir, nil, os.Chmod(dir, folderMode)
	}
	file, err := os.CreateTemp("", folderPrefix+"*"+lockSuffix)
	if err != nil {
		return "", nil, err
	}
	file.Close() //nolint:errcheck // It is empty.
	// The lock comes before the folder: a sweep in between takes an empty file, never a folder in use.
	owner, err := lockFile(file.Name(), true)
	if err != nil {
		return "", nil, err
	}
	dir := strings.TrimSuffix(file.Name(), lockSuffix)
	if err := os.Mkdir(dir, folderMode); err != nil {
		owner.release()
		return "", nil, err
	}
	return dir, owner, nil
}

// sweepFolders removes folders whose owner is gone: the lock on the file beside it is free.
func sweepFolders() {
	locks, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"+lockSuffix))
	if err != nil {
		return
	}
	for _, path := range locks {
		held, err := lockFile(path, false)
		if err != nil {
			continue
		}
		// What can't be removed now stays for the next one to try.
		if os.RemoveAll(strings.TrimSuffix(path, lockSuffix)) == nil {
			os.Remove(path) //nolint:errcheck // Likewise.
		}
		held.release()
	}
}

// freePort finds a port below those that the kernel gives to outgoing connections, so that nobody else takes it while
// the service is down between a kill and its next start.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		var listener net.Listener
		if listener, err = net.Listen("tcp", loopback(port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port: %w", err)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
