package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
)

// loginScopes are those that logins ask for beside the scopes of the APIs.
var loginScopes = []string{
	helseid.ScopeProfile, helseid.ScopeOfflineAccess, helseid.ScopePersonalIdentityNumber, helseid.ScopeSecurityLevel,
	helseid.ScopeHPRNumber,
}

// A loginSetup says what a scenario with users wants.
type loginSetup struct {
	alg      string // of the client's key; RS256 if left out
	lifetime int    // of access tokens, in seconds; long if zero
	nonces   bool   // of the APIs
	unbound  bool   // bearer tokens for those who send no proof
}

// A loginBench is an authorization server that logs users in, two APIs that they use, and a client
// with a store of its own for its sessions.
type loginBench struct {
	lab        *lab
	auth       *authServer
	apis       map[string]*program // by audience
	audiences  []string
	channel    *backChannel
	credential client
	configFile string
	key        *dpop.Key
	store      *spyStore
	clients    []*helseid.Client
}

func (l *lab) loginBench(ctx context.Context, want loginSetup) (*loginBench, error) {
	channel, err := l.logoutChannel()
	if err != nil {
		return nil, err
	}
	channel.listen(nil)
	options := authOptions{users: true, nonces: true, lifetime: want.lifetime, backChannel: channel.url, unbound: want.unbound}
	auth, err := l.auth(ctx, options)
	if err != nil {
		return nil, err
	}
	if want.alg == "" {
		want.alg = "RS256"
	}
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	if err != nil {
		return nil, err
	}
	b := &loginBench{
		lab: l, apis: map[string]*program{}, channel: channel, credential: auth.state.Clients[want.alg],
		audiences: []string{auth.state.Audience, auth.state.OtherAudience}, key: key, store: newSpyStore(),
	}
	for _, audience := range b.audiences {
		if b.apis[audience], err = l.program(ctx, programOptions{auth: options, nonces: want.nonces, audience: audience}); err != nil {
			return nil, err
		}
	}
	if b.configFile, err = l.writeConfig(newLoginConfigFile(b.credential, auth.state)); err != nil {
		return nil, err
	}
	b.auth, err = l.auth(ctx, options) // with its counters at zero
	return b, err
}

// close ends the bench's clients.
func (b *loginBench) close() {
	for _, client := range b.clients {
		client.Close()
	}
}

// newClient makes another client with the bench's store. `change` may be nil.
func (b *loginBench) newClient(change func(*helseid.Config)) (*helseid.Client, error) {
	config, err := loginConfig(b.configFile, b.auth.state.Issuer, b.key, b.store)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(&config)
	}
	client, err := helseid.New(config)
	if err != nil {
		return nil, err
	}
	b.clients = append(b.clients, client)
	return client, nil
}

func loginConfig(file, issuer string, key *dpop.Key, store helseid.Store) (helseid.Config, error) {
	config, err := helseid.LoadConfig(file)
	config.Issuer, config.DPoPKey, config.Store = issuer, key, store
	return config, err
}

// request is a login for both APIs.
func (b *loginBench) request() helseid.LoginRequest {
	scopes := slices.Clone(loginScopes)
	for _, audience := range b.audiences {
		scopes = append(scopes, b.auth.state.UserScopes[audience])
	}
	return helseid.LoginRequest{Scopes: scopes, Resources: b.audiences, SecurityLevel: identity.SecurityLevel4}
}

// start starts a login and walks it to the redirect URI.
func (b *loginBench) start(ctx context.Context, client *helseid.Client, request helseid.LoginRequest, browser *browser, choice url.Values) (*helseid.LoginState, url.Values, error) {
	login, err := client.StartLogin(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	end, err := browser.walk(ctx, b.auth.state.Issuer, login.URL, choice)
	if err != nil {
		return nil, nil, err
	}
	answer := end.Query()
	end.RawQuery = ""
	if end.String() != b.auth.state.RedirectURI {
		return nil, nil, fmt.Errorf("the browser is sent to %s", end)
	}
	return login.State, answer, nil
}

// logIn walks a login to its end.
func (b *loginBench) logIn(ctx context.Context, client *helseid.Client, request helseid.LoginRequest, browser *browser) (*helseid.Session, error) {
	state, answer, err := b.start(ctx, client, request, browser, clinician)
	if err != nil {
		return nil, err
	}
	return client.FinishLogin(ctx, state, answer)
}

// practitioner is what examples/api says of the user at its route of that name.
type practitioner struct {
	ClientID string `json:"client_id"`
	Scopes   []string
	Audience []string
	User     struct {
		Subject       string
		Name          string
		HPRNumber     string `json:"hpr_number"`
		SecurityLevel int    `json:"security_level"`
	}
}

// call calls an API on behalf of the user, and checks that it saw this user with a token for this API.
func (b *loginBench) call(ctx context.Context, session *helseid.Session, audience string) error {
	seen, err := callPractitioner(ctx, session, b.apis[audience].url, audience)
	if err != nil {
		return fmt.Errorf("call %s: %w", audience, err)
	}
	scope := b.auth.state.UserScopes[audience]
	user := session.User()
	if !slices.Equal(seen.Audience, []string{audience}) || !slices.Equal(seen.Scopes, []string{scope}) ||
		seen.ClientID != b.credential.ClientID || seen.User.Subject != user.Subject || seen.User.Name != user.Name ||
		seen.User.HPRNumber != string(user.HPRNumber) || seen.User.SecurityLevel != int(user.SecurityLevel) {
		return fmt.Errorf("%s saw %+v", audience, *seen)
	}
	return nil
}

func callPractitioner(ctx context.Context, session *helseid.Session, api, audience string) (*practitioner, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/practitioner", nil)
	if err != nil {
		return nil, err
	}
	response, err := session.HTTPClient(helseid.TokenRequest{Resource: audience}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, body)
	}
	seen := new(practitioner)
	return seen, json.Unmarshal(body, seen)
}

// tally counts what both APIs have decided.
func (b *loginBench) tally() map[string]tally {
	seen := map[string]tally{}
	for audience, api := range b.apis {
		seen[audience] = api.tally()
	}
	return seen
}

// decided checks that each API let in as many calls as its clients think since `before`.
func (b *loginBench) decided(before map[string]tally, allowed map[string]int) error {
	var errs []error
	for audience, api := range b.apis {
		challenges := api.tally().minus(before[audience]).Challenges
		errs = append(errs, api.decided(before[audience], allowed[audience], challenges))
	}
	return errors.Join(errs...)
}

// stats fetches what the authorization server saw, and checks what must hold in every scenario.
func (b *loginBench) stats(ctx context.Context) (authStats, error) {
	stats, err := b.auth.stats(ctx)
	if err != nil {
		return stats, err
	}
	return stats, stats.checkCredentials()
}

// refused checks that an error is of this kind.
func refused(err error, kinds ...error) error {
	if err == nil {
		return errors.New("it was not refused")
	}
	for _, kind := range kinds {
		if !errors.Is(err, kind) {
			return fmt.Errorf("refused in another way than with %q: %w", kind.Error(), err)
		}
	}
	return nil
}
