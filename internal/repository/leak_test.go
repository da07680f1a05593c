//go:build !race

// Package fmt walks through whatever is in an unexported field, also what goroutines
// are at work on: that is what is tested here, and what the race detector reports.

package repository_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/desk"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/internal/leaktest"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Whatever an application prints, logs or marshals of the SDK's types shows no
// secret, wherever it is nested. A type or field that is added is in this test, or
// the test fails: fields are secret unless they are named as public here.
func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	w := newLeakWorld(t)
	all := "*"
	leaktest.Check(t, ".",
		leaktest.Of[clientassertion.Attest]().Raw("the caller fills it in: organisations and codes of a care relationship"),
		leaktest.Of[clientassertion.AttestPatient](all), // organisations
		leaktest.Of[clientassertion.Code](all),
		leaktest.Of[clientassertion.Config]("ClientID", "Audience"),
		leaktest.Made[clientassertion.Detail](w.detail).Marshals("it is the JSON of a claim"),
		leaktest.Made[clientassertion.Key](w.clientKey),
		leaktest.Of[clientassertion.KeyKind](all),
		leaktest.Of[clientassertion.KeyOptions](all),
		leaktest.Of[clientassertion.Organization](all),
		leaktest.Made[clientassertion.Signer](w.signer),
		leaktest.Of[clientassertion.Variants](),

		leaktest.Of[dpop.Expectation]("Method", "URI", "Thumbprint", "Client").Raw("the argument of one call, on the way of every request"),
		leaktest.Made[dpop.Key](w.dpopKey),
		leaktest.Of[dpop.KeyOptions](all),
		leaktest.Of[dpop.MemoryReplay](),
		leaktest.Of[dpop.MemoryReplayConfig](all),
		leaktest.Of[dpop.NonceIssuerConfig]().Raw("an empty secret is a mistake, and none is not, which only a slice can tell apart"),
		leaktest.Made[dpop.NonceIssuer](w.nonceIssuer),
		leaktest.Of[dpop.Nonces](),
		leaktest.Of[dpop.Proof](all), // what has been used up
		leaktest.Of[dpop.ProofError](all),
		leaktest.Made[dpop.Prover](w.prover),
		leaktest.Of[dpop.ProverConfig](),
		leaktest.Of[dpop.Reason](all),
		leaktest.Of[dpop.Target]("Method", "Host", "Nonce").Raw("the argument of one call, on the way of every request"),
		leaktest.Of[dpop.Use](all), // hashes
		leaktest.Made[dpop.Verifier](w.verifier),
		leaktest.Of[dpop.VerifierConfig]("Algorithms"),

		leaktest.Of[helseid.AuthorizationError](all),
		leaktest.Made[helseid.Client](w.helseidClient),
		leaktest.Of[helseid.CodeExchange]("JournalID"),
		leaktest.Of[helseid.Config]("Issuer", "ClientID", "Tenancy", "EndpointOrigins", "AllowedOrigins"),
		leaktest.Of[helseid.EndCause](all),
		leaktest.Of[helseid.Environment](all),
		leaktest.Of[helseid.Event](all),
		leaktest.Of[helseid.EventKind](all),
		leaktest.Made[helseid.KeyFile](w.keyFile),
		leaktest.Of[helseid.KeyFileConfig](all),
		leaktest.Of[helseid.Login]("URL"), // for a browser: a reference to the request
		leaktest.Of[helseid.LoginRequest]("Application", "RedirectURI", "Scopes", "Resources", "IdentityProvider", "EID", "ACRValues", "OnBehalfOf", "Prompt", "JournalID"),
		leaktest.Made[helseid.LoginState](w.loginState),
		leaktest.Of[helseid.LogoutRequest](all),
		leaktest.Made[helseid.MemoryStore](w.sessionStore),
		leaktest.Of[helseid.Prompt](all),
		leaktest.Of[helseid.Registration](all),
		leaktest.Of[helseid.ScopeError](all),
		leaktest.Made[identity.Secret](func(s *leaktest.Secrets) any { return identity.NewSecret(s.Text()) }),
		leaktest.Made[helseid.Session](w.session),
		leaktest.Made[helseid.Sessions](w.sessions),
		leaktest.Of[helseid.SessionEnd](all), // for the audit log: pseudonyms are what it is for
		leaktest.Of[helseid.StepUp](all),
		leaktest.Of[helseid.StoredRow]().Raw("stores take its fields"),
		leaktest.Of[helseid.TestUser]().Raw("the caller fills it in: a synthetic number, refused in production"),
		leaktest.Of[helseid.Token]("Type", "Scopes", "RejectedScopes"),
		leaktest.Of[helseid.TokenError](all),
		leaktest.Of[helseid.TokenRequest]("Scopes", "Resource", "JournalID", "AllowedOrigins"),
		leaktest.Made[helseid.TokenSource](w.tokenSource),
		leaktest.Made[helseid.UserSession](w.userSession),

		leaktest.Of[helseidtest.API](all),
		leaktest.Of[helseidtest.Choice]("IdentityProvider").Raw("the caller fills it in: a synthetic number"),
		leaktest.Of[helseidtest.Client](all), // a registration, with public keys
		leaktest.Of[helseidtest.Endpoint](all),
		leaktest.Of[helseidtest.Fault](all),
		leaktest.Made[helseidtest.PendingLogin](w.pendingLogin),
		leaktest.Of[helseidtest.Request]("Endpoint", "Method").Raw("it is there for tests to look at its fields"),
		leaktest.Of[helseidtest.Selvbetjening](all),
		leaktest.Made[helseidtest.Server](w.helseidServer),
		leaktest.Of[helseidtest.User]("HPRNumber", "HPRApprovals", "AssuranceLevel", "IdentityProvider", "Network").Raw("the caller fills it in: a synthetic person"),

		leaktest.Of[desk.Config]().Raw("the caller fills it in: the key of a local test server"),

		leaktest.Of[mint.Actor](all),
		leaktest.Of[mint.InvalidProof](all),
		leaktest.Made[mint.Key](w.mintKey),
		leaktest.Made[mint.Minter](w.minter),

		leaktest.Of[rule.Rule](all),

		leaktest.Of[selvbetjening.Claim](all), // a registration, as it is shown to people
		leaktest.Of[selvbetjening.ClaimStatus](all),
		leaktest.Made[selvbetjening.Client](w.selfService),
		leaktest.Of[selvbetjening.ClientSecret](all), // a public key
		leaktest.Of[selvbetjening.ClientStatus](all),
		leaktest.Of[selvbetjening.Config]("BaseURL"),
		leaktest.Of[selvbetjening.Configuration](all),
		leaktest.Of[selvbetjening.Error](all),
		leaktest.Of[selvbetjening.FileStore](all),
		leaktest.Made[selvbetjening.Rotation](w.rotation),
		leaktest.Of[selvbetjening.RotationConfig]("Kind", "BaseURL", "Issuer", "ClientID", "Tenancy", "EndpointOrigins", "AllowedOrigins"),
		leaktest.Made[selvbetjening.StoredKeys](func(s *leaktest.Secrets) any {
			return selvbetjening.StoredKeys{Current: w.clientKey(s).(*clientassertion.Key)}
		}),
		leaktest.Of[selvbetjening.ScopeStatus](all),
		leaktest.Of[selvbetjening.Status](all),

		leaktest.Of[weblogin.Config]("PublicURL", "LoginPath", "LogoutPath", "HomePath", "PostLogoutRedirectURI", "BackChannelLogoutPath", "FrontChannelLogoutPath", "CookieName", "Application"),
		leaktest.Of[weblogin.Event](all), // for the audit log: pseudonyms are what it is for
		leaktest.Of[weblogin.EventKind](all),
		leaktest.Of[weblogin.Kind](all),
		leaktest.Of[weblogin.Loop](all),
		leaktest.Of[weblogin.Problem](all), // for an error page
		leaktest.Made[weblogin.Web](w.web),

		leaktest.Of[middleware.Config]("Issuer", "Audience", "PublicURL", "PublicURLs", "HostHeader", "PortHeader", "PrefixHeader", "Realm"),
		leaktest.Made[middleware.Decision](w.decision),
		leaktest.Of[middleware.Denial](all), // for the caller
		leaktest.Of[middleware.ForwardAuth](all),
		leaktest.Made[middleware.Middleware](w.middleware),
		leaktest.Of[middleware.Problem](all), // for the caller
		leaktest.Of[middleware.Record](all),  // for the access log: see its documentation
		leaktest.Of[middleware.Request]("Method", "RemoteAddr", "Route").Raw("the argument of one call, on the way of every request"),

		// Of a person these hold the national identity number in a type of its own;
		// names and pseudonyms are what they are for.
		leaktest.Of[tokenvalidation.Actor](all),
		leaktest.Of[tokenvalidation.Attest](all),
		leaktest.Of[tokenvalidation.CareRelationship](all),
		leaktest.Of[tokenvalidation.Claims](all),
		leaktest.Of[tokenvalidation.Code](all),
		leaktest.Of[tokenvalidation.Config]("Issuer", "Audience", "TokenTypes", "EndpointOrigins", "Snapshot"),
		leaktest.Of[tokenvalidation.Confirmation](all),
		leaktest.Of[tokenvalidation.Decision](all),
		leaktest.Of[tokenvalidation.Error](all),
		leaktest.Of[identity.HPRApproval](all),
		leaktest.Of[identity.HPRCode](all),
		leaktest.Of[identity.HPRDetails](all),
		leaktest.Of[identity.HPRNumber](all),
		leaktest.Of[identity.IDToken](all),
		leaktest.Of[tokenvalidation.Identifier](all),
		leaktest.Made[tokenvalidation.KeySet](w.keySet),
		leaktest.Of[tokenvalidation.KeySetConfig]("Issuer", "EndpointOrigins"),
		leaktest.Of[identity.Organization](all),
		leaktest.Of[identity.OrganizationNumber](all),
		leaktest.Of[tokenvalidation.Patient](all),
		leaktest.Of[tokenvalidation.Person](all),
		leaktest.Made[identity.PersonalIdentityNumber](w.number),
		leaktest.Of[tokenvalidation.Practitioner](all),
		leaktest.Of[tokenvalidation.Reason](all),
		leaktest.Of[identity.Tenancy](all),
		leaktest.Of[identity.User](all),
		leaktest.Of[identity.UserInfo](all),
		leaktest.Made[tokenvalidation.Validator](w.validator),

		leaktest.Extra("Client.HTTPClient", func(s *leaktest.Secrets) any { return w.client(s).HTTPClient(w.request(s)) }),
		leaktest.Extra("Client.Transport", func(s *leaktest.Secrets) any { return w.client(s).Transport(w.request(s)) }),
		leaktest.Extra("Sessions.Store", func(s *leaktest.Secrets) any { return w.client(s).Sessions().Store() }),
		leaktest.Extra("Session.HTTPClient", func(s *leaktest.Secrets) any {
			w.secrets(s)
			return w.loggedIn.HTTPClient(helseid.TokenRequest{})
		}),
		leaktest.Extra("WithTokenRequest", func(s *leaktest.Secrets) any {
			return helseid.WithTokenRequest(context.Background(), w.request(s))
		}),
		leaktest.Extra("WithSubjectToken", func(s *leaktest.Secrets) any {
			return helseid.WithSubjectToken(context.Background(), identity.NewSecret(s.Text()))
		}),
		leaktest.Extra("the error of a session store", func(s *leaktest.Secrets) any {
			_, err := w.failing(s).Sessions().Get(context.Background(), "some-id")
			return err
		}),
	)
}

