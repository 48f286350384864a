package http_test

import (
	"context"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"os"
	"sync"
	"testing"

	"github.com/kappaflows/flows/runtime/http"
)

// pipe is a listener of connections inside the process, whose time can be a test's.
type pipe struct {
	ends   chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case end := <-p.ends:
		return end, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx, cancel
}

// readAll reads a body as routers do.
func readAll(_ nethttp.ResponseWriter, request *nethttp.Request) error {
	_, err := io.ReadAll(request.Body)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &http.Problem{Status: nethttp.StatusRequestTimeout, Detail: "late"}
	}
	return err
}
