package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/internal/benchmarks/lab"
)

const (
	// soakTokenLifetime makes tokens die all the time.
	soakTokenLifetime = 20 * time.Second

	// A key signs for one cycle. It stays published until the tokens that it
	// signed have died, as it does at HelseID.
	keyCycle    = 45 * time.Second
	retireAfter = soakTokenLifetime + 10*time.Second

	tenants    = 20
	configFile = "client.json"
)

func tenant(i int) string { return strconv.Itoa(100_000_000 + i%tenants) }

// serveHelseID is a HelseID with short tokens, new keys and faults, each of
// which leaves the client and the API a way to do their work: an endpoint fails
// once in a row.
func serveHelseID(ctx context.Context, folder string, stdout io.Writer) error {
	server, err := helseidtest.Start(helseidtest.TokenLifetime(soakTokenLifetime))
	if err != nil {
		return err
	}
	defer server.Close()
	organizations := make([]string, tenants)
	for i := range organizations {
		organizations[i] = tenant(i)
	}
	file := server.ConfigFile(helseidtest.Client{Scopes: []string{lab.Scope}, MultiTenant: true, Delegations: organizations})
	if err := os.WriteFile(filepath.Join(folder, configFile), file, 0o600); err != nil {
		return err
	}
	fmt.Fprintln(stdout, announcement+server.Issuer())
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	random := rand.New(rand.NewPCG(1, 2))
	for second := time.Duration(0); ; second += time.Second {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		switch phase := second % keyCycle; {
		case phase == 0 && second > 0:
			server.ClearFaults()
			if second%(3*keyCycle) == 0 { // just when the API needs the new key
				server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Status: http.StatusBadGateway})
			}
			if err := server.RotateKey(); err != nil {
				return err
			}
		case phase == retireAfter:
			server.RetireKeys()
		case phase > 5*time.Second && phase < keyCycle-5*time.Second && random.IntN(3) == 0:
			server.ClearFaults() // those that have struck nobody must not add up
			server.Inject(anyFault(random))
		}
	}
}

func anyFault(random *rand.Rand) helseidtest.Fault {
	endpoint := helseidtest.EndpointToken
	switch random.IntN(4) {
	case 0:
		endpoint = helseidtest.EndpointJWKS
	case 1:
		endpoint = helseidtest.EndpointMetadata
	}
	faults := []helseidtest.Fault{
		{Status: http.StatusServiceUnavailable},
		{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}},
		{Cut: true},
		{Delay: 500 * time.Millisecond},
		{Status: http.StatusBadGateway, Body: "<html>a proxy</html>", Header: http.Header{"Content-Type": {"text/html"}}},
	}
	if endpoint == helseidtest.EndpointToken {
		faults = append(faults, helseidtest.Fault{HalfBody: true})
	}
	fault := faults[random.IntN(len(faults))]
	fault.Endpoint = endpoint
	return fault
}
