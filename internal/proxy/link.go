package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	// fate is what becomes of the next answer.
	fate atomic.Int32
	// held, where there is one, keeps what the client sends. The proxy's mutex guards it.
	held *hold
	// lost says that an answer was lost; it belongs to the goroutine of the answers.
	lost bool
	done chan struct{}
	once sync.Once
}

// hold keeps what clients send until it is released, which counts what has at least so many bytes.
type hold struct {
	released chan struct{}
	least    int
}

// still returns the hold as long as it is not released.
func (h *hold) still() *hold {
	if h == nil {
		return nil
	}
	select {
	case <-h.released:
		return nil
	default:
		return h
	}
}

// fate is what becomes of an answer.
type fate int32

const (
	passed fate = iota
	// cut answers take the connection with them.
	cut
	// swallowed ones and all after them never come, and the connection stays.
	swallowed
)

func (l *link) close() {
	l.once.Do(func() {
		close(l.done)
		l.client.Close()
		l.server.Close()
	})
}

// run forwards in both directions until one of them ends.
func (l *link) run() {
	var answers sync.WaitGroup
	answers.Go(func() {
		defer l.close()
		if l.forward(l.client, l.server, l.answer) && !l.closed() {
			l.proxy.count(func(c *Counts) { c.Ended++ })
		}
	})
	l.forward(l.server, l.client, l.request)
	l.close()
	answers.Wait()
}

func (l *link) closed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// forward copies what comes until nothing more does, or nothing more can be copied; look says what becomes of it.
func (l *link) forward(to, from net.Conn, look func([]byte) fate) (ended bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !l.wait(from == l.client, n) || !l.hand(to, buffer[:n], look(buffer[:n])) {
				return false
			}
		}
		if err != nil {
			return true
		}
	}
}

// hand passes bytes on if they are to be, and says whether the link lives on.
func (l *link) hand(to net.Conn, bytes []byte, fate fate) bool {
	if fate != passed {
		return fate == swallowed
	}
	_, err := to.Write(bytes)
	return err == nil
}

func (l *link) request(bytes []byte) fate {
	if fate := l.proxy.decide(bytes); fate != passed {
		l.fate.Store(int32(fate))
	}
	return passed
}

func (l *link) answer([]byte) fate {
	fate := fate(l.fate.Load())
	if fate != passed && !l.lost {
		l.lost = true
		l.proxy.count(func(c *Counts) { c.Lost++ })
	}
	return fate
}

// wait holds a piece of so many bytes back as long as the proxy has it; false when the link is closed meanwhile.
func (l *link) wait(request bool, size int) bool {
	delay, passing, held, kept := l.proxy.weather(l, request, size)
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.done:
			return false
		}
	}
	if kept != nil && !l.await(kept.released) || held != nil && !l.arrive(held, size) {
		return false
	}
	return l.await(passing)
}

// arrive waits until what is held may arrive.
func (l *link) arrive(held *hold, size int) bool {
	if !l.await(held.released) {
		return false
	}
	if size >= held.least {
		l.proxy.count(func(c *Counts) { c.Late++ })
	}
	return true
}

func (l *link) await(passing <-chan struct{}) bool {
	select {
	case <-passing:
		return true
	case <-l.done:
		return false
	}
}