// Nested modules that export types have such a test, in internal/leaktest/modules.
func TestNestedModulesPrintNoSecret(t *testing.T) {
	t.Parallel()
	modules := 0
	require.NoError(t, filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." || !entry.IsDir() || !isModule(name) {
			return err
		}
		modules++
		exported, err := leaktest.ExportedTypes(name)
		require.NoError(t, err)
		if len(exported) == 0 {
			return nil
		}
		test, err := os.ReadFile(filepath.Join("internal/leaktest/modules", filepath.Base(name)+"_test.go"))
		require.NoError(t, err, "%s exports types", name)
		require.Contains(t, string(test), `leaktest.Check(t, "../../../`+filepath.ToSlash(name)+`",`)
		return nil
	}))
	require.Positive(t, modules)
}

// leakWorld is a HelseID, a client and a user who has logged in, and what of them
// must not be seen.
type leakWorld struct {
	t        *testing.T
	server   *helseidtest.Server
	config   helseid.Config
	made     *helseid.Client
	loggedIn *helseid.Session
	state    *helseid.LoginState
	pending  *helseidtest.PendingLogin
	guard    *middleware.Middleware
	checker  *tokenvalidation.Validator
	token    identity.Secret
	claims   *tokenvalidation.Claims
	hidden   []string
}

