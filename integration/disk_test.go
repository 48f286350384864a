package integration

import (
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// disk is a small one for a database, which can be filled. It needs the right to mount.
type disk struct {
	t *testing.T
	// folder is what a tablespace may have; empty where there is no disk, for the reason given.
	folder, reason string
	mounted        string
}

// anyDisk is no small disk: the database is where it would be anyway.
func anyDisk() *disk { return &disk{reason: "the database has no small disk"} }

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{t: t}
	account, err := user.Lookup("postgres")
	if err != nil || os.Getuid() != 0 {
		d.reason = "a small disk is mounted as root, for the user postgres"
		return d
	}
	// Not the test's own folder, which other users can't enter.
	mounted, err := os.MkdirTemp("", "flows-disk-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.Remove(mounted)) })
	require.NoError(t, os.Chmod(mounted, 0o755))
	options := fmt.Sprintf("size=256m,mode=0755,uid=%s,gid=%s", account.Uid, account.Gid)
	if err := syscall.Mount("flows", mounted, "tmpfs", 0, options); err != nil {
		d.reason = "a small disk can't be mounted: " + err.Error()
		return d
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(mounted, syscall.MNT_DETACH)) })
	folder := filepath.Join(mounted, "tablespace")
	require.NoError(t, os.Mkdir(folder, 0o700))
	var uid, gid int
	_, err = fmt.Sscan(account.Uid+" "+account.Gid, &uid, &gid)
	require.NoError(t, err)
	require.NoError(t, os.Chown(folder, uid, gid))
	d.folder, d.mounted = folder, mounted
	return d
}

func (d *disk) filler() string { return filepath.Join(d.mounted, "filler") }

// fill takes all that is left.
func (d *disk) fill() {
	d.t.Helper()
	file, err := os.Create(d.filler())
	require.NoError(d.t, err)
	defer file.Close()
	_, err = io.Copy(file, zeros{})
	require.ErrorIs(d.t, err, syscall.ENOSPC)
}

// clear gives it back.
func (d *disk) clear() {
	d.t.Helper()
	require.NoError(d.t, os.Remove(d.filler()))
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
