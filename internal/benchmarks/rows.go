package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/benchmarks/lab"
	"github.com/helseid-go/sdk/internal/benchmarks/peers"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// The names of the rows, which tests and the plot go by.
const (
	rowProof          = "make an ES256 proof"
	rowAssertion      = "make an ES256 client assertion"
	rowAssertionRSA   = "make a PS256 client assertion, RSA-4096"
	rowVerify         = "verify an ES256 proof"
	rowToken2048      = "validate an access token, RSA-2048"
	rowToken3072      = "validate an access token, RSA-3072"
	rowRemembered     = "an access token seen before, RSA-3072"
	rowRequestSeen    = "whole protected request, token seen before"
	rowRequestNew     = "whole protected request, new token"
	rowTelemetry      = "metrics and spans of a call with a token from memory and of its guard (bare: that request)"
	rowSharedOne      = "guarded request, 1 connection, used proofs in Redis (bare: in memory)"
	rowShared         = "guarded request, 64 connections, used proofs in Redis (bare: in memory)"
	rowCached         = "cached token"
	rowCachedParallel = "cached token, 64 goroutines"
	rowComposed       = "cached token, request composed per call"
	rowTenants        = "cached token, one of many organisations"
	rowTenantMemory   = "memory of a cached token"
	rowNewToken       = "a new token, nonce known"
	rowFirstToken     = "a new token, no nonce yet"
)

// allRows sets everything up. The function ends what was started.
func allRows(opts options) (rows []*row, end func(), err error) {
	var ends []func()
	end = func() {
		for _, f := range ends {
			f()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	for _, bits := range []int{2048, 3072} {
		world, err := peers.NewWorld(bits)
		if err != nil {
			return nil, nil, err
		}
		ends = append(ends, world.Close)
		found, closer, err := serverRows(world, bits)
		if err != nil {
			return nil, nil, err
		}
		ends = append(ends, closer)
		rows = append(rows, found...)
	}
	// The row of the smaller key came first, and stands before that of the larger.
	at := slices.IndexFunc(rows, func(r *row) bool { return r.name == rowToken3072 })
	rows = slices.Insert(rows[1:], at-1, rows[0])

	found, closer, err := clientRows(opts)
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, closer)
	return append(rows, found...), end, nil
}

// serverRows are those that need an issuer. The smaller key has the one row
// that is about it, the larger, which HelseID's is like, all others.
func serverRows(world *peers.World, bits int) (rows []*row, end func(), err error) {
	others, err := peers.All(world)
	if err != nil {
		return nil, nil, err
	}
	token, err := world.Token()
	if err != nil {
		return nil, nil, err
	}
	bareRSA, err := bareVerifyRSA(world.Issuer.Private)
	if err != nil {
		return nil, nil, err
	}
	validator, err := newValidator(world, -1)
	if err != nil {
		return nil, nil, err
	}
	end = validator.Close
	validate := &row{
		name: rowToken2048, bare: bareRSA, maxRatio: 1.5,
		ours:  plain(func() error { _, err := validator.Validate(context.Background(), token); return err }),
		peers: make(map[string]*task), notes: make(map[string]string),
	}
	for _, peer := range others {
		if peer.ValidateToken != nil {
			validate.peers[peer.Name] = plain(func() error { return peer.ValidateToken(token) })
			validate.notes[peer.Name] = peer.Lacks.ValidateToken
		}
	}
	if bits == 2048 {
		return []*row{validate}, end, nil
	}
	validate.name, validate.maxRatio = rowToken3072, 1.15
	clear(validate.notes) // they are the same as for the smaller key

	remembering, err := newValidator(world, 0)
	if err != nil {
		return nil, end, err
	}
	remembered := &row{
		name: rowRemembered, bare: bareRSA,
		ours: plain(func() error { _, err := remembering.Validate(context.Background(), token); return err }),
	}
	made, err := signingRows(world, others, token)
	if err != nil {
		return nil, end, err
	}
	requests, closeGuards, err := requestRows(world, others, token, bareRSA)
	if err != nil {
		return nil, end, err
	}
	observed, err := telemetryRow(requests[0].ours)
	if err != nil {
		return nil, end, err
	}
	requests = append(requests, observed)
	stores, closeStores, err := storeRows(world, token)
	if err != nil {
		return nil, end, err
	}
	refusals, closeRefusing, err := refusalRows(world, token)
	if err != nil {
		return nil, end, err
	}
	end = func() { validator.Close(); remembering.Close(); closeGuards(); closeStores(); closeRefusing() }
	return slices.Concat(made, []*row{validate, remembered}, requests, stores, refusals), end, nil
}

func newValidator(world *peers.World, memory int) (*tokenvalidation.Validator, error) {
	validator, err := tokenvalidation.New(tokenvalidation.Config{Issuer: world.Issuer.URL, Audience: lab.Audience, TokenMemory: memory})
	return validator, err
}

var errBare = errors.New("a signature does not verify")

func bareVerifyRSA(key *rsa.PrivateKey) (*task, error) {
	digest := sha256.Sum256([]byte("token"))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		return nil, err
	}
	return plain(func() error { return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature) }), nil
}

