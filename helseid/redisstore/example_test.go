package redisstore_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/redisstore"
	"github.com/helseid-go/sdk/middleware"
)

// In place of a Redis that is there already.
func exampleRedis() (url string, cleanup func()) {
	dir, err := os.MkdirTemp("", "redisstore")
	if err != nil {
		panic(err)
	}
	socket := filepath.Join(dir, "s")
	program := "redis-server"
	if _, err := exec.LookPath(program); err != nil {
		program = "valkey-server"
	}
	cmd := exec.Command(program, "--unixsocket", socket, "--port", "0", "--dir", dir, "--save", "")
	if err := cmd.Start(); err != nil {
		panic("the examples need a Redis: apt-get install redis-server")
	}
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer func() { _ = client.Close() }()
	for end := time.Now().Add(20 * time.Second); client.Ping(context.Background()).Err() != nil; {
		if time.Now().After(end) {
			panic("Redis does not start")
		}
	}
	return "unix://" + socket, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
}

// 32 random bytes in Base64, the same for all processes: kept where secrets are, as
// in identity.NewSecret(os.Getenv("STORE_KEY")).
func exampleKey() identity.Secret {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return identity.NewSecret(base64.StdEncoding.EncodeToString(key))
}

// A client that shares its tokens and its users' sessions with its other processes.
func Example() {
	server, err := helseidtest.Start() // in place of HelseID
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	url, cleanup := exampleRedis() // in place of rediss://user:password@redis.example.no:6379
	defer cleanup()

	store, err := redisstore.New(redisstore.Config{
		URL:            identity.NewSecret(url),
		EncryptionKeys: []identity.Secret{exampleKey()}, // identity.NewSecret(os.Getenv("STORE_KEY"))
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read")) // or helseid.LoadConfig("client.json")
	config.TokenCache, config.Store = store.TokenCache(), store.Rows()
	config.DPoPKey, err = dpop.GenerateKey(dpop.KeyOptions{}) // made once, and given to all processes
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
	// Output: [nhn:some-api/read]
}

// The store can be made while Redis is down. Check finds out at start-up whether it can be
// used.
func ExampleNew() {
	store, err := redisstore.New(redisstore.Config{
		URL:            identity.NewSecret("redis://127.0.0.1:1"), // nothing listens there
		EncryptionKeys: []identity.Secret{exampleKey()},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	err = store.Check(context.Background())
	fmt.Println(errors.Is(err, redisstore.ErrUnavailable))
	// Output: true
}

// Two processes of one client use one token.
func ExampleStore_TokenCache() {
	url, cleanup := exampleRedis()
	defer cleanup()
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read")) // helseid.LoadConfig("client.json")

	store, err := redisstore.New(redisstore.Config{URL: identity.NewSecret(url), EncryptionKeys: []identity.Secret{exampleKey()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close() }()
	config.TokenCache = store.TokenCache()
	config.DPoPKey, err = dpop.GenerateKey(dpop.KeyOptions{}) // made once, and given to all processes
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		client, err := helseid.New(config) // in one process, then in the other
		if err != nil {
			fmt.Println(err)
			return
		}
		token, err := client.Token(context.Background(), helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		client.Close()
		fmt.Println(token.Scopes)
	}
	fmt.Println("requests to HelseID:", len(server.Requests(helseidtest.EndpointToken)), "the first to learn its nonce")
	// Output:
	// [nhn:some-api/read]
	// [nhn:some-api/read]
	// requests to HelseID: 2 the first to learn its nonce
}

// The processes of an API refuse a proof that any of them has seen.
func ExampleNewReplays() {
	url, cleanup := exampleRedis()
	defer cleanup()

	replays, err := redisstore.NewReplays(redisstore.Config{URL: identity.NewSecret(url)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = replays.Close() }()
	if err := replays.Check(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	auth, err := middleware.New(middleware.Config{
		Issuer:   helseid.Test.Issuer(),
		Audience: "nhn:some-api",
		Proof:    dpop.VerifierConfig{Replay: replays},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer auth.Close()
	fmt.Println("accepted unchecked:", replays.Unchecked())
	// Output: accepted unchecked: 0
}

func ExampleStore_Rows() {
	url, cleanup := exampleRedis()
	defer cleanup()
	store, err := redisstore.New(redisstore.Config{URL: identity.NewSecret(url), EncryptionKeys: []identity.Secret{exampleKey()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close() }()

	// What the client does with it: two want to write, and one does.
	ctx, sessions := context.Background(), store.Rows()
	row := helseid.StoredRow{Data: []byte("{}"), Expiry: time.Now().Add(time.Hour)}
	for range 2 {
		saved, err := sessions.Save(ctx, "key", row)
		fmt.Println(saved, err)
	}
	row, err = sessions.Load(ctx, "key")
	fmt.Println(row.Version, string(row.Data), err)
	// Output:
	// true <nil>
	// false <nil>
	// 1 {} <nil>
}

// Rotation: the new key encrypts, and what the old one encrypted can be read.
func ExampleConfig_rotation() {
	oldKey, newKey := exampleKey(), exampleKey()
	store, err := redisstore.New(redisstore.Config{
		URL:            identity.NewSecret("rediss://user:password@redis.example.no:6379"),
		TLS:            &tls.Config{}, // for a private authority: RootCAs
		EncryptionKeys: []identity.Secret{newKey, oldKey},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close() }()

	_, err = redisstore.New(redisstore.Config{URL: identity.NewSecret("redis://redis.example.no:6379"), EncryptionKeys: []identity.Secret{identity.NewSecret("c2hvcnQ=")}})
	fmt.Println(errors.Is(err, redisstore.ErrConfig))
	fmt.Println(err)
	// Output:
	// true
	// redisstore: configuration: field URL: use rediss, which is Redis over TLS: without it, whoever is on the way can let used proofs through; AllowPlaintext permits that
	// field EncryptionKeys[0] has 5 bytes: it must have 32
}

// For Sentinel or a cluster the client is the caller's.
func ExampleConfig_sentinel() {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:            "helseid",
		SentinelAddrs:         []string{"sentinel-1.example.no:26379", "sentinel-2.example.no:26379"},
		TLSConfig:             &tls.Config{},
		ContextTimeoutEnabled: true, // required
	})
	defer func() { _ = client.Close() }()
	store, err := redisstore.New(redisstore.Config{Client: client, EncryptionKeys: []identity.Secret{exampleKey()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Close())
	// Output: <nil>
}
