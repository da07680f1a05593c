package helseid_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// A program on the user's machine logs in through the system's browser, which
// comes back to a port of loopback that is open for this one login (RFC 8252
// section 7.3). The client's key must be where nobody but the program reads it,
// since HelseID takes confidential clients only.
func ExampleClient_StartLogin_desktop() {
	// In place of HelseID, and of the file from HelseID Selvbetjening.
	server, err := helseidtest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	config := server.NewClient(helseidtest.RedirectURI("http://127.0.0.1/callback"))
	client, err := helseid.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	// xdg-open on Linux, open on macOS, rundll32 url.dll,FileProtocolHandler on
	// Windows. Here a browser whose user has chosen already.
	openBrowser := func(target string) error {
		go func() {
			if callback, err := server.LogIn(target); err == nil {
				if response, err := http.Get(callback.String()); err == nil {
					_ = response.Body.Close()
				}
			}
		}()
		return nil
	}

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	session, err := logInFromDesktop(ctx, client, openBrowser)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("logged in:", session.User().Name)
	// Output: logged in: KVART GREVLING
}

func logInFromDesktop(ctx context.Context, client *helseid.Client, openBrowser func(string) error) (*helseid.Session, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	answers := make(chan url.Values, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		select {
		case answers <- r.URL.Query():
		default: // one is waiting
		}
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintln(w, "You can close this window.")
	})
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = web.Serve(listener) }()
	defer func() {
		deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = web.Shutdown(deadline)
	}()

	login, err := client.StartLogin(ctx, helseid.LoginRequest{
		RedirectURI:   "http://" + listener.Addr().String() + "/callback",
		Scopes:        []string{helseid.ScopeProfile},
		SecurityLevel: 4,
	})
	if err != nil {
		return nil, err
	}
	if err := openBrowser(login.URL); err != nil {
		return nil, err
	}
	for {
		select {
		case answer := <-answers:
			if answer.Get("state") != login.State.ID() {
				continue // anything on the machine can call the port
			}
			return client.FinishLogin(ctx, login.State, answer)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