func bareSign(key *ecdsa.PrivateKey) *task {
	digest := sha256.Sum256([]byte("proof"))
	return plain(func() error { _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); return err })
}

func bareVerify(key *ecdsa.PrivateKey) (*task, error) {
	digest := sha256.Sum256([]byte("proof"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	return plain(func() error {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			return errBare
		}
		return nil
	}), nil
}

// signingRows are proofs and assertions.
func signingRows(world *peers.World, others []*peers.Peer, token string) ([]*row, error) {
	caller := world.Caller
	proof := &row{
		name: rowProof, bare: bareSign(caller.Private), maxRatio: 1.15, maxMallocs: 70,
		ours:  plain(func() error { _, err := caller.Proof(world.Target, token); return err }),
		peers: make(map[string]*task),
	}
	assertions, err := newAssertions(world.ClientKey, world.Issuer.URL)
	if err != nil {
		return nil, err
	}
	assertion := &row{name: rowAssertion, bare: bareSign(world.ClientKey), ours: plain(assertions), peers: make(map[string]*task)}

	large, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		return nil, err
	}
	largeAssertions, err := newAssertions(large, world.Issuer.URL)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte("assertion"))
	assertionRSA := &row{
		name: rowAssertionRSA, ours: plain(largeAssertions),
		bare: plain(func() error {
			_, err := rsa.SignPSS(rand.Reader, large, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
			return err
		}),
	}
	verify, err := verifyRow(world, others, token)
	if err != nil {
		return nil, err
	}
	for _, peer := range others {
		if peer.MakeProof != nil {
			proof.peers[peer.Name] = plain(func() error { _, err := peer.MakeProof(token); return err })
		}
		if peer.MakeAssertion != nil {
			assertion.peers[peer.Name] = plain(func() error { _, err := peer.MakeAssertion(); return err })
		}
	}
	return []*row{proof, assertion, assertionRSA, verify}, nil
}

func newAssertions(signer crypto.Signer, issuer string) (func() error, error) {
	key, err := clientassertion.NewKey(signer, clientassertion.KeyOptions{KeyID: peers.KeyID})
	if err != nil {
		return nil, err
	}
	assertions, err := clientassertion.New(clientassertion.Config{ClientID: peers.ClientID, Audience: issuer, Key: key})
	if err != nil {
		return nil, err
	}
	return func() error { _, err := assertions.Sign(context.Background()); return err }, nil
}

