package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/validator"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/internal/benchmarks/peers"
)

// route is the one that all servers have.
const route = "/machine"

// serve is a server of this program's, until its standard input ends.
func serve(ctx context.Context, opts options, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	switch opts.serve {
	case "helseid":
		return serveHelseID(ctx, opts.folder, stdout)
	case "logins":
		return serveLogins(ctx, opts.folder, stdout)
	case "old keys live on":
		return serveRotation(ctx, opts.folder, helseidtest.Selvbetjening{}, stdout)
	case "old keys die at once":
		return serveRotation(ctx, opts.folder, helseidtest.Selvbetjening{OldKeysDie: true}, stdout)
	}
	var handler http.Handler
	switch opts.serve {
	case "bare":
		handler = http.HandlerFunc(bare)
	case "auth0":
		guard, _, err := peers.Auth0(opts.issuer)
		if err != nil {
			return err
		}
		handler = guard(http.HandlerFunc(auth0))
	default:
		return fmt.Errorf("there is no server %q", opts.serve)
	}
	mux := http.NewServeMux()
	mux.Handle(route, handler)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, announcement+"http://"+listener.Addr().String())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// answer is about as long as what examples/api says of a clinician.
type answer struct {
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scopes"`
	User     any      `json:"user"`
	Filler   string   `json:"filler"`
}

func write(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func bare(w http.ResponseWriter, _ *http.Request) {
	write(w, answer{ClientID: peers.ClientID, Scopes: []string{"nhn:demo-api/read"}, User: map[string]string{"name": "KVART GREVLING"}, Filler: filler})
}

const filler = "what examples/api says of a clinician and the organisation takes some five hundred bytes, and so does this answer, which says nothing at all; " +
	"to write it costs as much as to write the other, so that what is left of the difference between the two servers is what it costs to look at the token and at the proof."

func auth0(w http.ResponseWriter, r *http.Request) {
	claims, err := jwtmiddleware.GetClaims[*validator.ValidatedClaims](r.Context())
	if err != nil {
		http.Error(w, "no claims", http.StatusInternalServerError)
		return
	}
	write(w, answer{User: claims, Filler: filler[:100]})
}
