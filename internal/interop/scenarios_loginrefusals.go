package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
)

// loginRefusalScenarios are logins and sessions that must come to nothing.
func loginRefusalScenarios() []scenario {
	var all []scenario
	for _, m := range []struct {
		name   string
		change func(b *loginBench, answer url.Values)
		kinds  []error
	}{
		{"another state", func(_ *loginBench, answer url.Values) { answer.Set("state", "another") }, []error{helseid.ErrLogin}},
		{"no state", func(_ *loginBench, answer url.Values) { answer.Del("state") }, []error{helseid.ErrLogin}},
		{"another iss", func(_ *loginBench, answer url.Values) { answer.Set("iss", "https://somebody-else.example") },
			[]error{helseid.ErrLogin, helseid.ErrIssuerMismatch}},
		{"iss with a slash at its end", func(b *loginBench, answer url.Values) { answer.Set("iss", b.auth.state.Issuer+"/") },
			[]error{helseid.ErrLogin, helseid.ErrIssuerMismatch}},
		{"no iss", func(_ *loginBench, answer url.Values) { answer.Del("iss") }, []error{helseid.ErrLogin, helseid.ErrIssuerMismatch}},
		{"two codes", func(_ *loginBench, answer url.Values) { answer.Add("code", "another") }, []error{helseid.ErrLogin}},
	} {
		all = append(all, scenario{
			name: "login: refused, " + m.name,
			run: func(ctx context.Context, l *lab) (string, error) {
				return answerRefused(ctx, l, m.change, m.kinds)
			},
		})
	}
	return append(all,
		scenario{"login: refused, cancelled", cancelledLogin},
		scenario{"login: refused, user at level 3 where 4 is asked for", levelTooLow},
		scenario{"login: refused, assurance level substantial where high is asked for", assuranceTooLow},
		scenario{"login: refused, code used twice", replayedCode},
		scenario{"login: refused, another browser's answer", otherLoginsAnswer},
		scenario{"login: refused, another DPoP key than the code is bound to", otherKey},
		scenario{"login: refused, refresh token used twice", reusedRefreshToken},
		scenario{"login: refused, request URI used twice", reusedRequestURI},
	)
}

// answerRefused changes what the browser brings back. The client must notice without asking anybody,
// and the login must then work with what it should have been.
func answerRefused(ctx context.Context, l *lab, change func(*loginBench, url.Values), kinds []error) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	state, answer, err := b.start(ctx, client, b.request(), newBrowser(), clinician)
	if err != nil {
		return "", err
	}
	changed, err := url.ParseQuery(answer.Encode())
	if err != nil {
		return "", err
	}
	change(b, changed)
	_, err = client.FinishLogin(ctx, state, changed)
	if err := refused(err, kinds...); err != nil {
		return "", err
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	if stats.TokenRequests != 0 {
		return "", errors.New("the token endpoint was asked")
	}
	if _, err := client.FinishLogin(ctx, state, answer); err != nil {
		return "", fmt.Errorf("the same answer unchanged: %w", err)
	}
	return "before anything was sent", nil
}

func cancelledLogin(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	state, answer, err := b.start(ctx, client, b.request(), newBrowser(), cancels)
	if err != nil {
		return "", err
	}
	_, err = client.FinishLogin(ctx, state, answer)
	return "access_denied", isAuthorizationError(err, "access_denied")
}

// levelTooLow has a server that lets the user in anyway, as HelseID does.
func levelTooLow(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	browser := newBrowser()
	state, answer, err := b.start(ctx, client, b.request(), browser, clinicianLevel3)
	if err != nil {
		return "", err
	}
	_, err = client.FinishLogin(ctx, state, answer)
	if err := refused(err, helseid.ErrLogin, helseid.ErrIDToken); err != nil {
		return "", err
	}
	if _, err := b.store.sessions(); err == nil {
		return "", errors.New("a session was stored")
	}
	request := b.request()
	request.SecurityLevel = identity.SecurityLevel3
	session, err := b.logIn(ctx, client, request, browser)
	if err != nil {
		return "", fmt.Errorf("the same user where 3 is enough: %w", err)
	}
	if session.User().SecurityLevel != identity.SecurityLevel3 {
		return "", fmt.Errorf("the session's level is %d", session.User().SecurityLevel)
	}
	return "and let in where 3 is enough", nil
}

