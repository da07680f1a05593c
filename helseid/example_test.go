package helseid_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// In place of HelseID Selvbetjening's file and of a real API.
func exampleFile() (path string, server *helseidtest.Server, cleanup func()) {
	server, err := helseidtest.Start()
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	file := server.ConfigFile(helseidtest.Scopes("nhn:kjernejournal/api"))
	dir, err := os.MkdirTemp("", "helseid")
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	path = filepath.Join(dir, "client.json")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	return path, server, func() { server.Close(); _ = os.RemoveAll(dir) }
}

func exampleAPI() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		fmt.Fprintf(w, "%s %s with a %s token and %d proof", r.Method, r.URL, scheme, len(r.Header.Values("DPoP")))
	}))
}

// A system calls an API.
func Example() {
	// In place of HelseID and of the API.
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Mount("api.example.no", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		fmt.Fprintf(w, "%s with a %s token and %d proof", r.Method, scheme, len(r.Header.Values("DPoP")))
	}))

	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read")) // or helseid.LoadConfig("client.json")
	client, err := helseid.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	resp, err := api.Get("https://api.example.no/v1/things?page=2")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, string(body))
	// Output: 200 OK GET with a DPoP token and 1 proof
}

// All mistakes in a configuration are reported at once.
func ExampleNew() {
	_, err := helseid.New(helseid.Config{Issuer: "http://helseid-sts.test.nhn.no"})
	fmt.Println(errors.Is(err, helseid.ErrConfig))
	fmt.Println(err)
	// Output:
	// true
	// helseid: configuration: field Issuer cannot be used: https is required: plain http is accepted for loopback hosts only (127.0.0.0/8, ::1, localhost)
	// field ClientID is required: the id of the client in HelseID Selvbetjening
	// field Key is required: make it with clientassertion.ParseKey, or load a configuration file
}

// The file is the one that HelseID Selvbetjening hands out.
func ExampleLoadConfig() {
	path, _, cleanup := exampleFile() // "client.json"
	defer cleanup()

	config, err := helseid.LoadConfig(path)
	if err != nil {
		log.Fatal(err)
	}
	client, err := helseid.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.ID() == config.ClientID, config.Registered.Scopes)
	// Output: true [nhn:kjernejournal/api]
}

// A key that somebody replaces while the program runs, such as a mounted secret of
// Kubernetes.
func ExampleNewKeyFile() {
	path, _, cleanup := exampleFile() // "/etc/helseid/client.json"
	defer cleanup()

	config, err := helseid.LoadConfig(path)
	if err != nil {
		log.Fatal(err)
	}
	config.KeySource, err = helseid.NewKeyFile(helseid.KeyFileConfig{Path: path})
	if err != nil {
		log.Fatal(err)
	}
	client, err := helseid.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	token, err := client.Token(context.Background(), helseid.TokenRequest{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Scopes)
	// Output: [nhn:kjernejournal/api]
}

// The error tells whether the API has been called at all.
func ExampleClient_HTTPClient() {
	_, client, cleanup := exampleClient()
	defer cleanup()
	things := exampleAPI()
	defer things.Close()

	for _, scope := range []string{"nhn:kjernejournal/api", "nhn:not-ours/api"} {
		api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{scope}})
		resp, err := api.Post(things.URL+"/v1/things", "application/json", strings.NewReader("{}"))
		switch {
		case errors.Is(err, helseid.ErrNoToken):
			fmt.Println("the API was not called: HelseID gave no token for", scope)
		case err != nil:
			fmt.Println("may have been called:", err)
		default:
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			fmt.Println(resp.StatusCode, string(body))
		}
	}
	// Output:
	// 200 POST /v1/things with a DPoP token and 1 proof
	// the API was not called: HelseID gave no token for nhn:not-ours/api
}

func ExampleParseConfig() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	secret := server.ConfigFile(helseidtest.Scopes("nhn:kjernejournal/api")) // from a secret store, say
	config, err := helseid.ParseConfig(secret)
	fmt.Println(config.Registered.Scopes, config.Key.Algorithm(), err)

	_, err = helseid.ParseConfig(bytes.Replace(secret, []byte("privateJwk"), []byte("somethingElse"), 1))
	fmt.Println(err)
	// Output:
	// [nhn:kjernejournal/api] ES256 <nil>
	// helseid: configuration: the member privateJwk is missing: the file holds no private key
}

// In a container, the configuration is an environment variable, or a secret that is
// mounted as a file and read with LoadConfig.
func ExampleParseConfig_environment() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	secret := server.ConfigFile(helseidtest.Scopes("nhn:kjernejournal/api"))
	// The platform does this, as the text or in Base64.
	_ = os.Setenv("HELSEID_CLIENT", base64.StdEncoding.EncodeToString(secret))

	config, err := helseid.ParseConfig([]byte(os.Getenv("HELSEID_CLIENT")))
	fmt.Println(config.Registered.Scopes, err)
	// Output: [nhn:kjernejournal/api] <nil>
}

