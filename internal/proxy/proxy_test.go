package proxy

import (
	"bufio"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that answers each line with itself, and remembers them.
type echo struct {
	net.Listener
	mutex sync.Mutex
	lines []string
}

func newEcho(t *testing.T) *echo {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	e := &echo{Listener: listener}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { e.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return e
}

func (e *echo) serve(conn net.Conn) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		e.mutex.Lock()
		e.lines = append(e.lines, lines.Text())
		e.mutex.Unlock()
		if _, err := io.WriteString(conn, lines.Text()+"\n"); err != nil {
			return
		}
	}
}

func (e *echo) heard() []string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return append([]string(nil), e.lines...)
}

func newProxy(t *testing.T, target string) *Proxy {
	p, err := Start()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	p.Forward(target)
	return p
}

type caller struct {
	net.Conn
	answers *bufio.Reader
}

func call(t *testing.T, p *Proxy) caller {
	conn, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return caller{conn, bufio.NewReader(conn)}
}

func (c caller) say(line string) error {
	_, err := io.WriteString(c, line+"\n")
	return err
}

func (c caller) hear() (string, error) {
	line, err := c.answers.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (c caller) ask(t *testing.T, line string) {
	t.Helper()
	require.NoError(t, c.say(line))
	answer, err := c.hear()
	require.NoError(t, err)
	require.Equal(t, line, answer)
}

func TestForward(t *testing.T) {
	p := newProxy(t, newEcho(t).Addr().String())
	one, other := call(t, p), call(t, p)
	one.ask(t, "one")
	other.ask(t, "other")
	one.ask(t, strings.Repeat("long ", 10_000)+".")
}

func TestCut(t *testing.T) {
	p := newProxy(t, newEcho(t).Addr().String())
	c := call(t, p)
	c.ask(t, "before")
	require.Equal(t, 1, p.Cut())
	_, err := c.hear()
	require.Error(t, err)
	call(t, p).ask(t, "after")
}

func TestNoTarget(t *testing.T) {
	_, err := call(t, newProxy(t, "")).hear()
	require.Error(t, err)
}

func TestStall(t *testing.T) {
	server := newEcho(t)
	p := newProxy(t, server.Addr().String())
	c := call(t, p)
	c.ask(t, "before")
	p.Stall()
	p.Stall()
	require.NoError(t, c.say("held"))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := c.hear()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Equal(t, []string{"before"}, server.heard())
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	require.Equal(t, 1, p.Counts().Stalled)
	p.Resume()
	p.Resume()
	answer, err := c.hear()
	require.NoError(t, err)
	require.Equal(t, "held", answer)
}

func TestHold(t *testing.T) {
	server := newEcho(t)
	p := newProxy(t, server.Addr().String())
	early := call(t, p)
	early.ask(t, "before")
	release := p.Hold(len("held\n"))
	require.NoError(t, early.say("held"))
	late := call(t, p)
	late.ask(t, "late")
	require.NoError(t, early.Close())
	late.ask(t, "later")
	require.Equal(t, []string{"before", "late", "later"}, server.heard())
	release()
	release()
	require.Eventually(t, func() bool { return len(server.heard()) == 4 }, 10*time.Second, time.Millisecond)
	require.Equal(t, "held", server.heard()[3])
	require.Equal(t, 1, p.Counts().Late)
}

func TestKeep(t *testing.T) {
	server := newEcho(t)
	p := newProxy(t, server.Addr().String())
	early := call(t, p)
	early.ask(t, "before")
	release := p.Keep(len("large\n"))
	late := call(t, p)
	for _, c := range []caller{early, late} {
		c.ask(t, "tiny")
		require.NoError(t, c.say("large"))
	}
	require.Eventually(t, func() bool { return p.Counts().Kept == 2 }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{"before", "tiny", "tiny"}, server.heard())
	release()
	release()
	for _, c := range []caller{early, late} {
		answer, err := c.hear()
		require.NoError(t, err)
		require.Equal(t, "large", answer)
		c.ask(t, "as large, and taken")
	}
}

// TestEnded: connections that the server ended are told from those that the client did, or the proxy.
func TestEnded(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := newProxy(t, listener.Addr().String())
	accept := func() (client caller, server net.Conn) {
		client = call(t, p)
		server, err := listener.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { server.Close() })
		require.NoError(t, client.say("hello"))
		_, err = server.Read(make([]byte, len("hello\n")))
		require.NoError(t, err)
		return client, server
	}
	awaitEnd := func(conn net.Conn) {
		_, err := conn.Read(make([]byte, 1))
		require.Error(t, err)
	}
	one, other := accept()
	require.NoError(t, one.Close())
	awaitEnd(other)
	one, other = accept()
	p.Cut()
	awaitEnd(one)
	awaitEnd(other)
	require.Zero(t, p.Counts().Ended)
	one, other = accept()
	require.NoError(t, other.Close())
	awaitEnd(one)
	require.NoError(t, listener.Close())
	awaitEnd(call(t, p))
	counts := p.Counts()
	require.Equal(t, [2]int{1, 1}, [2]int{counts.Ended, counts.Refused})
}

func TestDelay(t *testing.T) {
	const delay = 30 * time.Millisecond
	p := newProxy(t, newEcho(t).Addr().String())
	c := call(t, p)
	p.Delay(delay)
	start := time.Now()
	c.ask(t, "slow")
	require.GreaterOrEqual(t, time.Since(start), 2*delay) // There and back.
	require.Equal(t, 2, p.Counts().Delayed)
	p.Delay(0)
	c.ask(t, "fast")
}

func TestLostAnswers(t *testing.T) {
	server := newEcho(t)
	p := newProxy(t, server.Addr().String())
	c := call(t, p)
	p.LoseAnswers(1, 10)
	c.ask(t, "small")
	require.NoError(t, c.say("large enough"))
	_, err := c.hear()
	require.Error(t, err)
	require.Equal(t, []string{"small", "large enough"}, server.heard())
	require.Equal(t, 1, p.Counts().Lost)
	call(t, p).ask(t, "as large, and answered")
}

func TestSwallowedAnswers(t *testing.T) {
	server := newEcho(t)
	p := newProxy(t, server.Addr().String())
	c := call(t, p)
	p.SwallowAnswers(1, 10)
	require.NoError(t, c.say("large enough"))
	require.NoError(t, c.say("next"))
	require.Eventually(t, func() bool { return len(server.heard()) == 2 }, 10*time.Second, time.Millisecond)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := c.hear()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Equal(t, 1, p.Counts().Lost)
	call(t, p).ask(t, "as large, and answered")
}
