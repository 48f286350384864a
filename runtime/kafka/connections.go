package kafka

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/net/proxy"
)

// connections are those of one or more clients. A request that waits for a broker that hangs can't be called off in
// sarama; cutting its connection does it.
type connections struct {
	dialer proxy.Dialer
	ctx    context.Context
	close  context.CancelFunc
	// silence is nil where nobody looks after it.
	silence *silence

	mu   sync.Mutex
	open map[*connection]struct{}
}

var errClosed = errors.New("kafka: closed")

// track makes connections of what settings dial from now on.
func track(settings *sarama.Config) *connections {
	c := &connections{open: map[*connection]struct{}{}}
	c.ctx, c.close = context.WithCancel(context.Background())
	if settings.Net.Proxy.Enable {
		c.dialer = settings.Net.Proxy.Dialer
	} else {
		c.dialer = &net.Dialer{
			Timeout: settings.Net.DialTimeout, KeepAlive: settings.Net.KeepAlive, LocalAddr: settings.Net.LocalAddr,
		}
	}
	settings.Net.Proxy.Enable, settings.Net.Proxy.Dialer = true, c
	return c
}

// Dial implements proxy.Dialer.
func (c *connections) Dial(network, address string) (net.Conn, error) {
	if err := c.silence.refuse(address); err != nil {
		return nil, err
	}
	var conn net.Conn
	var err error
	if d, ok := c.dialer.(proxy.ContextDialer); ok {
		conn, err = d.DialContext(c.ctx, network, address)
	} else {
		conn, err = c.dialer.Dial(network, address)
	}
	if err != nil {
		return nil, err
	}
	tracked := &connection{Conn: conn, of: c, address: address}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil, errors.Join(errClosed, conn.Close())
	}
	c.open[tracked] = struct{}{}
	return tracked, nil
}

// cut breaks every connection there is; clients make new ones when they need them.
func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.Conn.Close() // its reader gets the error
	}
	clear(c.open)
}

// cutThose breaks the connections to one address.
func (c *connections) cutThose(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		if conn.address == address {
			_ = conn.Conn.Close() // its reader gets the error
			delete(c.open, conn)
		}
	}
}

// waiting returns the addresses that have left an answer due since some time or before.
func (c *connections) waiting(since time.Time) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	addresses := map[string]bool{}
	for conn := range c.open {
		if began := conn.reading.Load(); began > 0 && began < since.UnixNano() {
			addresses[conn.address] = true
		}
	}
	return addresses
}

// end breaks every connection and lets no new one be made.
func (c *connections) end() {
	c.close()
	c.cut()
	if c.silence != nil {
		c.silence.running.Wait()
	}
}

type connection struct {
	net.Conn
	of      *connections
	address string
	// reading is since when an answer is waited for, 0 where none is.
	reading atomic.Int64
}

// Read implements net.Conn. Nothing is read but answers that are due.
func (c *connection) Read(p []byte) (int, error) {
	c.reading.Store(time.Now().UnixNano())
	defer c.reading.Store(0)
	return c.Conn.Read(p)
}

func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
