package helseidtest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
)

func (s *Server) listen() error {
	host, _, err := net.SplitHostPort(s.options.address)
	if err != nil || !httpx.IsLoopback(host) {
		return errors.New("helseidtest: the server listens on loopback addresses only, such as 127.0.0.1:0")
	}
	listener, err := net.Listen("tcp", s.options.address)
	if err != nil {
		return fmt.Errorf("helseidtest: %w", err)
	}
	address := listener.Addr().(*net.TCPAddr)
	if !address.IP.IsLoopback() {
		_ = listener.Close()
		return errors.New("helseidtest: localhost is another machine's name here")
	}
	s.issuer = "http://" + net.JoinHostPort(host, strconv.Itoa(address.Port)) + s.base
	if err := s.build(); err != nil {
		_ = listener.Close()
		return err
	}
	s.server = &http.Server{Handler: onLoopback(s.handler), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(listener) }()
	return nil
}

// onLoopback refuses requests for another host name. Such a name resolves to this
// machine only if somebody has set it up to do so: a page at that name in the
// developer's browser could otherwise read what the server sends (DNS rebinding).
func onLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !httpx.IsLoopback(strings.Trim(host, "[]")) {
			http.Error(w, "use the address that the server listens on", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
