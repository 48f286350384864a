// Package proxy is a small TCP proxy that does to connections what networks do: it cuts, delays and stalls them, and loses
// answers. Tests put it between a program and its broker or database. It knows nothing of what is said over the connections.
package proxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Proxy accepts connections and forwards each to one address. It is for use by several goroutines at once.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mutex  sync.Mutex
	target string
	links  map[*link]struct{}
	delay  time.Duration
	// kept, where there is one, keeps large pieces that clients send.
	kept *hold
	// passing is closed while bytes pass.
	passing chan struct{}
	// losing is how many answers are still to be lost, to requests of at least so many bytes, and fate what becomes of
	// them.
	losing, least int
	fate          fate
	counts        Counts
	closed        bool
}

// Counts say what connections have gone through so far.
type Counts struct {
	// Cut are connections that Cut closed, Ended those that the server did, and Refused those that were closed at once, as
	// the server could not be reached.
	Cut, Ended, Refused int
	// Stalled are the pieces that came while nothing passed, Delayed those that were held for a while, Late those that
	// Hold kept and that arrived, and Kept those that Keep keeps or has kept.
	Stalled, Delayed, Late, Kept int
	// Lost are the answers that were lost.
	Lost int
}

// Counts returns what happened so far.
func (p *Proxy) Counts() Counts {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.counts
}

// count changes what has happened.
func (p *Proxy) count(change func(*Counts)) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	change(&p.counts)
}

// Start starts a proxy on a free port of the loopback interface. Until Forward names a target it cuts every connection.
func Start() (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{listener: listener, links: map[*link]struct{}{}, passing: make(chan struct{})}
	close(p.passing)
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where the proxy accepts connections.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Forward sets where new connections lead to, as host:port.
func (p *Proxy) Forward(target string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.target = target
}

// Cut closes all connections and returns how many.
func (p *Proxy) Cut() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	n := len(p.links)
	for l := range p.links {
		l.close()
	}
	p.counts.Cut += n
	return n
}

// Delay holds what is sent, in both directions, for so long; 0 ends that.
func (p *Proxy) Delay(delay time.Duration) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.delay = delay
}

// Stall lets nothing pass: connections stay, and are made, but nothing comes through. Resume ends it, and then
// everything arrives.
func (p *Proxy) Stall() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	select {
	case <-p.passing:
		p.passing = make(chan struct{})
	default: // It is stalled already.
	}
}

// Resume ends a Stall.
func (p *Proxy) Resume() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	select {
	case <-p.passing:
	default:
		close(p.passing)
	}
}

// Hold keeps what clients send over the connections that are there now; new ones are not concerned. What is kept
// arrives when release is called, even where the client is gone by then: as packets do that were long on their way.
// What has at least so many bytes is counted as late.
func (p *Proxy) Hold(least int) (release func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	held := &hold{released: make(chan struct{}), least: least}
	for l := range p.links {
		l.held = held
	}
	return sync.OnceFunc(func() { close(held.released) })
}

// Keep keeps all that clients send that has at least so many bytes, and what comes behind it, over whatever connection;
// the rest passes. What is kept arrives when release is called.
func (p *Proxy) Keep(least int) (release func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	kept := &hold{released: make(chan struct{}), least: least}
	p.kept = kept
	return sync.OnceFunc(func() { close(kept.released) })
}

// LoseAnswers makes the next n requests of at least so many bytes lose their answers: the request passes, and its
// connection is cut when the answer comes. 0 ends that.
func (p *Proxy) LoseAnswers(n, least int) { p.lose(n, least, cut) }

// SwallowAnswers does the same, but the connection stays: nothing comes over it any more.
func (p *Proxy) SwallowAnswers(n, least int) { p.lose(n, least, swallowed) }

func (p *Proxy) lose(n, least int, fate fate) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.losing, p.least, p.fate = n, least, fate
}

// Close ends the proxy and all connections, and waits until they are gone.
func (p *Proxy) Close() error {
	p.mutex.Lock()
	p.closed = true
	p.mutex.Unlock()
	err := p.listener.Close()
	p.Cut()
	p.running.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // Too many open files, or a client that is gone already.
			continue
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.mutex.Lock()
	target := p.target
	p.mutex.Unlock()
	server, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		p.count(func(c *Counts) { c.Refused++ })
		return // What the client sees is what it would see of a server that is away.
	}
	defer server.Close()
	l := &link{proxy: p, client: client, server: server, done: make(chan struct{})}
	p.mutex.Lock()
	if p.closed {
		p.mutex.Unlock()
		return
	}
	p.links[l] = struct{}{}
	p.mutex.Unlock()
	l.run()
	p.mutex.Lock()
	delete(p.links, l)
	p.mutex.Unlock()
}

// decide says what is to become of the answer to a request.
func (p *Proxy) decide(request []byte) fate {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.losing == 0 || len(request) < p.least {
		return passed
	}
	p.losing--
	return p.fate
}

// weather is what a piece has to go through that comes over a connection now.
func (p *Proxy) weather(l *link, request bool, size int) (delay time.Duration, passing <-chan struct{}, held, kept *hold) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.delay > 0 {
		p.counts.Delayed++
	}
	select {
	case <-p.passing:
	default:
		p.counts.Stalled++
	}
	if !request {
		return p.delay, p.passing, nil, nil
	}
	l.held, p.kept = l.held.still(), p.kept.still()
	if p.kept != nil && size >= p.kept.least {
		p.counts.Kept++
		kept = p.kept
	}
	return p.delay, p.passing, l.held, kept
}
