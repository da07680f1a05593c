package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/redisstore"
	"github.com/helseid-go/sdk/internal/benchmarks/lab"
	"github.com/helseid-go/sdk/internal/benchmarks/peers"
	"github.com/helseid-go/sdk/middleware"
)

// guardServer is an API behind the guard, on loopback.
type guardServer struct {
	guard  *middleware.Middleware
	server *http.Server
	target *url.URL
	conns  []*rawConn
}

// startGuard starts one that is called over so many connections. Without a replay
// store it remembers used proofs in its memory.
func startGuard(world *peers.World, replays dpop.ReplayStore, connections int) (*guardServer, error) {
	guard, err := middleware.New(middleware.Config{
		Issuer: world.Issuer.URL, Audience: lab.Audience, Proof: dpop.VerifierConfig{Replay: replays},
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		guard.Close()
		return nil, err
	}
	handler := guard.Require(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		middleware.Scope(lab.Scope), middleware.SecurityLevel(4), middleware.HPRNumber())
	s := &guardServer{
		guard:  guard,
		server: &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Hour},
		target: &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/machine"},
	}
	go func() { _ = s.server.Serve(listener) }()
	s.conns = make([]*rawConn, connections)
	return s, nil
}

// connect makes the connections, which the server would not keep until they are
// used.
func (s *guardServer) connect() error {
	for i := range s.conns {
		if s.conns[i] != nil {
			continue
		}
		conn, err := net.Dial("tcp", s.target.Host)
		if err != nil {
			return err
		}
		s.conns[i] = &rawConn{conn, bufio.NewReader(conn)}
	}
	return nil
}

func (s *guardServer) close() {
	for _, conn := range s.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
	_ = s.server.Close()
	s.guard.Close()
}

// calls is the task of n requests, which the connections share.
func (s *guardServer) calls(world *peers.World, token string) *task {
	return &task{atLeast: 10 * len(s.conns), batch: func(n int) (func() error, error) {
		if err := s.connect(); err != nil {
			return nil, err
		}
		requests := make([][]byte, n)
		for i := range requests {
			proof, err := world.Caller.Proof(s.target, token)
			if err != nil {
				return nil, err
			}
			requests[i] = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: DPoP %s\r\nDPoP: %s\r\n\r\n", s.target.Path, s.target.Host, token, proof)
		}
		return func() error {
			errs := make([]error, len(s.conns))
			var workers sync.WaitGroup
			for i, conn := range s.conns {
				workers.Go(func() {
					for at := i; at < n && errs[i] == nil; at += len(s.conns) {
						errs[i] = conn.call(requests[at])
					}
				})
			}
			workers.Wait()
			return errors.Join(errs...)
		}, nil
	}}
}

// rawConn is a client that costs next to nothing: what is measured is the server.
type rawConn struct {
	net.Conn
	answers *bufio.Reader
}

func (c *rawConn) call(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	status := ""
	for {
		line, err := c.answers.ReadSlice('\n')
		if err != nil {
			return err
		}
		if status == "" {
			status = string(line)
		}
		if len(line) <= 2 {
			break
		}
	}
	if status != "HTTP/1.1 204 No Content\r\n" {
		return fmt.Errorf("a good request was answered with %q", status)
	}
	return nil
}

// storeConnections call the guard at the same time.
const storeConnections = 64

// minStoreShare is what a guard that shares its used proofs serves at least, of what
// one serves that remembers them itself.
const minStoreShare = 0.75

// storeRows compare a guard whose processes share the used proofs in a Redis beside
// it with one that remembers them itself, which is the bare task. Both are called
// over loopback.
func storeRows(world *peers.World, token string) (rows []*row, end func(), err error) {
	redis, err := lab.StartRedis()
	if err != nil {
		return nil, nil, err
	}
	closers := []func(){redis.Close}
	end = func() {
		for _, f := range slices.Backward(closers) {
			f()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	// A busy machine must not make answers fail: the limit is not what is measured.
	replays, err := redisstore.NewReplays(redisstore.Config{URL: identity.NewSecret(redis.URL), Timeout: 5 * time.Second})
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, func() { _ = replays.Close() })
	compare := func(name string, connections int) (*row, error) {
		var tasks [2]*task
		for i, store := range []dpop.ReplayStore{nil, replays} {
			server, err := startGuard(world, store, connections)
			if err != nil {
				return nil, err
			}
			closers = append(closers, server.close)
			tasks[i] = server.calls(world, token)
		}
		return &row{name: name, bare: tasks[0], ours: tasks[1]}, nil
	}
	one, err := compare(rowSharedOne, 1)
	if err != nil {
		return nil, nil, err
	}
	many, err := compare(rowShared, storeConnections)
	if err != nil {
		return nil, nil, err
	}
	many.maxRatio = 1 / minStoreShare
	return []*row{one, many}, end, nil
}
