package main

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// A backChannel is the address at which clients are told that a user has logged out. One client at a
// time listens there.
type backChannel struct {
	server   *http.Server
	url      string
	mu       sync.Mutex
	listener http.Handler // nil if nobody listens
	calls    int
}

// logoutChannel returns the back channel, which the authorization server must know when it starts.
func (l *lab) logoutChannel() (*backChannel, error) {
	if l.backChannel != nil {
		return l.backChannel, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	channel := &backChannel{url: "http://" + listener.Addr().String() + "/logout"}
	channel.server = &http.Server{Handler: channel, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = channel.server.Serve(listener) }()
	l.backChannel = channel
	return channel, nil
}

func (b *backChannel) close() { _ = b.server.Close() }

// listen hands what comes from now on to a client, or to nobody.
func (b *backChannel) listen(client http.Handler) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listener, b.calls = client, 0
}

func (b *backChannel) called() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

func (b *backChannel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.calls++
	listener := b.listener
	b.mu.Unlock()
	if listener == nil {
		http.NotFound(w, r)
		return
	}
	listener.ServeHTTP(w, r)
}
