//go:build unix

package folder

import (
	"errors"
	"os"
	"syscall"
)

// canLock says whether locks are real here.
const canLock = true

// tryLock takes the lock on a file or returns ErrInUse.
func tryLock(path string) (*os.File, error) { return lock(path, syscall.LOCK_EX|syscall.LOCK_NB) }

// waitLock takes the lock on a file, however long that takes.
func waitLock(path string) (*os.File, error) { return lock(path, syscall.LOCK_EX) }

func lock(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), how)
		switch {
		case err == nil:
			return file, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			err = ErrInUse
		}
		return nil, errors.Join(err, file.Close())
	}
}
