package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

// detailsWithCode sends details when the code is exchanged: the login's own token has
// them, and no other.
func detailsWithCode(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	request := b.request()
	request.CodeExchange = helseid.CodeExchange{JournalID: journalID}
	session, err := b.logIn(ctx, client, request, newBrowser())
	if err != nil {
		return "", err
	}
	for wanted, tokenRequest := range map[bool]helseid.TokenRequest{
		true:  {Resource: b.audiences[0], JournalID: journalID},
		false: {Resource: b.audiences[0]},
	} {
		token, err := session.Token(ctx, tokenRequest)
		if err != nil {
			return "", err
		}
		if found, err := namesJournal(token); err != nil || found != wanted {
			return "", fmt.Errorf("asked with a journal: %t, the token names it: %t: %w", wanted, found, err)
		}
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	if stats.Refreshed != 1 {
		return "", fmt.Errorf("%d refreshes, want one, for the token without details", stats.Refreshed)
	}
	return "in the login's token, and not in the next", nil
}

// namesJournal reads a token without looking at its signature.
func namesJournal(token *helseid.Token) (bool, error) {
	parts := strings.Split(token.Access.Reveal(), ".")
	if len(parts) != 3 {
		return false, errors.New("the token is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false, err
	}
	var claims map[string]any
	err = json.Unmarshal(payload, &claims)
	return claims["nhn:sfm:journal-id"] == journalID, err
}

// bearerCall calls, for a user, an API that has not moved to DPoP, and one that has.
func bearerCall(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{unbound: true})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	session, err := b.logIn(ctx, client, b.request(), newBrowser())
	if err != nil {
		return "", err
	}
	old, bound := b.audiences[1], b.audiences[0]
	guard, err := middleware.New(middleware.Config{Issuer: b.auth.state.Issuer, Audience: old, BearerOnly: true})
	if err != nil {
		return "", err
	}
	defer guard.Close()
	server := httptest.NewServer(guard.Require(func(http.ResponseWriter, *http.Request) {}, middleware.User()))
	defer server.Close()
	api := session.HTTPClient(helseid.TokenRequest{Resource: old, UnboundBearerToken: true})
	const times = 3
	for range times {
		call, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			return "", err
		}
		response, err := api.Do(call)
		if err != nil {
			return "", err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return "", fmt.Errorf("the API that takes bearer tokens answered %s: %s", response.Status, response.Header.Get("WWW-Authenticate"))
		}
		if err := b.call(ctx, session, bound); err != nil {
			return "", err
		}
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	if stats.Refreshed != 1 || stats.ReusedRefreshTokens > 0 {
		return "", fmt.Errorf("%d refreshes, %d with a used token, want one refresh without a proof", stats.Refreshed, stats.ReusedRefreshTokens)
	}
	return fmt.Sprintf("%d calls with a bearer token, and as many with proofs", times), nil
}

// assuranceLevel requires an assurance level of the login.
func assuranceLevel(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	session, err := b.logIn(ctx, client, b.highAssurance(), newBrowser())
	if err != nil {
		return "", err
	}
	if level := session.User().AssuranceLevel; level != identity.AssuranceHigh {
		return "", fmt.Errorf("the session's assurance level is %q", level)
	}
	return "high", nil
}

// assuranceTooLow does the same with a user who does not have it.
func assuranceTooLow(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	state, answer, err := b.start(ctx, client, b.highAssurance(), newBrowser(), clinicianLevel3)
	if err != nil {
		return "", err
	}
	_, err = client.FinishLogin(ctx, state, answer)
	if err := refused(err, helseid.ErrLogin, helseid.ErrIDToken); err != nil {
		return "", err
	}
	return "in the ID token", nil
}

// highAssurance is a login that requires the assurance level high and no security level.
func (b *loginBench) highAssurance() helseid.LoginRequest {
	request := b.request()
	request.SecurityLevel, request.AssuranceLevel = 0, identity.AssuranceHigh
	return request
}
