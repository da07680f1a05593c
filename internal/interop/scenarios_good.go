package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// goodScenarios are those in which nothing is wrong and nothing may fail.
func goodScenarios() []scenario {
	var all []scenario
	for _, alg := range []string{"RS256", "PS256", "ES384"} {
		for _, authNonces := range []bool{false, true} {
			for _, apiNonces := range []bool{false, true} {
				want := setup{auth: authOptions{nonces: authNonces}, apiNonces: apiNonces, alg: alg}
				all = append(all, scenario{
					name: fmt.Sprintf("%s, %s, %s", alg, onOff("token nonces", authNonces), onOff("API nonces", apiNonces)),
					run: func(ctx context.Context, l *lab) (string, error) {
						return fiftyCalls(ctx, l, want)
					},
				})
			}
		}
	}
	return append(all,
		scenario{"issuer from the configuration file", issuerFromFile},
		scenario{"no scope asked for", noScope},
		scenario{"resource asked for", resource},
		scenario{"tokens that live for one second", func(ctx context.Context, l *lab) (string, error) {
			return shortTokens(ctx, l)
		}},
	)
}

// fiftyCalls makes fifty calls with one token and looks at everything that both servers saw.
func fiftyCalls(ctx context.Context, l *lab, want setup) (string, error) {
	b, err := l.bench(ctx, want)
	if err != nil {
		return "", err
	}
	result, err := b.run(ctx, nil)
	if err != nil {
		return "", err
	}
	if err := result.succeeded(50); err != nil {
		return "", err
	}
	auth, api, err := b.stats(ctx, b.flags["scope"])
	if err != nil {
		return "", err
	}

	challenges := 0
	if want.auth.nonces {
		challenges = 1
	}
	switch {
	case result.summary.TokenRequests != 1:
		return "", fmt.Errorf("the summary tells of %d token requests, want 1", result.summary.TokenRequests)
	case auth.Answers["200"] != 1 || auth.Answers["400 use_dpop_nonce"] != challenges || auth.TokenRequests != 1+challenges:
		return "", fmt.Errorf("answers of the token endpoint %v, want one token and %d challenges", auth.Answers, challenges)
	case api.Accepted != 50:
		return "", fmt.Errorf("the API let in %d calls", api.Accepted)
	case !want.apiNonces && api.Requests != 50:
		return "", fmt.Errorf("the API saw %d requests for 50 calls", api.Requests)
	case want.apiNonces && api.Refused["use_dpop_nonce"] == 0:
		return "", errors.New("the API never had to ask for a nonce")
	case api.Last.Query != "?x=1":
		return "", fmt.Errorf("the API was called with the query %q", api.Last.Query)
	case api.Last.ClientID != b.client.ClientID || api.Last.Scope != b.flags["scope"]:
		return "", fmt.Errorf("the API saw the client %q with the scope %q", api.Last.ClientID, api.Last.Scope)
	}
	if err := checkAssertions(auth, b, want.alg); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d good answers, %d token in %d round trips, %d API challenges",
		api.Accepted, auth.Answers["200"], auth.TokenRequests, api.Refused["use_dpop_nonce"]), nil
}

func checkAssertions(stats authStats, b *bench, alg string) error {
	if len(stats.Assertions) != stats.TokenRequests {
		return fmt.Errorf("%d client assertions in %d token requests", len(stats.Assertions), stats.TokenRequests)
	}
	for _, a := range stats.Assertions {
		if a.Claims.Iss != b.client.ClientID || a.Claims.Sub != b.client.ClientID || a.Claims.Aud != b.auth.state.Issuer {
			return fmt.Errorf("claims of a client assertion: %+v", a.Claims)
		}
		if a.Header.Alg != alg {
			return fmt.Errorf("a client assertion is signed with %s, want %s", a.Header.Alg, alg)
		}
		if kid, ok := b.client.PrivateJWK["kid"]; ok && a.Header.Kid != kid {
			return errors.New("a client assertion does not name the key by its kid")
		}
	}
	return nil
}

