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
	// held, where there is one, is closed when what the client sends may arrive. The proxy's mutex guards it.
	held <-chan struct{}
	// lost says that an answer was lost; it belongs to the goroutine of the answers.
	lost bool
	done chan struct{}
	once sync.Once
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
		l.forward(l.client, l.server, l.answer)
	})
	l.forward(l.server, l.client, l.request)
	l.close()
	answers.Wait()
}

// forward copies what comes; look says what becomes of it.
func (l *link) forward(to, from net.Conn, look func([]byte) fate) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !l.wait(from == l.client) || !l.hand(to, buffer[:n], look(buffer[:n])) {
				return
			}
		}
		if err != nil {
			return
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
		l.proxy.countLost()
	}
	return fate
}

// wait holds bytes back as long as the proxy has it; false when the link is closed meanwhile.
func (l *link) wait(request bool) bool {
	delay, passing, held := l.proxy.weather(l)
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.done:
			return false
		}
	}
	if request && held != nil && !l.await(held) {
		return false
	}
	return l.await(passing)
}

func (l *link) await(passing <-chan struct{}) bool {
	select {
	case <-passing:
		return true
	case <-l.done:
		return false
	}
}
