// Package proxy is the command "helseid proxy".
package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/clientflags"
	"github.com/helseid-go/sdk/internal/httpx"
)

// Command returns the command.
func Command() cli.Command {
	return cli.Command{
		Name:    "proxy",
		Summary: "put tokens and proofs on the requests of curl, Postman and others",
		Help: `Listens on loopback and passes requests on to one API, with a token and a DPoP proof on each. It
is for curl, Postman and programs in other languages, on the machine of a developer.

Each request must have the header X-Proxy-Secret with the secret that is printed at the start, or
the one in the file of -secret-file: other users of the machine, and pages in its browsers, can
reach the address as well. Requests of browsers (Origin, Sec-Fetch-Site), with a Host that is not
loopback, with another API's address, and upgrades to other protocols are refused.

Authorization, DPoP, Cookie and headers of the connection are taken away on the way in, Set-Cookie
and DPoP-Nonce on the way out. Bodies are streamed. A redirect to another origin ends here.`,
		Examples: []string{
			"helseid proxy -target https://api.example.no",
			`curl -H "X-Proxy-Secret: SECRET" http://127.0.0.1:PORT/v1/things`,
			"helseid proxy -target https://api.example.no/base -listen 127.0.0.1:8282 -secret-file secret.txt",
		},
		Setup: setup,
	}
}

func setup(flags *cli.Flags) cli.Run {
	var (
		client clientflags.Client
		token  clientflags.Token
	)
	client.Add(flags)
	token.Add(flags)
	target := flags.String("target", "", "`URL` of the API, possibly with a path that is put before each request's")
	listen := flags.String("listen", "127.0.0.1:0", "loopback `address` to listen on; port 0 takes a free one")
	secretFile := flags.String("secret-file", "", "`file` with the secret that requests must have, or - for standard input; empty: a new secret is printed")
	verbose := flags.Bool("v", false, "print method, path and status of each request")
	return func(ctx context.Context, out *cli.Output, _ []string) error {
		origin, err := parseTarget(*target)
		if err != nil {
			return cli.Usagef("-target: %w", err)
		}
		secret, err := readSecret(*secretFile, out)
		if err != nil {
			return cli.Usagef("-secret-file: %w", err)
		}
		config, err := client.Config(out)
		if err != nil {
			return err
		}
		request := token.Request()
		request.AllowedOrigins = []string{httpx.Origin(origin)}
		source, err := helseid.New(config)
		if err == nil {
			defer source.Close()
			err = source.Validate(request)
		}
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		listener, err := listenOnLoopback(*listen)
		if err != nil {
			return err
		}
		defer listener.Close()
		h := &handler{target: origin, secret: secret.value, transport: source.Transport(request)}
		if *verbose {
			h.observe = observer(out)
		}
		announce(out, listener, h, secret.new)
		if _, err := source.Token(ctx, request); err != nil && ctx.Err() == nil {
			out.Note("warning: there is no token yet: %v", token.Explain(err))
		}
		return serve(ctx, listener, h)
	}
}

type secret struct {
	value string
	new   bool // to be printed
}

// minSecret is long enough that nobody guesses a random one.
const minSecret = 16

func readSecret(path string, out *cli.Output) (secret, error) {
	if path == "" {
		return secret{rand.Text(), true}, nil
	}
	value, err := cli.ReadSecret(path, out.Stdin)
	if err == nil && len(value) < minSecret {
		err = errors.New("the secret is shorter than 16 characters")
	}
	return secret{value, false}, err
}

func listenOnLoopback(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !httpx.IsLoopback(host) {
		return nil, cli.Usagef("-listen: it listens on loopback only, such as 127.0.0.1:8282")
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = listener.Close()
		return nil, cli.Usagef("-listen: localhost is another machine's name here")
	}
	return listener, nil
}

func announce(out *cli.Output, listener net.Listener, h *handler, show bool) {
	address := "http://" + listener.Addr().String()
	event := map[string]any{"event": "listening", "url": address, "target": h.target.String(), "header": secretHeader}
	if show {
		event["secret"] = h.secret
	}
	out.Event(event)
	out.Say("listening on %s for %s", address, h.target)
	if show {
		out.Say("requests must have the header %s: %s", secretHeader, h.secret)
		out.Say(`  curl -H "%s: %s" %s/`, secretHeader, h.secret, address)
	}
}

const (
	// maxHeader bounds the headers of a request, in bytes.
	maxHeader = 32 << 10

	// stopTimeout is how long requests under way may last when the program is stopped.
	stopTimeout = 10 * time.Second
)

func serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: discard,
		// "OPTIONS *" is for the handler to refuse, too.
		DisableGeneralOptionsHandler: true,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if server.Shutdown(stopping) != nil {
		_ = server.Close()
	}
	return nil
}

// observer prints requests, without their queries.
func observer(out *cli.Output) func(method, path string, status int) {
	return func(method, path string, status int) {
		out.Event(map[string]any{"event": "request", "method": method, "path": path, "status": status})
		out.Say("%d %s %s", status, strings.ToUpper(method), path)
	}
}
