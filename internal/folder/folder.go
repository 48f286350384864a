// Package folder keeps folders that one process at a time uses.
//
// A lock on a file, which ends with the process that holds it however that ends, says whether a folder is in use. On
// systems without such locks (see lock_other.go) nothing is refused and nothing is swept.
package folder

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrInUse says that another process, or another part of this one, has the folder.
var ErrInUse = errors.New("folder is in use")

// Folder is a folder in use. Close it when done.
type Folder struct {
	// Path is where the folder is.
	Path string

	lock      *os.File
	temporary bool
}

const (
	lockName   = "lock"
	lockSuffix = ".lock"
	// mode lets programs that run as another user get at what they own below.
	mode = 0o755
)

// Open takes a folder, making it where it is missing, or returns ErrInUse. Its file "lock" is the lock.
func Open(path string) (*Folder, error) {
	if err := os.MkdirAll(path, mode); err != nil {
		return nil, err
	}
	lock, err := tryLock(filepath.Join(path, lockName))
	if errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("%s: %w by another process", path, err)
	}
	if err != nil {
		return nil, err
	}
	return &Folder{Path: path, lock: lock}, nil
}

// Temporary makes a folder that Close deletes. It first deletes those of the same prefix whose process ended before it
// could.
func Temporary(prefix string) (*Folder, error) {
	sweep(prefix)
	for {
		path := filepath.Join(os.TempDir(), prefix+rand.Text())
		// The lock comes before the folder: a sweep in between takes an empty file, never a folder in use.
		lock, err := waitLock(path + lockSuffix)
		if err != nil {
			return nil, err
		}
		if !isAt(lock, path+lockSuffix) {
			lock.Close() // A sweep took the file between its making and its lock: another name.
			continue
		}
		if err := os.Mkdir(path, mode); err != nil {
			return nil, errors.Join(err, lock.Close())
		}
		return &Folder{Path: path, lock: lock, temporary: true}, nil
	}
}

// isAt says whether an open file is still the one of that name.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}

// Close lets go of the folder, and deletes a temporary one.
func (f *Folder) Close() error {
	var err error
	if f.temporary {
		// The lock file goes last: what is left behind by an error is found by the next sweep.
		if err = os.RemoveAll(f.Path); err == nil {
			err = os.Remove(f.lock.Name())
		}
	}
	return errors.Join(err, f.lock.Close())
}

// sweep deletes temporary folders whose owner is gone: the lock is free.
func sweep(prefix string) {
	if !canLock {
		return
	}
	locks, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"+lockSuffix))
	if err != nil {
		return
	}
	for _, path := range locks {
		lock, err := tryLock(path)
		if err != nil {
			continue
		}
		abandoned := Folder{Path: strings.TrimSuffix(path, lockSuffix), lock: lock, temporary: true}
		abandoned.Close() // What can't be deleted now stays for the next one to try.
	}
}

// Exclusively calls do while it holds the lock on a file, and waits for it where another process has it.
func Exclusively(path string, do func() error) error {
	lock, err := waitLock(path)
	if err != nil {
		return err
	}
	return errors.Join(do(), lock.Close())
}