// replayedCode brings an answer back twice. Clients that share a store send it once. One that does not
// is refused by the server, and that ends the session of the first, too: one of the two was not the
// user's.
func replayedCode(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	state, answer, err := b.start(ctx, client, b.request(), newBrowser(), clinician)
	if err != nil {
		return "", err
	}
	session, err := client.FinishLogin(ctx, state, answer)
	if err != nil {
		return "", err
	}
	sharing, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	_, err = sharing.FinishLogin(ctx, state, answer)
	if err := refused(err, helseid.ErrLogin); err != nil {
		return "", err
	}
	alone, err := b.newClient(func(config *helseid.Config) { config.Store = &helseid.MemoryStore{} })
	if err != nil {
		return "", err
	}
	_, err = alone.FinishLogin(ctx, state, answer)
	if err := isInvalidGrant(err, helseid.ErrLogin); err != nil {
		return "", err
	}
	_, err = session.Token(ctx, helseid.TokenRequest{Resource: b.audiences[1]})
	if err := isInvalidGrant(err, helseid.ErrLoginRequired); err != nil {
		return "", fmt.Errorf("the session of the first: %w", err)
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	if stats.Grants["authorization_code"] != 4 { // one nonce challenge and one use for each of two clients
		return "", fmt.Errorf("%d requests with the code, want 4: %v", stats.Grants["authorization_code"], stats.Answers)
	}
	return "and the session of the first has ended", nil
}

func isInvalidGrant(err error, kind error) error {
	refusal, ok := errors.AsType[*helseid.TokenError](err)
	if !ok || refusal.Code != "invalid_grant" || !errors.Is(err, kind) {
		return fmt.Errorf("want invalid_grant and %q: %w", kind.Error(), refused(err, kind))
	}
	return nil
}

// otherLoginsAnswer brings the answer to one login to another, as when somebody is made to log in as
// the attacker.
func otherLoginsAnswer(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	_, attackers, err := b.start(ctx, client, b.request(), newBrowser(), clinician)
	if err != nil {
		return "", err
	}
	state, own, err := b.start(ctx, client, b.request(), newBrowser(), clinician)
	if err != nil {
		return "", err
	}
	_, err = client.FinishLogin(ctx, state, attackers)
	if err := refused(err, helseid.ErrLogin); err != nil {
		return "", err
	}
	// With the state of this login, the code of the other is still another PKCE challenge's.
	attackers.Set("state", own.Get("state"))
	_, err = client.FinishLogin(ctx, state, attackers)
	if err := isInvalidGrant(err, helseid.ErrLogin); err != nil {
		return "", err
	}
	return "by its state, and by PKCE", nil
}

// otherKey finishes a login with another DPoP key than it was started with. The SDK refuses to; if it
// is deceived, the server does.
func otherKey(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	if err != nil {
		return "", err
	}
	for _, bound := range []bool{false, true} {
		client, err := b.newClient(nil)
		if err != nil {
			return "", err
		}
		thief, err := b.newClient(func(c *helseid.Config) { c.DPoPKey = key })
		if err != nil {
			return "", err
		}
		request := b.request()
		request.BindCode = bound
		state, answer, err := b.start(ctx, client, request, newBrowser(), clinician)
		if err != nil {
			return "", err
		}
		_, err = thief.FinishLogin(ctx, state, answer)
		if err := refused(err, helseid.ErrLogin); err != nil {
			return "", err
		}
		forged, err := withKeyOf(state, key)
		if err != nil {
			return "", err
		}
		_, err = thief.FinishLogin(ctx, forged, answer)
		if !bound && err != nil {
			return "", fmt.Errorf("a code that is not bound: %w", err)
		}
		if bound {
			if err := isInvalidGrant(err, helseid.ErrLogin); err != nil {
				return "", err
			}
		}
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	if n := stats.Refusals["invalid_grant: DPoP proof key thumbprint does not match dpop_jkt"]; n != 1 {
		return "", fmt.Errorf("the provider's reasons are %v", stats.Refusals)
	}
	return "by the client, and by the server if the code is bound", nil
}

// withKeyOf makes a login look as if it had been started with this key.
func withKeyOf(state *helseid.LoginState, key *dpop.Key) (*helseid.LoginState, error) {
	encoded, err := state.Encode()
	if err != nil {
		return nil, err
	}
	var members map[string]any
	if err := json.Unmarshal(encoded, &members); err != nil {
		return nil, err
	}
	if _, found := members["jkt"]; !found {
		return nil, errors.New("the login state does not name its key")
	}
	members["jkt"] = key.Thumbprint()
	if encoded, err = json.Marshal(members); err != nil {
		return nil, err
	}
	return helseid.DecodeLoginState(encoded)
}

// reusedRefreshToken puts a session back as it was before a refresh. Its refresh token is refused, and
// what has come of it is of no use any more either.
func reusedRefreshToken(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
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
	if err := b.call(ctx, session, b.audiences[1]); err != nil { // which needs a refresh
		return "", err
	}
	stored, err := b.store.sessions()
	if err != nil {
		return "", err
	}
	first, last := stored[0], stored[len(stored)-1]
	if err := b.isRevoked(ctx, session, first); err != nil {
		return "", fmt.Errorf("the first refresh token: %w", err)
	}
	if err := b.isRevoked(ctx, session, last); err != nil {
		return "", fmt.Errorf("the refresh token that it was exchanged for: %w", err)
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	// This is how the scenarios with shared sessions would notice.
	if stats.ReusedRefreshTokens != 1 || stats.Refusals["invalid_grant: refresh token already used"] != 1 {
		return "", fmt.Errorf("%d reused tokens were noticed; the provider's reasons are %v", stats.ReusedRefreshTokens, stats.Refusals)
	}
	return "and the one that came of it, too", nil
}

// reusedRequestURI opens the page of a login again that has ended. oidc-provider does not know any more
// which login it was, and answers without its state: the client must not take that for an answer to it.
func reusedRequestURI(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	login, err := client.StartLogin(ctx, b.request())
	if err != nil {
		return "", err
	}
	browser := newBrowser()
	first, err := browser.walk(ctx, b.auth.state.Issuer, login.URL, clinician)
	if err != nil {
		return "", err
	}
	again, err := browser.walk(ctx, b.auth.state.Issuer, login.URL, clinician)
	if err != nil {
		return "", err
	}
	if answer := again.Query(); answer.Get("error") != "invalid_request_uri" || answer.Has("code") || answer.Has("state") {
		return "", fmt.Errorf("the second time the browser is sent to %s", again)
	}
	_, err = client.FinishLogin(ctx, login.State, again.Query())
	if err := refused(err, helseid.ErrLogin); err != nil {
		return "", err
	}
	_, err = client.FinishLogin(ctx, login.State, first.Query())
	return "and the first answer is good", err
}