func ExampleClient_Token() {
	server, client, cleanup := exampleClient()
	defer cleanup()

	for range 3 {
		token, err := client.Token(context.Background(), helseid.TokenRequest{Scopes: []string{"nhn:kjernejournal/api"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(token.Type, token.Scopes, token.Access)
	}
	fmt.Println("requests to HelseID:", len(server.Requests(helseidtest.EndpointToken)), "the first to learn its nonce")
	// Output:
	// DPoP [nhn:kjernejournal/api] [redacted]
	// DPoP [nhn:kjernejournal/api] [redacted]
	// DPoP [nhn:kjernejournal/api] [redacted]
	// requests to HelseID: 2 the first to learn its nonce
}

func exampleClient() (*helseidtest.Server, *helseid.Client, func()) {
	path, server, cleanup := exampleFile()
	config, err := helseid.LoadConfig(path)
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	client, err := helseid.New(config)
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	return server, client, func() { client.Close(); cleanup() }
}

func ExampleClient_TokenSource() {
	_, client, cleanup := exampleClient()
	defer cleanup()

	// Prepared once, asked often: from memory it costs next to nothing.
	source := client.TokenSource(helseid.TokenRequest{Scopes: []string{"nhn:kjernejournal/api"}})
	token, err := source.Token(context.Background())
	fmt.Println(token.Scopes, err)
	// Output: [nhn:kjernejournal/api] <nil>
}

func ExampleWithTokenRequest() {
	_, client, cleanup := exampleClient()
	defer cleanup()
	things := exampleAPI()
	defer things.Close()

	api := client.HTTPClient(helseid.TokenRequest{})
	ctx := helseid.WithTokenRequest(context.Background(), helseid.TokenRequest{
		Scopes:         []string{"nhn:kjernejournal/api"},
		AllowedOrigins: []string{"https://api.example.nhn.no"},
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, things.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = api.Do(request)
	fmt.Println("refused:", errors.Is(err, helseid.ErrOriginRefused))
	// Output: refused: true
}

// At start-up, with the token requests that the program will make.
func ExampleClient_Check() {
	_, client, cleanup := exampleClient()
	defer cleanup()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := client.Check(ctx,
		helseid.TokenRequest{Scopes: []string{"nhn:kjernejournal/api"}},
		helseid.TokenRequest{Scopes: []string{"nhn:not-ours/api"}},
	)
	var refusal *helseid.TokenError
	switch {
	case errors.As(err, &refusal):
		fmt.Printf("%s: %s\n", refusal.Code, refusal.Advice())
	case errors.Is(err, helseid.ErrClock):
		fmt.Println("synchronise the clock")
	case errors.Is(err, helseid.ErrUnavailable): // and nothing else: that comes first
		fmt.Println("start all the same: HelseID may be back when the first call comes")
	case err != nil:
		fmt.Println(err)
	}
	// Output: invalid_scope: check the spelling, that the scope is granted to the client, and that no identity scope is asked for by a system
}

// A request that is sent with something else than HTTPClient.
func ExampleTokenSource_Authorize() {
	_, client, cleanup := exampleClient()
	defer cleanup()
	things := exampleAPI()
	defer things.Close()

	ctx := context.Background()
	source := client.TokenSource(helseid.TokenRequest{Scopes: []string{"nhn:kjernejournal/api"}})
	for again := true; again; {
		request, err := http.NewRequestWithContext(ctx, http.MethodDelete, things.URL+"/v1/things/7", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := source.Authorize(ctx, request); err != nil { // for each attempt
			fmt.Println(err)
			return
		}
		response, err := things.Client().Do(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		again = source.ObserveResponse(response)
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		fmt.Println(string(body))
	}
	// Output: DELETE /v1/things/7 with a DPoP token and 1 proof
}

func ExampleTokenError() {
	_, client, cleanup := exampleClient()
	defer cleanup()

	_, err := client.Token(context.Background(), helseid.TokenRequest{Scopes: []string{"nhn:not-ours/api"}})
	if refusal, ok := errors.AsType[*helseid.TokenError](err); ok {
		fmt.Println(refusal.Code, refusal.StatusCode)
		fmt.Println(refusal.Description)
	}
	fmt.Println("may trying later help?", errors.Is(err, helseid.ErrUnavailable))
	// Output:
	// invalid_scope 400
	// a scope is not granted to the client, or is an identity scope, which a system does not get
	// may trying later help? false
}