const leakAudience, leakCallback = "nhn:some-api", "https://app.example.no/callback"

// spyStore tells what is stored.
type spyStore struct {
	helseid.MemoryStore
	saved func(data []byte)
}

func (s *spyStore) Save(ctx context.Context, key string, row helseid.StoredRow) (bool, error) {
	s.saved(row.Data)
	return s.MemoryStore.Save(ctx, key, row)
}

func newLeakWorld(t *testing.T) *leakWorld {
	t.Helper()
	w := &leakWorld{t: t}
	w.server = helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.LoginPage(func(rw http.ResponseWriter, _ *http.Request, login *helseidtest.PendingLogin) {
		w.pending = login
		rw.WriteHeader(http.StatusOK)
	}))
	config := w.server.NewClient(helseidtest.RedirectURI(leakCallback), helseidtest.Scopes(leakAudience+"/read"))
	config.DPoPKey = w.newKey(&leaktest.Secrets{}).(*dpop.Key)
	config.Store = &spyStore{saved: func(data []byte) {
		var row map[string]any
		require.NoError(t, json.Unmarshal(data, &row))
		for _, name := range []string{"id_token", "refresh_token"} {
			if text, _ := row[name].(string); text != "" {
				w.hidden = append(w.hidden, text)
			}
		}
	}}
	w.config = config
	var err error
	w.made, err = helseid.New(config)
	require.NoError(t, err)
	t.Cleanup(w.made.Close)

	ctx := t.Context()
	request := helseid.LoginRequest{Scopes: []string{helseid.ScopeOfflineAccess, helseid.ScopeAllIdentity, leakAudience + "/read"}}
	login, err := w.made.StartLogin(ctx, request)
	require.NoError(t, err)
	callback, err := w.server.LogIn(login.URL)
	require.NoError(t, err)
	w.loggedIn, err = w.made.FinishLogin(ctx, login.State, callback.Query())
	require.NoError(t, err)
	token, err := w.loggedIn.Token(ctx, helseid.TokenRequest{})
	require.NoError(t, err)
	system, err := w.made.Token(ctx, helseid.TokenRequest{Scopes: []string{leakAudience + "/read"}})
	require.NoError(t, err)
	w.hidden = append(w.hidden, token.Access.Reveal(), system.Access.Reveal(), w.loggedIn.ID().Reveal(), mint.DefaultPersonalIdentityNumber)

	login, err = w.made.StartLogin(ctx, request) // one that is under way
	require.NoError(t, err)
	w.state = login.State
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	response, err := (&http.Client{Transport: w.server.HTTPClient().Transport, Jar: jar}).Get(login.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NotNil(t, w.pending)
	cookies := jar.Cookies(response.Request.URL)
	require.NotEmpty(t, cookies)
	for _, cookie := range cookies {
		w.hidden = append(w.hidden, cookie.Value)
	}
	encoded, err := login.State.Encode()
	require.NoError(t, err)
	var state map[string]any
	require.NoError(t, json.Unmarshal(encoded, &state))
	for _, name := range []string{"state", "nonce", "verifier"} {
		w.hidden = append(w.hidden, state[name].(string))
	}

	w.checker, err = tokenvalidation.New(tokenvalidation.Config{Issuer: w.server.Issuer(), Audience: leakAudience, HTTPClient: w.server.HTTPClient()})
	require.NoError(t, err)
	t.Cleanup(w.checker.Close)
	user := w.server.Token(mint.Clinician(), mint.Audience(leakAudience), mint.SecurityLevel(4))
	w.claims, err = w.checker.Validate(ctx, user)
	require.NoError(t, err)
	require.Equal(t, mint.DefaultPersonalIdentityNumber, w.claims.User.PersonalIdentityNumber.Reveal())
	nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{Secret: []byte(leaktest.Text)})
	require.NoError(t, err)
	w.guard, err = middleware.New(middleware.Config{
		Issuer: w.server.Issuer(), Audience: leakAudience, BearerOnly: true, Token: tokenvalidation.Config{HTTPClient: w.server.HTTPClient()},
		Proof: dpop.VerifierConfig{Nonces: nonces},
	})
	require.NoError(t, err)
	t.Cleanup(w.guard.Close)
	bearer := w.server.Token(mint.Clinician(), mint.Audience(leakAudience), mint.Unbound())
	call := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.no/", nil)
	call.Header.Set("Authorization", "Bearer "+bearer)
	w.guard.Require(func(_ http.ResponseWriter, r *http.Request) { w.token = middleware.Token(r.Context()) }).ServeHTTP(httptest.NewRecorder(), call)
	require.Equal(t, bearer, w.token.Reveal())
	w.hidden = append(w.hidden, user, bearer)
	return w
}

