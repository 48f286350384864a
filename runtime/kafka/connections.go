package kafka

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/IBM/sarama"
	"golang.org/x/net/proxy"
)

// connections are those of one or more clients. A request that waits for a broker that hangs can't be called off in
// sarama; cutting its connection does it.
type connections struct {
	dialer proxy.Dialer
	ctx    context.Context
	close  context.CancelFunc

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
	tracked := &connection{Conn: conn, of: c}
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

// end breaks every connection and lets no new one be made.
func (c *connections) end() {
	c.close()
	c.cut()
}

type connection struct {
	net.Conn
	of *connections
}

func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
