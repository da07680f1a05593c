//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

// What a victim is told.
const (
	envStep = "ROTATIONKILL_STEP" // 0: it is not killed
	envFile = "ROTATIONKILL_FILE"
	envURL  = "ROTATIONKILL_URL"
)

// orphanLine begins a line in which a victim reports an orphan.
const orphanLine = "orphan "

// victim replaces the key of a client, and is killed at a step of that.
func victim(stdout, stderr io.Writer) int {
	step, err := strconv.ParseInt(os.Getenv(envStep), 10, 64)
	if err == nil {
		killer := &killer{FileStore: selvbetjening.FileStore{Path: os.Getenv(envFile)}, last: step}
		err = replaceKey(killer, os.Getenv(envURL), func(kid string) { fmt.Fprintln(stdout, orphanLine+kid) })
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func replaceKey(killer *killer, url string, orphan func(kid string)) error {
	rotation, err := newRotation(killer.Path, url, killer, killer, orphan)
	if err != nil {
		return err
	}
	defer rotation.Close()
	return rotation.Rotate(context.Background())
}

// newRotation is what each instance makes when it starts.
func newRotation(path, url string, store selvbetjening.KeyStore, transport http.RoundTripper, orphan func(kid string)) (*selvbetjening.Rotation, error) {
	config, err := helseid.LoadConfig(path)
	if err != nil {
		return nil, err
	}
	config.HTTPClient = &http.Client{Transport: transport}
	config.OnEvent = func(_ context.Context, event helseid.Event) {
		if event.Kind == helseid.EventKeyOrphan {
			orphan(event.KeyID)
		}
	}
	return selvbetjening.NewRotation(context.Background(), selvbetjening.RotationConfig{
		Client: config, Store: store, Kind: clientassertion.P256, Settle: -1, Selvbetjening: selvbetjening.Config{BaseURL: url},
	})
}

// killer ends the process at a step: before and after each request and each save.
type killer struct {
	selvbetjening.FileStore
	last int64
	step atomic.Int64
}

func (k *killer) next() {
	if k.step.Add(1) == k.last {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// RoundTrip implements http.RoundTripper.
func (k *killer) RoundTrip(request *http.Request) (*http.Response, error) {
	k.next()
	response, err := http.DefaultTransport.RoundTrip(request)
	k.next()
	return response, err
}

// Save implements selvbetjening.KeyStore.
func (k *killer) Save(ctx context.Context, keys selvbetjening.StoredKeys) (string, error) {
	k.next()
	version, err := k.FileStore.Save(ctx, keys)
	k.next()
	return version, err
}
