package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
)

// loginScenarios are those in which users log in by way of the SDK and nothing is wrong.
func loginScenarios() []scenario {
	var all []scenario
	for i, alg := range []string{"RS256", "PS256", "ES384"} {
		nonces := i%2 == 0
		all = append(all, scenario{
			name: fmt.Sprintf("login: two APIs, refresh, logout, %s, %s", alg, onOff("API nonces", nonces)),
			run: func(ctx context.Context, l *lab) (string, error) {
				return wholeLogin(ctx, l, loginSetup{alg: alg, nonces: nonces, lifetime: 2})
			},
		})
	}
	return append(all,
		scenario{"login: UserInfo with a proof", userInfo},
		scenario{"login: organisation per call", organizationPerCall},
		scenario{"login: details with the code", detailsWithCode},
		scenario{"login: bearer token for an API without DPoP", bearerCall},
		scenario{"login: assurance level", assuranceLevel},
		scenario{"login: single sign-on, prompt and max_age", singleSignOn},
		scenario{"login: code bound to the DPoP key at PAR", boundCode},
		scenario{"login: no offline_access", withoutOfflineAccess},
		scenario{"login: back-channel logout", backChannelLogout},
	)
}

// wholeLogin walks a session from its start to its end.
func wholeLogin(ctx context.Context, l *lab, want loginSetup) (string, error) {
	b, err := l.loginBench(ctx, want)
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	before := b.tally()
	browser := newBrowser()
	session, err := b.logIn(ctx, client, b.request(), browser)
	if err != nil {
		return "", err
	}
	if err := isClinician(session.User()); err != nil {
		return "", err
	}
	calls := map[string]int{}
	callBoth := func() error {
		for _, audience := range b.audiences {
			if err := b.call(ctx, session, audience); err != nil {
				return err
			}
			calls[audience]++
		}
		return nil
	}
	// The first token is that of the code. All others are of the refresh token, which is another each
	// time.
	const rounds = 2
	if err := callBoth(); err != nil {
		return "", err
	}
	for range rounds {
		if err := waitUntilDead(ctx, session, b.audiences); err != nil {
			return "", err
		}
		if err := callBoth(); err != nil {
			return "", err
		}
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	switch {
	case stats.Grants["refresh_token"] < 2*rounds+1 || stats.ReusedRefreshTokens > 0:
		return "", fmt.Errorf("%d refresh requests, %d of them with a used token", stats.Grants["refresh_token"], stats.ReusedRefreshTokens)
	case stats.PathAnswers["/connect/par 201"] != 1 || stats.Paths["/connect/par"] != 1:
		return "", fmt.Errorf("answers at PAR: %v, want one request", stats.PathAnswers)
	case stats.Answers["400 use_dpop_nonce"] != 1:
		return "", fmt.Errorf("answers of the token endpoint: %v, want one nonce challenge", stats.Answers)
	case stats.Answers["200"] != 1+stats.Refreshed:
		return "", fmt.Errorf("answers of the token endpoint %v, %d refresh tokens used", stats.Answers, stats.Refreshed)
	}
	if err := b.decided(before, calls); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d calls, %d refreshes, each refresh token used once", len(calls)*(rounds+1), stats.Refreshed), b.logOut(ctx, session, browser)
}

func isClinician(user identity.User) error {
	if user.Subject != "clinician-4" || user.Name != "KVART GREVLING" || user.HPRNumber != "565505933" ||
		user.SecurityLevel != identity.SecurityLevel4 || user.PersonalIdentityNumber.Reveal() != "06828399789" ||
		user.IdentityProvider != "testidp-oidc" || user.SessionID == "" {
		return errors.New("the ID token tells of another user than the one who has logged in")
	}
	return nil
}

// waitUntilDead waits until the session's tokens for these APIs have expired.
func waitUntilDead(ctx context.Context, session *helseid.Session, audiences []string) error {
	var last time.Time
	for _, audience := range audiences {
		token, err := session.Token(ctx, helseid.TokenRequest{Resource: audience})
		if err != nil {
			return err
		}
		if token.Expiry.After(last) {
			last = token.Expiry
		}
	}
	select {
	case <-time.After(time.Until(last)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// logOut ends a session in the application and in the browser, and makes sure that nothing is left
// of it, neither here nor at the authorization server.
func (b *loginBench) logOut(ctx context.Context, session *helseid.Session, browser *browser) error {
	stored, err := b.store.sessions()
	if err != nil {
		return err
	}
	target, err := session.Logout(ctx, helseid.LogoutRequest{State: "where I was"})
	if err != nil {
		return err
	}
	end, err := browser.walk(ctx, b.auth.state.Issuer, target, clinician)
	if err != nil {
		return err
	}
	want := b.auth.state.PostLogoutRedirectURI + "?" + url.Values{"state": {"where I was"}}.Encode()
	if end.String() != want {
		return fmt.Errorf("after the logout the browser is sent to %s, want %s", end, want)
	}
	if err := b.hasEnded(ctx, session); err != nil {
		return err
	}
	if err := b.isRevoked(ctx, session, stored[len(stored)-1]); err != nil {
		return fmt.Errorf("the refresh token after the logout: %w", err)
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return err
	}
	if stats.PathAnswers["/connect/revocation 200"] != 1 || stats.Paths["/connect/revocation"] != 1 {
		return fmt.Errorf("answers at the revocation endpoint: %v, want one request", stats.PathAnswers)
	}
	// The browser must log in again.
	return b.noSingleSignOn(ctx, browser)
}

// hasEnded checks that a session is of no use any more, to any client.
func (b *loginBench) hasEnded(ctx context.Context, session *helseid.Session) error {
	other, err := b.newClient(nil)
	if err != nil {
		return err
	}
	_, err = session.Token(ctx, helseid.TokenRequest{Resource: b.audiences[0]})
	if err := refused(err, helseid.ErrLoginRequired); err != nil {
		return fmt.Errorf("a token of a session that has ended: %w", err)
	}
	for _, client := range b.clients {
		if client == other || client == b.clients[0] {
			_, err := client.Sessions().Get(ctx, session.ID().Reveal())
			if err := refused(err, helseid.ErrLoginRequired); err != nil {
				return fmt.Errorf("a session that has ended: %w", err)
			}
		}
	}
	return nil
}

// isRevoked puts a stored session back and checks that the authorization server refuses its refresh
// token.
func (b *loginBench) isRevoked(ctx context.Context, session *helseid.Session, stored spiedRow) error {
	before, err := b.stats(ctx)
	if err != nil {
		return err
	}
	client, err := b.newClient(nil) // which does not know that the session has ended
	if err != nil {
		return err
	}
	if err := b.store.putBack(ctx, stored); err != nil {
		return err
	}
	revived, err := client.Sessions().Get(ctx, session.ID().Reveal())
	if err != nil {
		return err
	}
	_, err = revived.Token(ctx, helseid.TokenRequest{Resource: b.audiences[1]})
	if err := refused(err, helseid.ErrLoginRequired); err != nil {
		return err
	}
	refusal, ok := errors.AsType[*helseid.TokenError](err)
	if !ok || refusal.Code != "invalid_grant" {
		return fmt.Errorf("the answer was not invalid_grant: %w", err)
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return err
	}
	if asked := stats.Grants["refresh_token"] - before.Grants["refresh_token"]; asked < 1 {
		return errors.New("the authorization server was not asked")
	}
	return nil
}

func (b *loginBench) noSingleSignOn(ctx context.Context, browser *browser) error {
	request := b.request()
	request.Prompt = helseid.PromptNone
	state, answer, err := b.start(ctx, b.clients[0], request, browser, nil)
	if err != nil {
		return err
	}
	_, err = b.clients[0].FinishLogin(ctx, state, answer)
	return isAuthorizationError(err, "login_required")
}

func isAuthorizationError(err error, code string) error {
	failure, ok := errors.AsType[*helseid.AuthorizationError](err)
	if !ok || failure.Code != code || !errors.Is(err, helseid.ErrLogin) {
		return fmt.Errorf("want the authorization error %s: %w", code, refused(err, helseid.ErrLogin))
	}
	return nil
}

// userInfo asks oidc-provider's UserInfo, which takes tokens only that are for no API.
func userInfo(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{lifetime: 2})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	session, err := b.logIn(ctx, client, helseid.LoginRequest{Scopes: loginScopes}, newBrowser())
	if err != nil {
		return "", err
	}
	const times = 3
	for range times {
		info, err := session.UserInfo(ctx)
		if err != nil {
			return "", err
		}
		user := session.User()
		if info.User.Subject != user.Subject || info.User.Name != user.Name || info.User.HPRNumber != user.HPRNumber ||
			info.User.PersonalIdentityNumber.Reveal() != user.PersonalIdentityNumber.Reveal() {
			return "", errors.New("UserInfo tells of another user than the ID token")
		}
		if err := waitUntilDead(ctx, session, []string{""}); err != nil {
			return "", err
		}
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	// The nonce of the token endpoint is known by then, and is good at UserInfo of the same server.
	if asked := stats.Paths["/connect/userinfo"]; asked < times || stats.Refreshed < times-1 {
		return "", fmt.Errorf("%d requests, %d refreshes", asked, stats.Refreshed)
	}
	return fmt.Sprintf("%d answers in %d requests, %d refreshes", times, stats.Paths["/connect/userinfo"], stats.Refreshed), nil
}

// organizationPerCall changes the organisation within one session.
func organizationPerCall(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(func(c *helseid.Config) { c.Tenancy = identity.MultiTenant })
	if err != nil {
		return "", err
	}
	session, err := b.logIn(ctx, client, b.request(), newBrowser())
	if err != nil {
		return "", err
	}
	audience := b.audiences[1]
	for _, parent := range []string{"999977775", "999977776", "999977775"} {
		request, err := http.NewRequestWithContext(helseid.ForOrganization(ctx, identity.OrganizationNumber(parent), ""), http.MethodGet, b.apis[audience].url+"/organisation", nil)
		if err != nil {
			return "", err
		}
		seen, err := organizationOf(session.HTTPClient(helseid.TokenRequest{Resource: audience}), request)
		if err != nil {
			return "", err
		}
		if seen != parent {
			return "", fmt.Errorf("the API saw the organisation %q, want %q", seen, parent)
		}
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	if stats.Refreshed != 2 || stats.Paths["/connect/par"] != 1 {
		return "", fmt.Errorf("%d refreshes and %d logins, want 2 and 1", stats.Refreshed, stats.Paths["/connect/par"])
	}
	return "two organisations, one login", nil
}

// singleSignOn logs in again and again in one browser.
func singleSignOn(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	if err := b.noSingleSignOn(ctx, newBrowser()); err != nil {
		return "", fmt.Errorf("prompt=none without a session: %w", err)
	}
	browser := newBrowser()
	first, err := b.logIn(ctx, client, b.request(), browser)
	if err != nil {
		return "", err
	}
	steps := []struct {
		name   string
		change func(*helseid.LoginRequest)
		page   bool // is shown again
	}{
		{"none", func(r *helseid.LoginRequest) { r.Prompt = helseid.PromptNone }, false},
		{"nothing", func(*helseid.LoginRequest) {}, false},
		{"max_age of an hour", func(r *helseid.LoginRequest) { r.MaxAge = time.Hour }, false},
		{"login", func(r *helseid.LoginRequest) { r.Prompt = helseid.PromptLogin }, true},
		{"max_age of a second", func(r *helseid.LoginRequest) { r.MaxAge = time.Second }, true},
	}
	const tooOld = 2500 * time.Millisecond // for max_age of a second, in whole seconds
	for _, step := range steps {
		if step.page {
			select {
			case <-time.After(tooOld):
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		}
		request, pages, start := b.request(), browser.pages, time.Now()
		step.change(&request)
		session, err := b.logIn(ctx, client, request, browser)
		if err != nil {
			return "", fmt.Errorf("%s: %w", step.name, err)
		}
		if shown := browser.pages > pages; shown != step.page {
			return "", fmt.Errorf("%s: the login page was shown: %t", step.name, shown)
		}
		// auth_time comes with max_age, and with prompt=login the SDK sends that too.
		at := session.User().AuthenticatedAt
		if step.page && at.Before(start.Truncate(time.Second)) {
			return "", fmt.Errorf("%s: auth_time is %v and the login was started at %v", step.name, at, start)
		}
		if session.ID().Reveal() == first.ID().Reveal() || session.User().Subject != first.User().Subject {
			return "", fmt.Errorf("%s: it is not a new session of the same user", step.name)
		}
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d logins, the page was shown %d times", stats.Answers["200"], browser.pages), nil
}

// boundCode binds the code to a key, which makes the authorization server demand a nonce at PAR.
func boundCode(ctx context.Context, l *lab) (string, error) {
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
	request.BindCode = true
	session, err := b.logIn(ctx, client, request, newBrowser())
	if err != nil {
		return "", err
	}
	if err := b.call(ctx, session, b.audiences[0]); err != nil {
		return "", err
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	if stats.PathAnswers["/connect/par 400 use_dpop_nonce"] != 1 || stats.PathAnswers["/connect/par 201"] != 1 {
		return "", fmt.Errorf("answers at PAR: %v, want one nonce challenge", stats.PathAnswers)
	}
	return "one nonce challenge at PAR", nil
}

// withoutOfflineAccess has no refresh token, and ends with its access token.
func withoutOfflineAccess(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{lifetime: 2})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	request := b.request()
	request.Scopes = slices.DeleteFunc(request.Scopes, func(scope string) bool { return scope == helseid.ScopeOfflineAccess })
	request.Resources = b.audiences[:1]
	session, err := b.logIn(ctx, client, request, newBrowser())
	if err != nil {
		return "", err
	}
	if err := b.call(ctx, session, b.audiences[0]); err != nil {
		return "", err
	}
	if err := waitUntilDead(ctx, session, b.audiences[:1]); err != nil {
		return "", err
	}
	_, err = session.Token(ctx, helseid.TokenRequest{Resource: b.audiences[0]})
	if err := refused(err, helseid.ErrLoginRequired); err != nil {
		return "", err
	}
	_, err = session.Token(ctx, helseid.TokenRequest{Resource: b.audiences[1]})
	if err := refused(err, helseid.ErrNoRefreshToken); err != nil {
		return "", err
	}
	stats, err := b.stats(ctx)
	if err != nil {
		return "", err
	}
	if stats.Grants["refresh_token"] != 0 {
		return "", errors.New("a refresh was tried")
	}
	return "the session lasts as long as its access token", nil
}

// backChannelLogout logs out at the authorization server, which tells the client.
func backChannelLogout(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{})
	if err != nil {
		return "", err
	}
	defer b.close()
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	browser, elsewhere := newBrowser(), newBrowser()
	session, err := b.logIn(ctx, client, b.request(), browser)
	if err != nil {
		return "", err
	}
	bystander, err := b.logIn(ctx, client, b.request(), elsewhere)
	if err != nil {
		return "", err
	}
	b.channel.listen(client.Sessions().BackChannelLogout())
	defer b.channel.listen(nil)
	target := b.auth.state.Issuer + "/connect/endsession?" + url.Values{
		"client_id": {b.credential.ClientID}, "post_logout_redirect_uri": {b.auth.state.PostLogoutRedirectURI},
	}.Encode()
	if _, err := browser.walk(ctx, b.auth.state.Issuer, target, clinician); err != nil {
		return "", err
	}
	if calls := b.channel.called(); calls != 1 {
		return "", fmt.Errorf("%d calls of the back channel, want 1", calls)
	}
	if err := b.hasEnded(ctx, session); err != nil {
		return "", err
	}
	if err := b.call(ctx, bystander, b.audiences[1]); err != nil {
		return "", fmt.Errorf("the same user's session in another browser: %w", err)
	}
	_, err = b.stats(ctx)
	return "one session has ended, and the same user's other one has not", err
}

func organizationOf(client *http.Client, request *http.Request) (string, error) {
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var seen struct{ Organization struct{ Parent string } }
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the API answers %s", response.Status)
	}
	err = json.NewDecoder(response.Body).Decode(&seen)
	return seen.Organization.Parent, err
}