func issuerFromFile(ctx context.Context, l *lab) (string, error) {
	b, err := l.bench(ctx, setup{})
	if err != nil {
		return "", err
	}
	config := newConfigFile(b.client)
	config.Authority = b.auth.state.Issuer + "/" // a slash that the issuer does not have
	file, err := l.writeConfig(config)
	if err != nil {
		return "", err
	}
	result, err := b.run(ctx, flags{"config": file, "issuer": ""})
	if err != nil {
		return "", err
	}
	_, _, err = b.stats(ctx, b.flags["scope"])
	return "50 good answers", errors.Join(result.succeeded(50), err)
}

// noScope leaves the parameter out, for which HelseID grants all that the client may have.
func noScope(ctx context.Context, l *lab) (string, error) {
	b, err := l.bench(ctx, setup{})
	if err != nil {
		return "", err
	}
	result, err := b.run(ctx, flags{"scope": ""})
	if err != nil {
		return "", err
	}
	auth, api, err := b.stats(ctx, "")
	if err := errors.Join(result.succeeded(50), err); err != nil {
		return "", err
	}
	if len(auth.Scopes) == 0 || slices.ContainsFunc(auth.Scopes, func(sent *string) bool { return sent != nil }) {
		return "", errors.New("an empty scope was sent")
	}
	if all := strings.Join(b.auth.state.Scopes, " "); api.Last.Scope != all {
		return "", fmt.Errorf("the token has the scope %q, want %q", api.Last.Scope, all)
	}
	return "all scopes granted", nil
}

// resource names the API by an identifier that a URL parser may want to write differently.
func resource(ctx context.Context, l *lab) (string, error) {
	b, err := l.bench(ctx, setup{})
	if err != nil {
		return "", err
	}
	want := b.auth.state.Audience
	result, err := b.run(ctx, flags{"resource": want})
	if err != nil {
		return "", err
	}
	auth, _, err := b.stats(ctx, b.flags["scope"])
	if err := errors.Join(result.succeeded(50), err); err != nil {
		return "", err
	}
	if len(auth.Resources) == 0 || slices.ContainsFunc(auth.Resources, func(sent *string) bool { return value(sent) != want }) {
		return "", errors.New("the resource was not sent as it was given")
	}
	return want, nil
}

// shortTokens makes calls for several tokens' lifetimes. No call may fail, and only the first
// token may cost a nonce challenge.
func shortTokens(ctx context.Context, l *lab, faults ...fault) (string, error) {
	const calls = 5000
	b, err := l.bench(ctx, setup{auth: authOptions{nonces: true, lifetime: 1}})
	if err != nil {
		return "", err
	}
	if err := b.auth.faults(ctx, faults...); err != nil {
		return "", err
	}
	result, err := b.run(ctx, flags{"n": fmt.Sprint(calls)})
	if err != nil {
		return "", err
	}
	auth, api, err := b.stats(ctx, b.flags["scope"])
	if err := errors.Join(result.succeeded(calls), err); err != nil {
		return "", err
	}
	tokens := auth.Answers["200"]
	// A renewal in the background may be broken off when the program ends, before the server has
	// heard of it or after.
	difference := result.summary.TokenRequests - tokens
	switch {
	case tokens < 2:
		return "", errors.New("the run was too short to need a second token")
	case difference < -1 || difference > 1:
		return "", fmt.Errorf("the summary tells of %d token requests, the server of %d", result.summary.TokenRequests, tokens)
	case auth.TokenRequests < tokens+1 || auth.TokenRequests > tokens+2:
		return "", fmt.Errorf("answers of the token endpoint: %v, want one challenge", auth.Answers)
	}
	return fmt.Sprintf("%d good answers, %d tokens in %d round trips", api.Accepted, tokens, auth.TokenRequests), nil
}
