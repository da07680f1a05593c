// Command quickstart shows a system getting a token from HelseID and calling an
// API with it, all in one process: it needs no configuration and no network.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

const scope = "nhn:quickstart-api/read"

func main() {
	asJSON := flag.Bool("json", false, "print one JSON object per line")
	flag.Parse()
	if err := run(context.Background(), narrator{os.Stdout, *asJSON}); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, tell narrator) error {
	server, err := helseidtest.Start()
	if err != nil {
		return err
	}
	defer server.Close()
	tell.step("helseid", "A HelseID for tests runs in this process, at %s.", server.Issuer())

	// The file that HelseID Selvbetjening would hand out for the client.
	file, err := server.ConfigFile(scope)
	if err != nil {
		return err
	}
	config, err := helseid.ParseConfig(file)
	if err != nil {
		return err
	}
	client, err := helseid.New(config)
	if err != nil {
		return err
	}
	defer client.Close()
	tell.step("client", "Client %s is set up from its configuration file; nothing has been sent yet.", config.ClientID)

	api := httptest.NewServer(http.HandlerFunc(greet))
	defer api.Close()

	request := helseid.TokenRequest{Scopes: []string{scope}}
	token, err := client.Token(ctx, request)
	if err != nil {
		return err
	}
	tell.step("token", "HelseID gave a %s token for %v, good for ten minutes. Printed, it reads %v.",
		token.Type, token.Scopes, token.Access)

	httpClient := client.HTTPClient(request)
	for i := range 2 {
		answer, err := get(ctx, httpClient, fmt.Sprintf("%s/greeting?call=%d", api.URL, i+1))
		if err != nil {
			return err
		}
		tell.step("call", "The API answered: %s", answer)
	}
	tell.step("summary", "Two calls, two different proofs, one token: HelseID's token endpoint was asked %d times, the first time to learn its nonce.",
		len(server.Requests(helseidtest.EndpointToken)))
	return nil
}

// greet stands in for an API.
func greet(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "hello; your Authorization header has %d characters and your DPoP proof %d",
		len(r.Header.Get("Authorization")), len(r.Header.Get("DPoP")))
}

func get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the API answered %s", response.Status)
	}
	return string(body), nil
}

// narrator prints what happens, in words or as JSON.
type narrator struct {
	out    io.Writer
	asJSON bool
}

func (n narrator) step(event, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if n.asJSON {
		_ = json.NewEncoder(n.out).Encode(map[string]string{"event": event, "text": text})
		return
	}
	fmt.Fprintln(n.out, "•", text)
}
