package redisstore

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// go-redis writes each failed dial to standard error, with a logger that the whole
// process shares and that this package must not change. So a failed dial is hidden from
// go-redis: it gets a broken connection instead, whose first use fails.

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// quiet returns the dialer that go-redis would use, with failed dials hidden.
func quiet(options *redis.Options) dialer {
	dial := redis.NewDialer(options)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return brokenConn{fmt.Errorf("dial: %w", err)}, nil // go-redis unwraps it once
		}
		return conn, nil
	}
}

// brokenConn is a connection that could not be made.
type brokenConn struct{ err error }

func (c brokenConn) Read([]byte) (int, error)       { return 0, c.err }
func (c brokenConn) Write([]byte) (int, error)      { return 0, c.err }
func (brokenConn) Close() error                     { return nil }
func (brokenConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (brokenConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (brokenConn) SetDeadline(time.Time) error      { return nil }
func (brokenConn) SetReadDeadline(time.Time) error  { return nil }
func (brokenConn) SetWriteDeadline(time.Time) error { return nil }