// secrets adds what of the world must not be seen.
func (w *leakWorld) secrets(s *leaktest.Secrets) {
	s.Text()
	for _, text := range w.hidden {
		s.Add(text)
	}
}

func (w *leakWorld) client(s *leaktest.Secrets) *helseid.Client {
	w.secrets(s)
	return w.made
}

func (w *leakWorld) helseidClient(s *leaktest.Secrets) any { return w.client(s) }

// kms is a signer that holds its secret as it is.
type kms struct {
	crypto.Signer
	Password string
	Key      []byte
}

func newKMS(t *testing.T, s *leaktest.Secrets) crypto.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return kms{private, s.Text(), []byte(s.Text())}
}

func (w *leakWorld) clientKey(s *leaktest.Secrets) any {
	key, err := clientassertion.NewKey(newKMS(w.t, s), clientassertion.KeyOptions{})
	require.NoError(w.t, err)
	return key
}

// writtenKey is a key in memory, as it is written to a file.
func (w *leakWorld) writtenKey(s *leaktest.Secrets) (path string) {
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	require.NoError(w.t, err)
	jwk, err := key.MarshalPrivateJWK()
	require.NoError(w.t, err)
	var members struct{ D string }
	require.NoError(w.t, json.Unmarshal(jwk, &members))
	s.Text()
	s.Add(members.D)
	path = filepath.Join(w.t.TempDir(), "key.json")
	require.NoError(w.t, os.WriteFile(path, jwk, 0o600))
	return path
}