// verifyRow gives each verifier proofs that nobody has seen.
func verifyRow(world *peers.World, others []*peers.Peer, token string) (*row, error) {
	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{})
	if err != nil {
		return nil, err
	}
	bare, err := bareVerify(world.Caller.Private)
	if err != nil {
		return nil, err
	}
	thumbprint, target := world.Caller.Prover.Thumbprint(), world.Target.String()
	fresh := func() (string, error) { return world.Caller.Proof(world.Target, token) }
	verify := &row{
		name: rowVerify, bare: bare, maxRatio: 1.2,
		ours: prepared(fresh, func(proof string) error {
			_, err := verifier.Verify(context.Background(), proof, dpop.Expectation{
				Method: http.MethodGet, URI: target, AccessToken: token, Thumbprint: thumbprint,
			})
			return err
		}),
		peers: make(map[string]*task), notes: make(map[string]string),
	}
	for _, peer := range others {
		if peer.VerifyProof != nil {
			verify.peers[peer.Name] = prepared(fresh, func(proof string) error { return peer.VerifyProof(proof, token, thumbprint) })
			verify.notes[peer.Name] = peer.Lacks.VerifyProof
		}
	}
	return verify, nil
}

// requestRows send requests through middleware, up to a handler that answers
// nothing.
func requestRows(world *peers.World, others []*peers.Peer, token string, bareRSA *task) (rows []*row, end func(), err error) {
	bare, err := bareVerify(world.Caller.Private)
	if err != nil {
		return nil, nil, err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	fresh := func() (*http.Request, error) { return world.Caller.Request(world.Target, token) }
	var guards []*middleware.Middleware
	guarded := func(memory int) (*task, error) {
		guard, err := middleware.New(middleware.Config{
			Issuer: world.Issuer.URL, Audience: lab.Audience, Token: tokenvalidation.Config{TokenMemory: memory},
		})
		if err != nil {
			return nil, err
		}
		guards = append(guards, guard)
		return prepared(fresh, serve(guard.Require(handler, middleware.Scope(lab.Scope), middleware.SecurityLevel(4), middleware.HPRNumber()))), nil
	}
	seen, err := guarded(0)
	if err != nil {
		return nil, nil, err
	}
	unseen, err := guarded(-1)
	if err != nil {
		return nil, nil, err
	}
	both, err := bareBoth(world)
	if err != nil {
		return nil, nil, err
	}
	first := &row{name: rowRequestSeen, ours: seen, bare: bare, maxRatio: 1.3, peers: make(map[string]*task), notes: make(map[string]string)}
	second := &row{name: rowRequestNew, ours: unseen, bare: both, peers: make(map[string]*task)}
	for _, peer := range others {
		if peer.Guard != nil {
			t := prepared(fresh, serve(peer.Guard(handler)))
			first.peers[peer.Name], second.peers[peer.Name] = t, t
			first.notes[peer.Name] = peer.Lacks.Guard
		}
	}
	return []*row{first, second}, func() {
		for _, guard := range guards {
			guard.Close()
		}
	}, nil
}

// serve lets a handler answer, and fails unless it was reached.
func serve(handler http.Handler) func(*http.Request) error {
	var writer lab.Writer
	return func(request *http.Request) error {
		writer.Reset()
		handler.ServeHTTP(&writer, request)
		if writer.Status != http.StatusNoContent {
			return fmt.Errorf("a good request was answered with status %d: %s", writer.Status, writer.Header().Get("WWW-Authenticate"))
		}
		return nil
	}
}

// bareBoth verifies what a request with a new token has: two signatures.
func bareBoth(world *peers.World) (*task, error) {
	one, err := bareVerifyRSA(world.Issuer.Private)
	if err != nil {
		return nil, err
	}
	other, err := bareVerify(world.Caller.Private)
	if err != nil {
		return nil, err
	}
	return &task{batch: func(n int) (func() error, error) {
		first, err := one.batch(n)
		if err != nil {
			return nil, err
		}
		second, err := other.batch(n)
		if err != nil {
			return nil, err
		}
		return func() error { return errors.Join(first(), second()) }, nil
	}}, nil
}
