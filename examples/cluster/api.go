package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/redisstore"
	"github.com/helseid-go/sdk/middleware"
)

const (
	audience = "nhn:cluster-api"
	scope    = audience + "/read"
)

// listening is the message of an API process that is ready.
type listening struct{ URL string }

// serveAPI is a process of the API. It shares the store of used proofs with the others.
func serveAPI(ctx context.Context, settings settings, lines *json.Decoder, out *json.Encoder) error {
	replays, err := redisstore.NewReplays(settings.store())
	if err != nil {
		return err
	}
	defer func() { _ = replays.Close() }()
	auth, err := middleware.New(middleware.Config{
		Issuer:    settings.Issuer,
		Audience:  audience,
		PublicURL: settings.PublicURL,
		Proof:     dpop.VerifierConfig{Replay: replays},
	})
	if err != nil {
		return err
	}
	defer auth.Close()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: auth.Require(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "process %s answers client %s", settings.Name, middleware.Claims(r.Context()).ClientID)
		}, middleware.Scope(scope)),
		ReadHeaderTimeout: 10 * time.Second,
	}
	if err := out.Encode(listening{"http://" + listener.Addr().String()}); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() {
		defer end()
		_ = lines.Decode(new(any)) // until standard input ends
	}()
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
