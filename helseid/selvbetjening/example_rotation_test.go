package selvbetjening_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

func ExampleNewRotation() {
	server, err := helseidtest.Start(helseidtest.InMemory(), helseidtest.Selvbetjening{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "client.json") // as handed out by HelseID Selvbetjening
	if err := os.WriteFile(file, server.ConfigFile(helseidtest.Scopes(selvbetjening.Scope)), 0o600); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	config, err := helseid.LoadConfig(file)
	if err != nil {
		log.Fatal(err)
	}
	config.HTTPClient = server.HTTPClient() // not in HelseID's own environments
	rotation, err := selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{
		Client:        config,
		Store:         selvbetjening.FileStore{Path: file},
		Kind:          clientassertion.P256,
		Selvbetjening: selvbetjening.Config{BaseURL: server.SelvbetjeningURL()}, // nor this
		Settle:        -1,                                                       // nor this
	})
	if err != nil {
		log.Fatal(err)
	}
	defer rotation.Close()
	go rotation.Run(ctx) // replaces the key when it is time

	if err := rotation.Rotate(ctx); err != nil { // or now
		log.Fatal(err)
	}
	stored, err := helseid.LoadConfig(file)
	if err != nil {
		log.Fatal(err)
	}
	kid, _ := rotation.Client().KeyExpiry(ctx)
	fmt.Println("another key:", kid != config.Key.ID(), "in the file:", kid == stored.Key.ID())
	// Output: another key: true in the file: true
}