func (w *leakWorld) keyFile(s *leaktest.Secrets) any {
	file, err := helseid.NewKeyFile(helseid.KeyFileConfig{Path: w.writtenKey(s)})
	require.NoError(w.t, err)
	return file
}

func (w *leakWorld) rotation(s *leaktest.Secrets) any {
	file, err := helseid.NewKeyFile(helseid.KeyFileConfig{Path: w.writtenKey(s)})
	require.NoError(w.t, err)
	config := w.config
	config.Key, err = file.Key(context.Background())
	require.NoError(w.t, err)
	rotation, err := selvbetjening.NewRotation(context.Background(), selvbetjening.RotationConfig{
		Client: config, Store: selvbetjening.FileStore{Path: filepath.Join(w.t.TempDir(), "keys.json")},
		Selvbetjening: selvbetjening.Config{BaseURL: w.server.Issuer() + "/selvbetjening"},
	})
	require.NoError(w.t, err)
	w.t.Cleanup(rotation.Close)
	return rotation
}

func (w *leakWorld) newKey(s *leaktest.Secrets) any {
	key, err := dpop.NewKey(newKMS(w.t, s), dpop.KeyOptions{})
	require.NoError(w.t, err)
	return key
}

func (w *leakWorld) dpopKey(s *leaktest.Secrets) any { return w.newKey(s) }

func (w *leakWorld) signer(s *leaktest.Secrets) any {
	signer, err := clientassertion.New(clientassertion.Config{ClientID: "c", Audience: "a", Key: w.clientKey(s).(*clientassertion.Key)})
	require.NoError(w.t, err)
	return signer
}

func (w *leakWorld) prover(s *leaktest.Secrets) any {
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: w.newKey(s).(*dpop.Key)})
	require.NoError(w.t, err)
	return prover
}

func (w *leakWorld) nonceIssuer(s *leaktest.Secrets) any {
	issuer, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{Secret: []byte(s.Text())})
	require.NoError(w.t, err)
	return issuer
}

func (w *leakWorld) verifier(s *leaktest.Secrets) any {
	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{Nonces: w.nonceIssuer(s).(*dpop.NonceIssuer)})
	require.NoError(w.t, err)
	return verifier
}

func (w *leakWorld) detail(s *leaktest.Secrets) any {
	detail, err := clientassertion.ParseDetail([]byte(`{"type":"some:detail","patient":"` + s.Text() + `"}`))
	require.NoError(w.t, err)
	return detail
}

func (w *leakWorld) request(s *leaktest.Secrets) helseid.TokenRequest {
	return helseid.TokenRequest{Scopes: []string{leakAudience + "/read"}, Details: []clientassertion.Detail{w.detail(s).(clientassertion.Detail)}}
}

