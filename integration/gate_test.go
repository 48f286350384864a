package integration

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// gate passes what a broker's clients and the broker say to each other, and keeps back produce requests while it is shut: the
// broker gives as before and takes nothing.
type gate struct {
	listener net.Listener
	running  sync.WaitGroup

	mutex  sync.Mutex
	target string
	// open is closed while produce requests pass.
	open  chan struct{}
	kept  int
	conns map[net.Conn]bool
}

func newGate(t *testing.T) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := &gate{listener: listener, open: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(g.open)
	g.running.Go(g.accept)
	t.Cleanup(func() {
		listener.Close()
		g.pass()
		g.cut()
		g.running.Wait()
	})
	return g
}

// lead sets where new connections lead to.
func (g *gate) lead(target string) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.target = target
}

// keep shuts the gate.
func (g *gate) keep() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.open = make(chan struct{})
}

// pass opens it.
func (g *gate) pass() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// waiting returns how many produce requests were kept back.
func (g *gate) waiting() int {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.kept
}

func (g *gate) cut() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for conn := range g.conns {
		conn.Close()
	}
}

func (g *gate) accept() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.running.Go(func() { g.serve(client) })
	}
}

func (g *gate) serve(client net.Conn) {
	defer client.Close()
	g.mutex.Lock()
	target := g.target
	g.conns[client] = true
	g.mutex.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return // What the client sees is what it would see of a broker that is away.
	}
	defer server.Close()
	g.running.Go(func() {
		_, _ = io.Copy(client, server)
		client.Close()
	})
	g.requests(server, client)
}

// requests passes requests one by one: a length of four bytes, and then what begins with the number of the API.
func (g *gate) requests(server, client net.Conn) {
	const head, produce = 6, 0
	start := make([]byte, head)
	for {
		if _, err := io.ReadFull(client, start); err != nil {
			return
		}
		if binary.BigEndian.Uint16(start[4:]) == produce {
			g.await()
		}
		if _, err := server.Write(start); err != nil {
			return
		}
		if _, err := io.CopyN(server, client, int64(binary.BigEndian.Uint32(start))-(head-4)); err != nil {
			return
		}
	}
}

// await waits until the gate is open.
func (g *gate) await() {
	g.mutex.Lock()
	open := g.open
	select {
	case <-open:
	default:
		g.kept++
	}
	g.mutex.Unlock()
	<-open
}
