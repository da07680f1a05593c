package redisstore

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy is the line to a server, which can fall silent without breaking, be slow or
// be cut.
type proxy struct {
	listener net.Listener
	socket   string

	mu      sync.Mutex
	changed sync.Cond
	silent  bool
	cut     bool
	delay   time.Duration // of each answer
	conns   map[net.Conn]struct{}
	closed  bool
}

func startProxy(t testing.TB, server *server) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, socket: server.socket, conns: make(map[net.Conn]struct{})}
	p.changed.L = &p.mu
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		p.closed = true
		for conn := range p.conns {
			_ = conn.Close()
		}
		p.changed.Broadcast()
		p.mu.Unlock()
		all.Wait()
	})
	return p
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() }

// setSilent makes the line swallow everything, or carry it again.
func (p *proxy) setSilent(silent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = silent
	p.changed.Broadcast()
}

// setDelay makes answers take so much longer.
func (p *proxy) setDelay(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// setCut breaks all connections and takes no new ones, or takes them again.
func (p *proxy) setCut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	if cut {
		for conn := range p.conns {
			_ = conn.Close()
		}
		clear(p.conns)
	}
}

// wait is the delay of an answer.
func (p *proxy) wait() {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	time.Sleep(delay)
}

// pass waits while the line is silent.
func (p *proxy) pass() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.silent && !p.closed {
		p.changed.Wait()
	}
	return !p.closed
}

func (p *proxy) hold(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.cut {
		_ = conn.Close()
		return false
	}
	p.conns[conn] = struct{}{}
	return true
}

func (p *proxy) serve(client net.Conn) {
	if !p.hold(client) || !p.pass() {
		return
	}
	server, err := net.Dial("unix", p.socket)
	if err != nil {
		_ = client.Close()
		return
	}
	if !p.hold(server) {
		_ = client.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.carry(server, client, func() {}) })
	both.Go(func() { p.carry(client, server, p.wait) })
	both.Wait()
}

func (p *proxy) carry(to, from net.Conn, wait func()) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !p.pass() {
			return
		}
		wait()
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