func (w *leakWorld) loginState(s *leaktest.Secrets) any {
	w.secrets(s)
	return w.state
}

func (w *leakWorld) session(s *leaktest.Secrets) any {
	w.secrets(s)
	return w.loggedIn
}

func (w *leakWorld) sessionStore(s *leaktest.Secrets) any {
	store := &helseid.MemoryStore{}
	_, err := store.Save(context.Background(), "key", helseid.StoredRow{Data: []byte(s.Text()), Expiry: time.Now().Add(time.Hour)})
	require.NoError(w.t, err)
	return store
}

func (w *leakWorld) tokenSource(s *leaktest.Secrets) any {
	return w.client(s).TokenSource(w.request(s))
}

func (w *leakWorld) selfService(s *leaktest.Secrets) any {
	self, err := selvbetjening.New(selvbetjening.Config{Client: w.client(s), BaseURL: "https://self.example.no"})
	require.NoError(w.t, err)
	return self
}

func (w *leakWorld) web(s *leaktest.Secrets) any {
	user := &helseid.TestUser{PersonalIdentityNumber: s.Add(helseidtest.PersonWithoutHPRNumber)}
	web, err := weblogin.New(weblogin.Config{Client: w.client(s), Login: helseid.LoginRequest{TestUser: user}})
	require.NoError(w.t, err)
	return web
}

func (w *leakWorld) pendingLogin(s *leaktest.Secrets) any {
	w.secrets(s)
	return w.pending
}

func (w *leakWorld) helseidServer(s *leaktest.Secrets) any {
	w.secrets(s)
	return w.server
}

func (w *leakWorld) decision(s *leaktest.Secrets) any {
	w.secrets(s)
	request := middleware.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: "api.example.no", Path: "/x"},
		Header: http.Header{"authorization": {"Bearer " + w.token.Reveal()}},
	}
	decision := w.guard.Decide(context.Background(), request)
	require.True(w.t, decision.Allowed())
	return &decision
}

func (w *leakWorld) mintKey(s *leaktest.Secrets) any {
	key, err := mint.NewKey(newKMS(w.t, s), "")
	require.NoError(w.t, err)
	return key
}

func (w *leakWorld) minter(s *leaktest.Secrets) any {
	key := w.mintKey(s).(*mint.Key)
	return &mint.Minter{Issuer: leakCallback, SigningKey: func() *mint.Key { return key }, ProofKey: key}
}

func (w *leakWorld) middleware(s *leaktest.Secrets) any {
	w.secrets(s)
	return w.guard
}

func (w *leakWorld) validator(s *leaktest.Secrets) any {
	w.secrets(s)
	return w.checker
}

func (w *leakWorld) sessions(s *leaktest.Secrets) any {
	w.secrets(s)
	return w.made.Sessions()
}

func (w *leakWorld) userSession(s *leaktest.Secrets) any {
	w.secrets(s)
	sessions, err := w.made.Sessions().Of(w.t.Context(), w.loggedIn.User().Subject)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, sessions)
	return sessions[0]
}

func (w *leakWorld) keySet(s *leaktest.Secrets) any {
	w.secrets(s)
	keys, err := tokenvalidation.NewKeySet(tokenvalidation.KeySetConfig{Issuer: w.server.Issuer(), HTTPClient: w.server.HTTPClient()})
	require.NoError(w.t, err)
	return keys
}

func (w *leakWorld) number(s *leaktest.Secrets) any {
	s.Add(w.claims.User.PersonalIdentityNumber.Reveal())
	return w.claims.User.PersonalIdentityNumber
}

// failing is a client whose store quotes what it was given.
func (w *leakWorld) failing(s *leaktest.Secrets) *helseid.Client {
	config := w.config
	config.Store = quotingStore{s.Text()}
	client, err := helseid.New(config)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	return client
}

type quotingStore struct{ secret string }

type quotedError string

func (e quotedError) Error() string { return "cannot store " + strings.TrimSpace(string(e)) }

func (q quotingStore) Load(context.Context, string) (helseid.StoredRow, error) {
	return helseid.StoredRow{}, quotedError(q.secret)
}

func (q quotingStore) Save(context.Context, string, helseid.StoredRow) (bool, error) {
	return false, quotedError(q.secret)
}

func (q quotingStore) Delete(context.Context, string) error { return quotedError(q.secret) }
