package local

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"

	"github.com/kappaflows/flows/internal/folder"
)

const folderPrefix = "flows-service-"

// newFolder makes a folder for a service. One of a detached service stays when this process ends, so nobody holds it.
func newFolder(detached bool) (dir string, held *folder.Folder, err error) {
	if !detached {
		held, err := folder.Temporary(folderPrefix)
		if err != nil {
			return "", nil, err
		}
		return held.Path, held, nil
	}
	if dir, err = os.MkdirTemp("", folderPrefix); err != nil {
		return "", nil, err
	}
	// Postgres runs as another user and has to get at its data below.
	return dir, nil, os.Chmod(dir, 0o755)
}

// FreeAddress returns an address of loopback at which nobody listens, on a port as freePort finds it.
func FreeAddress() (string, error) {
	port, err := freePort()
	return loopback(port), err
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
