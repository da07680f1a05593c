package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/benchmarks/lab"
)

// goroutines share a cached token in one row.
const goroutines = 64

// tokenLength is that of a HelseID token for a clinician, in bytes.
const tokenLength = 1300

// mint is an issuer in this process that gives any client a token at once. Its
// tokens are opaque, as tokens are for clients.
type mint struct{}

const mintIssuer = "https://mint.test"

func (mint) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	body := fmt.Sprintf(`{"issuer":%q,"token_endpoint":%q}`, mintIssuer, mintIssuer+"/connect/token")
	if r.Method == http.MethodPost {
		random := make([]byte, tokenLength*3/4)
		_, _ = rand.Read(random)
		body = fmt.Sprintf(`{"access_token":%q,"token_type":"DPoP","expires_in":3600,"scope":%q}`, base64.RawURLEncoding.EncodeToString(random), lab.Scope)
	}
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewBufferString(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

func newMintClient() (*helseid.Client, error) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := clientassertion.NewKey(signer, clientassertion.KeyOptions{})
	if err != nil {
		return nil, err
	}
	return helseid.New(helseid.Config{Issuer: mintIssuer, ClientID: "a-client", Key: key, HTTPClient: &http.Client{Transport: mint{}}})
}

// clientRows are about tokens on the client's side.
func clientRows(opts options) (rows []*row, end func(), err error) {
	client, err := newMintClient()
	if err != nil {
		return nil, nil, err
	}
	end = client.Close
	defer func() {
		if err != nil {
			end()
		}
	}()
	ctx := context.Background()
	request := helseid.TokenRequest{Scopes: []string{lab.Scope}}
	source := client.TokenSource(request)
	if _, err := source.Token(ctx); err != nil {
		return nil, nil, err
	}
	oauth := clientcredentials.Config{
		ClientID: "a-client", TokenURL: mintIssuer + "/connect/token", Scopes: []string{lab.Scope}, AuthStyle: oauth2.AuthStyleInParams,
	}
	reuse := oauth2.ReuseTokenSource(nil, oauth.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: mint{}})))
	if _, err := reuse.Token(); err != nil {
		return nil, nil, err
	}
	ours := func() error { _, err := source.Token(ctx); return err }
	theirs := func() error { _, err := reuse.Token(); return err }
	note := map[string]string{"x/oauth2": "no DPoP, no client assertion, no context; a mutex for each call"}
	cached := &row{name: rowCached, ours: plain(ours), maxNanos: 100, maxMallocs: -1, peers: map[string]*task{"x/oauth2": plain(theirs)}, notes: note}
	parallel := &row{name: rowCachedParallel, ours: inParallel(ours), bare: cached.ours, maxRatio: 1, peers: map[string]*task{"x/oauth2": inParallel(theirs)}}

	parent, child := organizationNumber(0), organizationNumber(1)
	composed := &row{name: rowComposed, maxNanos: 2000, ours: plain(func() error {
		_, err := client.Token(helseid.ForOrganization(ctx, parent, child), request)
		return err
	})}
	tenants, closeTenants, err := tenantRows(opts.tenants, request, composed.ours)
	if err != nil {
		return nil, nil, err
	}
	before := end
	end = func() { before(); closeTenants() }
	news, err := newTokenRows(opts.tokens)
	if err != nil {
		return nil, nil, err
	}
	return append(append([]*row{cached, parallel, composed}, tenants...), news...), end, nil
}

// inParallel shares the runs among goroutines: its time is that of one run,
// seen from outside.
func inParallel(run func() error) *task {
	return &task{batch: func(n int) (func() error, error) {
		return func() error {
			var workers sync.WaitGroup
			errs := make([]error, goroutines)
			for worker := range goroutines {
				workers.Go(func() {
					for i := worker; i < n && errs[worker] == nil; i += goroutines {
						errs[worker] = run()
					}
				})
			}
			workers.Wait()
			return errors.Join(errs...)
		}, nil
	}}
}

func organizationNumber(i int) identity.OrganizationNumber {
	return identity.OrganizationNumber(strconv.Itoa(100_000_000 + i))
}

// tenantRows fill a client with the tokens of many organisations. The bare task
// of the look-up is that of a client with a single one.
func tenantRows(count int, request helseid.TokenRequest, single *task) ([]*row, func(), error) {
	client, err := newMintClient()
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	fetch := func(i int) error {
		_, err := client.Token(helseid.ForOrganization(ctx, organizationNumber(i), ""), request)
		return err
	}
	if err := fetch(0); err != nil { // so that metadata and nonces do not count
		client.Close()
		return nil, nil, err
	}
	before := heap()
	const workers = 8
	errs := make([]error, workers)
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			for i := 1 + worker; i <= count && errs[worker] == nil; i += workers {
				errs[worker] = fetch(i)
			}
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		client.Close()
		return nil, nil, err
	}
	each := float64(heap()-before) / float64(count)
	next := 0
	lookUp := &row{
		name: rowTenants + fmt.Sprintf(" (%d)", count), bare: single, maxNanos: 2000,
		ours: plain(func() error {
			next = (next + 7919) % count // not in the order in which they came
			return fetch(1 + next)
		}),
	}
	memory := &row{
		name: rowTenantMemory + fmt.Sprintf(" of %d bytes, %d of them", tokenLength, count), value: each, maxValue: 2560, unit: "bytes",
		figure: fmt.Sprintf("%.0f bytes", each),
	}
	return []*row{lookUp, memory}, client.Close, nil
}

func heap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// newTokenRows fetch tokens from a HelseID on loopback, which signs each with an
// RSA key and requires a nonce.
func newTokenRows(count int) ([]*row, error) {
	server, err := helseidtest.Start()
	if err != nil {
		return nil, err
	}
	defer server.Close()
	organizations := make([]string, count+1)
	for i := range organizations {
		organizations[i] = string(organizationNumber(i))
	}
	config := server.NewClient(helseidtest.Delegations(organizations...), helseidtest.Scopes(lab.Scope))
	request := helseid.TokenRequest{Scopes: []string{lab.Scope}}
	var firstTimes, times []float64
	var firstTrips, trips float64
	fetch := func(client *helseid.Client, organization string) (took, roundTrips float64, err error) {
		before := len(server.Requests(helseidtest.EndpointToken))
		start := time.Now()
		_, err = client.Token(helseid.ForOrganization(context.Background(), identity.OrganizationNumber(organization), ""), request)
		took = float64(time.Since(start))
		return took, float64(len(server.Requests(helseidtest.EndpointToken)) - before), err
	}
	const clients = 10
	for range clients { // each begins without a nonce
		client, err := helseid.New(config)
		if err != nil {
			return nil, err
		}
		defer client.Close()
		if err := client.Check(context.Background()); err != nil {
			return nil, err
		}
		for i, organization := range organizations {
			if i > 0 && i >= count/clients {
				break
			}
			took, roundTrips, err := fetch(client, organization)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				firstTimes, firstTrips = append(firstTimes, took), max(firstTrips, roundTrips)
			} else {
				times, trips = append(times, took), max(trips, roundTrips)
			}
		}
	}
	figure := func(times []float64, trips float64) string {
		plural := "s"
		if trips == 1 {
			plural = ""
		}
		return fmt.Sprintf("%.0f round trip%s, %s", trips, plural, duration(median(times)))
	}
	known := &row{name: rowNewToken, figure: figure(times, trips), value: trips, maxValue: 1, unit: "round trip"}
	first := &row{name: rowFirstToken, figure: figure(firstTimes, firstTrips), value: firstTrips, maxValue: 2, unit: "round trips"}
	return []*row{known, first}, nil
}
