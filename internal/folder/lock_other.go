//go:build !unix

package folder

import "os"

// canLock says whether locks are real here.
const canLock = false

// tryLock opens the file; nobody is refused.
func tryLock(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644) }

// waitLock opens the file; nobody is waited for.
func waitLock(path string) (*os.File, error) { return tryLock(path) }
