package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/redisstore"
)

var errNoRedis = errors.New("there is no redis-server or valkey-server to start: install one (apt-get install redis-server), or name a running one with -redis URL")

// A shared Redis can be made unreachable and reachable again.
type shared interface {
	// address is the URL at which the processes reach it, and the name in its
	// certificate if that is not the URL's host.
	address() (redisURL, serverName string)

	// takeAway makes it unreachable, and describes how.
	takeAway() string

	// bringBack makes it reachable again.
	bringBack(ctx context.Context) error

	close()
}

// openRedis starts a Redis, or opens a connection to the given one, and checks that it
// has the required settings.
func openRedis(ctx context.Context, opts options) (shared, error) {
	if opts.redis == "" {
		return startRedis(ctx)
	}
	if err := checkRedis(ctx, opts.redis); err != nil {
		return nil, err
	}
	return newLine(opts.redis)
}

func checkRedis(ctx context.Context, redisURL string) error {
	replays, err := redisstore.NewReplays(redisstore.Config{URL: identity.NewSecret(redisURL), Timeout: 5 * time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = replays.Close() }()
	return replays.Check(ctx)
}

// server is a Redis that this program has started. It writes each used proof to disk
// before it answers, so that none is lost when it is killed.
type server struct {
	program string
	dir     string
	cmd     *exec.Cmd
}

func startRedis(ctx context.Context) (*server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if program, err = exec.LookPath("valkey-server"); err != nil {
			return nil, errNoRedis
		}
	}
	dir, err := os.MkdirTemp("", "cluster") // the path of a socket must be short
	if err != nil {
		return nil, err
	}
	s := &server{program: program, dir: dir}
	if err := s.bringBack(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *server) socket() string { return filepath.Join(s.dir, "redis.sock") }

func (s *server) address() (string, string) { return "unix://" + s.socket(), "" }

func (s *server) takeAway() string {
	s.kill()
	return "killed"
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // fails only if it has ended already
		_ = s.cmd.Wait()         // the error "killed" is expected
		s.cmd = nil
	}
}

func (s *server) bringBack(ctx context.Context) error {
	s.cmd = exec.Command(s.program, "--port", "0", "--unixsocket", s.socket(), "--unixsocketperm", "700", "--dir", s.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	endWithParent(s.cmd)
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	var err error
	if waitFor(ctx, "Redis", func() bool {
		redisURL, _ := s.address()
		err = checkRedis(ctx, redisURL)
		return err == nil
	}) != nil {
		return fmt.Errorf("%s does not start: %w", s.program, err)
	}
	return nil
}

func (s *server) close() {
	s.kill()
	_ = os.RemoveAll(s.dir)
}

// line is a connection to an existing Redis, which can be cut.
type line struct {
	network, target string
	redisURL, name  string
	listener        net.Listener

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

// newLine expects a URL that has been checked.
func newLine(redisURL string) (*line, error) {
	target, err := url.Parse(redisURL)
	if err != nil {
		return nil, errors.New("-redis is no URL")
	}
	l := &line{network: "tcp", target: target.Host, conns: make(map[net.Conn]struct{})}
	if target.Scheme == "unix" {
		l.network, l.target = "unix", target.Path
		target.Scheme, target.Path = "redis", ""
	} else if target.Port() == "" {
		l.target = net.JoinHostPort(target.Hostname(), "6379")
	}
	if target.Scheme == "rediss" {
		l.name = target.Hostname()
	}
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	target.Host = l.listener.Addr().String()
	l.redisURL = target.String()
	go l.serve()
	return l, nil
}

func (l *line) address() (string, string) { return l.redisURL, l.name }

func (l *line) serve() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.connect(near)
	}
}

func (l *line) connect(near net.Conn) {
	far, err := net.DialTimeout(l.network, l.target, 5*time.Second)
	if err != nil || !l.hold(near, far) {
		_ = near.Close()
		if far != nil {
			_ = far.Close()
		}
		return
	}
	go carry(far, near)
	carry(near, far)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, near)
	delete(l.conns, far)
}

func (l *line) hold(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	for _, conn := range conns {
		l.conns[conn] = struct{}{}
	}
	return true
}

func (l *line) takeAway() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for conn := range l.conns {
		_ = conn.Close()
	}
	return "cut off"
}

func (l *line) bringBack(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
	return nil
}

func (l *line) close() {
	_ = l.listener.Close()
	l.takeAway()
}

func carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// patience bounds every wait of the program.
const patience = 30 * time.Second

// waitFor waits until a condition holds.
func waitFor(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", strings.TrimSpace(what), ctx.Err())
		}
	}
	return nil
}
