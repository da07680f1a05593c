package helseidtest

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
)

// ServeOn makes the server answer on a listener of the caller's: one with TLS, or one
// that other machines can reach, for containers that test each other. The issuer is the
// address under which clients know the server, possibly with a path. It is https, or
// http on a loopback host, and never one of HelseID's own. The server closes the listener.
//
// Everybody who reaches the listener can log in as any of the server's users and, with
// [Selvbetjening], register clients. Requests must name the issuer's host or a loopback
// host. [Server.HTTPClient] reaches the server without the listener, and [Server.Requests]
// has about the newest thousand only, since such a server may run for long.
func ServeOn(listener net.Listener, issuer string) Option {
	return option(func(o *options) { o.listener, o.issuer = listener, issuer })
}

func (s *Server) listen() error {
	if s.options.listener == nil {
		if err := s.listenOnLoopback(); err != nil {
			return err
		}
	}
	issuer, err := url.Parse(s.options.issuer)
	if err == nil {
		err = checkPublicIssuer(issuer)
	}
	if err == nil && s.base != "" && s.base != issuer.Path {
		err = errors.New("Path is not that of the issuer")
	}
	if err == nil {
		s.issuer, s.base = s.options.issuer, issuer.Path
		err = s.build()
	}
	if err != nil {
		_ = s.options.listener.Close()
		return fmt.Errorf("helseidtest: %w", err)
	}
	s.server = &http.Server{
		Handler:           onOwnName(s.handler, issuer.Hostname()),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // such as failed TLS handshakes
	}
	go func() { _ = s.server.Serve(s.options.listener) }()
	return nil
}

func (s *Server) listenOnLoopback() error {
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
	s.options.listener = listener
	s.options.issuer = "http://" + net.JoinHostPort(host, strconv.Itoa(address.Port)) + s.base
	return nil
}

// checkPublicIssuer refuses an issuer that no client accepts, and those of HelseID: test
// material stays test material.
func checkPublicIssuer(issuer *url.URL) error {
	if err := httpx.CheckSecure(issuer); err != nil {
		return fmt.Errorf("the issuer: %w", err)
	}
	host := strings.TrimSuffix(strings.ToLower(issuer.Hostname()), ".")
	switch {
	case issuer.User != nil, issuer.RawQuery != "", issuer.Fragment != "", cleanPath(issuer.Path) != issuer.Path:
		return errors.New("the issuer is scheme, host and path only, without a slash at its end")
	case host == "nhn.no", strings.HasSuffix(host, ".nhn.no"):
		return errors.New("the issuer is one of Norsk helsenett's addresses, which no test server may take")
	}
	return nil
}

// onOwnName refuses requests for another host name. Such a name resolves to this
// machine only if somebody has set it up to do so: a page at that name in the
// developer's browser could otherwise read what the server sends (DNS rebinding).
func onOwnName(next http.Handler, own string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.Trim(host, "[]")
		if !httpx.IsLoopback(host) && !strings.EqualFold(host, own) {
			http.Error(w, "use the address that the server listens on", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
