package main

import (
	"net"
	"sync/atomic"
)

// A trap is an address that nobody has any business with. It counts who comes by.
type trap struct {
	net.Listener
	visitors atomic.Int64
}

func newTrap() (*trap, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &trap{Listener: listener}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			t.visitors.Add(1)
			conn.Close()
		}
	}()
	return t, nil
}

func (t *trap) url() string {
	return "http://" + t.Addr().String()
}

// closedURL is the URL of a port that nobody listens on.
func closedURL() (string, error) {
	t, err := newTrap()
	if err != nil {
		return "", err
	}
	return t.url(), t.Close()
}
