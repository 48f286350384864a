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
	// losing says that the next answer is lost, and the connection with it.
	losing atomic.Bool
	// held, where there is one, is closed when what the client sends may arrive. The proxy's mutex guards it.
	held <-chan struct{}
	done chan struct{}
	once sync.Once
}

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

// forward copies what comes; pass says whether to go on.
func (l *link) forward(to, from net.Conn, pass func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !l.wait(from == l.client) || !pass(buffer[:n]) {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *link) request(bytes []byte) bool {
	if l.proxy.loses(bytes) {
		l.losing.Store(true)
	}
	return true
}

func (l *link) answer([]byte) bool {
	if l.losing.Load() {
		l.proxy.countLost()
		return false
	}
	return true
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
