package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// always is more often than machine can try.
const always = 1000

// authFaultScenarios are those in which the authorization server misbehaves.
func authFaultScenarios() []scenario {
	var all []scenario
	for _, nonces := range []bool{false, true} {
		for _, f := range []fault{
			{Kind: "status", Status: 503, Count: 2},
			{Kind: "cut", Count: 1},
			{Kind: "half", Count: 1},
		} {
			all = append(all, scenario{
				name: fmt.Sprintf("token endpoint: %s, %d times, %s", f.Kind, f.Count, onOff("nonces", nonces)),
				run: func(ctx context.Context, l *lab) (string, error) {
					return tokenRecovers(ctx, l, nonces, f)
				},
			})
		}
	}
	for _, kind := range []string{"halfjson", "html", "duplicate-member", "folded-member"} {
		all = append(all, scenario{
			name: "token endpoint: " + kind,
			run: func(ctx context.Context, l *lab) (string, error) {
				return tokenRefused(ctx, l, fault{Kind: kind, Count: always})
			},
		})
	}
	return append(all,
		scenario{"token endpoint: only the newest nonce is good", newestNonce},
		scenario{"metadata of another issuer", wrongIssuer},
		scenario{"unknown scope", unknownScope},
		scenario{"authorization server down", authDown},
	)
}

// tokenRecovers expects that a token request is built again after a fault and then succeeds.
func tokenRecovers(ctx context.Context, l *lab, nonces bool, f fault) (string, error) {
	b, err := l.bench(ctx, setup{auth: authOptions{nonces: nonces}})
	if err != nil {
		return "", err
	}
	if err := b.auth.faults(ctx, f); err != nil {
		return "", err
	}
	result, err := b.run(ctx, nil)
	if err != nil {
		return "", err
	}
	auth, _, err := b.stats(ctx, b.flags["scope"])
	if err := errors.Join(result.succeeded(50), err); err != nil {
		return "", err
	}
	if hit := auth.FaultsHit[f.Kind]; hit != f.Count || auth.Answers["200"] != 1 {
		return "", fmt.Errorf("answers of the token endpoint: %v", auth.Answers)
	}
	return fmt.Sprintf("%d token requests, all different", auth.TokenRequests), nil
}

// tokenRefused expects that an answer that cannot be trusted is an error, and a clear one.
func tokenRefused(ctx context.Context, l *lab, f fault) (string, error) {
	b, err := l.bench(ctx, setup{auth: authOptions{nonces: true}})
	if err != nil {
		return "", err
	}
	if err := b.auth.faults(ctx, f); err != nil {
		return "", err
	}
	result, err := b.run(ctx, flags{"n": "3", "c": "1"})
	if err != nil {
		return "", err
	}
	auth, api, err := b.stats(ctx, b.flags["scope"])
	if err := errors.Join(result.lost(3, 3), err); err != nil {
		return "", err
	}
	if auth.FaultsHit[f.Kind] == 0 {
		return "", errors.New("the fault did not happen")
	}
	if api.Requests > 0 {
		return "", errors.New("the API was called all the same")
	}
	return result.complaint(), nil
}

// newestNonce gives each nonce's successor with the answer, a good one too, and takes no older one.
func newestNonce(ctx context.Context, l *lab) (string, error) {
	return shortTokens(ctx, l, fault{Kind: "newnonce"})
}

// wrongIssuer expects that no assertion is sent on the word of metadata that is not the issuer's.
func wrongIssuer(ctx context.Context, l *lab) (string, error) {
	b, err := l.bench(ctx, setup{})
	if err != nil {
		return "", err
	}
	if err := b.auth.faults(ctx, fault{Kind: "wrong-issuer-metadata"}); err != nil {
		return "", err
	}
	result, err := b.run(ctx, flags{"n": "3", "c": "1"})
	if err != nil {
		return "", err
	}
	auth, _, err := b.stats(ctx, b.flags["scope"])
	if err := errors.Join(result.lost(3, 3), err); err != nil {
		return "", err
	}
	if auth.FaultsHit["wrong-issuer-metadata"] == 0 {
		return "", errors.New("the metadata was not asked for")
	}
	if auth.TokenRequests > 0 {
		return "", fmt.Errorf("%d token requests", auth.TokenRequests)
	}
	return result.complaint(), nil
}

func unknownScope(ctx context.Context, l *lab) (string, error) {
	b, err := l.bench(ctx, setup{auth: authOptions{nonces: true}})
	if err != nil {
		return "", err
	}
	const scope = "nhn:interop-api/unknown"
	result, err := b.run(ctx, flags{"scope": scope})
	if err != nil {
		return "", err
	}
	auth, api, err := b.stats(ctx, scope)
	if err := errors.Join(result.lost(50, 50), err); err != nil {
		return "", err
	}
	if !strings.Contains(result.stderr, "invalid_scope") {
		return "", fmt.Errorf("the message does not say invalid_scope: %s", result.complaint())
	}
	if api.Requests > 0 {
		return "", errors.New("the API was called all the same")
	}
	// What the server refuses for good is not asked for again and again.
	if auth.TokenRequests > 10 {
		return "", fmt.Errorf("%d token requests for 50 calls", auth.TokenRequests)
	}
	return fmt.Sprintf("%d token requests for 50 calls", auth.TokenRequests), nil
}

func authDown(ctx context.Context, l *lab) (string, error) {
	b, err := l.bench(ctx, setup{})
	if err != nil {
		return "", err
	}
	nobody, err := closedURL()
	if err != nil {
		return "", err
	}
	result, err := b.run(ctx, flags{"issuer": nobody, "n": "3", "c": "1"})
	if err != nil {
		return "", err
	}
	return result.complaint(), result.lost(3, 3)
}
