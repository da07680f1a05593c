package helseid_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/verification"
)

// T165: what comes with the browser must be the answer to this login, from this
// issuer. Nothing is sent otherwise.
func TestT165Callback(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(w *world, answer url.Values)
		err    error
		text   string
	}{
		"good":              {func(*world, url.Values) {}, nil, ""},
		"more parameters":   {func(_ *world, a url.Values) { a.Set("session_state", "x"); a.Set("other", "y") }, nil, ""},
		"another state":     {func(_ *world, a url.Values) { a.Set("state", "another") }, helseid.ErrLogin, "state"},
		"longer state":      {func(_ *world, a url.Values) { a.Set("state", a.Get("state")+"x") }, helseid.ErrLogin, "state"},
		"empty state":       {func(_ *world, a url.Values) { a.Set("state", "") }, helseid.ErrLogin, "state"},
		"no state":          {func(_ *world, a url.Values) { a.Del("state") }, helseid.ErrLogin, "state"},
		"state twice":       {func(_ *world, a url.Values) { a.Add("state", a.Get("state")) }, helseid.ErrLogin, "state"},
		"another issuer":    {func(_ *world, a url.Values) { a.Set("iss", "https://evil.example") }, helseid.ErrIssuerMismatch, "iss"},
		"issuer and slash":  {func(w *world, a url.Values) { a.Set("iss", w.server.Issuer()+"/") }, helseid.ErrIssuerMismatch, "iss"},
		"no issuer":         {func(_ *world, a url.Values) { a.Del("iss") }, helseid.ErrIssuerMismatch, "iss"},
		"issuer twice":      {func(_ *world, a url.Values) { a.Add("iss", "https://evil.example") }, helseid.ErrLogin, "iss"},
		"no code":           {func(_ *world, a url.Values) { a.Del("code") }, helseid.ErrLogin, "code"},
		"code twice":        {func(_ *world, a url.Values) { a.Add("code", "x") }, helseid.ErrLogin, "code"},
		"endless code":      {func(_ *world, a url.Values) { a.Set("code", strings.Repeat("x", 5000)) }, helseid.ErrLogin, "code"},
		"cancelled":         {func(_ *world, a url.Values) { a.Del("code"); a.Set("error", "access_denied") }, helseid.ErrLogin, "cancelled"},
		"error and code":    {func(_ *world, a url.Values) { a.Set("error", "access_denied") }, helseid.ErrLogin, "access_denied"},
		"empty error":       {func(_ *world, a url.Values) { a.Set("error", "") }, helseid.ErrLogin, "unknown_error"},
		"error in markup":   {func(_ *world, a url.Values) { a.Set("error", "<script>"+strings.Repeat("x", 100)) }, helseid.ErrLogin, "unknown_error"},
		"error in trouble":  {func(_ *world, a url.Values) { a.Set("error", "temporarily_unavailable") }, helseid.ErrUnavailable, "later"},
		"error of another":  {func(_ *world, a url.Values) { a.Set("error", "access_denied"); a.Set("state", "x") }, helseid.ErrLogin, "another login"},
		"refused elsewhere": {func(_ *world, a url.Values) { a.Set("error", "access_denied"); a.Set("iss", "https://evil.example") }, helseid.ErrIssuerMismatch, "iss"},
		"refused by nobody": {func(_ *world, a url.Values) { a.Set("error", "access_denied"); a.Del("iss") }, helseid.ErrIssuerMismatch, "iss"},
		"a person in it": {func(_ *world, a url.Values) {
			a.Set("error", "access_denied")
			a.Set("error_description", "HID-1001 for "+mint.DefaultPersonalIdentityNumber)
		}, helseid.ErrLogin, "Altinn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{})
			state, answer := w.callback(t, loginRequest())
			test.change(w, answer)
			session, err := w.client.FinishLogin(t.Context(), state, answer)
			if test.err == nil {
				require.NoError(t, err)
				require.NotNil(t, session)
				return
			}
			requireError(t, err, helseid.ErrLogin)
			require.ErrorIs(t, err, test.err)
			require.ErrorContains(t, err, test.text)
			require.Nil(t, session)
			require.Empty(t, w.server.Requests(helseidtest.EndpointToken), "nothing is sent")
			var refusal *helseid.AuthorizationError
			require.Equal(t, strings.HasPrefix(name, "error") || name == "cancelled" || name == "a person in it" || name == "empty error",
				errors.As(err, &refusal) || name == "error of another")
		})
	}
}

// The modules of the OpenID conformance suite's FAPI 2 plan for clients, each
// with its fault and the reaction that it requires.
func TestConformanceModules(t *testing.T) {
	t.Parallel()
	id, header := mint.Claim, mint.Header
	type options = []mint.TokenOption
	now := time.Now().Unix()
	for module, test := range map[string]struct {
		server   []helseidtest.Option
		idToken  options
		response []func(map[string]any)
		callback func(url.Values)
		reason   verification.Reason // the login fails for this reason
		stop     bool                // the login fails before anything is sent
	}{
		"test-happy-path":               {server: []helseidtest.Option{helseidtest.DemandProofAtPAR()}},
		"test-happy-path-no-dpop-nonce": {server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce)}},
		"test-token-type-case-insensitivity": {
			response: []func(map[string]any){func(r map[string]any) { r["token_type"] = "dpOP" }},
		},
		"test-token-endpoint-response-without-expires_in":       {response: []func(map[string]any){func(response map[string]any) { delete(response, "expires_in") }}},
		"test-invalid-authorization-response-iss":               {callback: func(a url.Values) { a.Set("iss", "https://evil.example") }, stop: true},
		"test-remove-authorization-response-iss":                {callback: func(a url.Values) { a.Del("iss") }, stop: true},
		"test-ensure-authorization-response-with-invalid-state": {callback: func(a url.Values) { a.Set("state", "x") }, stop: true},
		"test-ensure-authorization-response-with-missing-state": {callback: func(a url.Values) { a.Del("state") }, stop: true},
		"test-invalid-iss":           {idToken: options{id("iss", "https://evil.example")}, reason: verification.ReasonIssuer},
		"test-invalid-aud":           {idToken: options{id("aud", "another")}, reason: verification.ReasonAudience},
		"test-invalid-secondary-aud": {idToken: options{func() mint.TokenOption { return mint.Audience("another", "third") }()}, reason: verification.ReasonAudience},
		"test-invalid-null-alg":      {idToken: options{header("alg", "none")}, reason: verification.ReasonAlgorithm},
		"test-invalid-alternate-alg": {idToken: options{header("alg", "HS256")}, reason: verification.ReasonAlgorithm},
		"test-invalid-expired-exp":   {idToken: options{id("exp", now-600)}, reason: verification.ReasonExpired},
		"test-invalid-missing-exp":   {idToken: options{id("exp", nil)}, reason: verification.ReasonTime},
		"test-invalid-missing-aud":   {idToken: options{id("aud", nil)}, reason: verification.ReasonAudience},
		"test-invalid-missing-iss":   {idToken: options{id("iss", nil)}, reason: verification.ReasonIssuer},
		"test-invalid-nonce":         {idToken: options{id("nonce", "another")}, reason: idtoken.ReasonNonce},
		"test-invalid-missing-nonce": {idToken: options{id("nonce", nil)}, reason: idtoken.ReasonNonce},
		"test-valid-aud-as-array":    {idToken: options{}},
	} {
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{server: append(test.server, helseidtest.TokenLifetime(10*time.Minute))})
			api := w.api(apiHost, good)
			idToken := test.idToken
			if module == "test-valid-aud-as-array" {
				idToken = options{id("aud", []string{w.config.ClientID})}
			}
			w.server.AlterIDTokens(idToken...)
			w.server.AlterTokenResponse(test.response...)
			w.server.AlterCallback(test.callback)
			request := loginRequest()
			request.BindCode = module == "test-happy-path"
			state, answer := w.callback(t, request)
			session, err := w.client.FinishLogin(t.Context(), state, answer)
			if test.stop {
				requireError(t, err, helseid.ErrLogin)
				require.Empty(t, w.server.Requests(helseidtest.EndpointToken))
				return
			}
			if test.reason != "" {
				requireError(t, err, helseid.ErrLogin)
				var refused *idtoken.Error
				require.ErrorAs(t, err, &refused)
				require.Equal(t, test.reason, refused.Reason)
				require.Nil(t, session)
				require.Empty(t, api.received())
				return
			}
			require.NoError(t, err)
			response, err := get(t, session.HTTPClient(helseid.TokenRequest{Resource: testResource}), apiURL)
			require.NoError(t, err)
			require.Equal(t, 200, response.StatusCode)
			requireDistinctIDs(t, w, api)
			for _, endpoint := range []helseidtest.Endpoint{helseidtest.EndpointPAR, helseidtest.EndpointToken} {
				for _, sent := range w.server.Requests(endpoint) {
					requireConformingRequest(t, w, sent)
				}
			}
		})
	}
}

// requireConformingRequest makes the suite's checks of what a client sends.
func requireConformingRequest(t testing.TB, w *world, sent helseidtest.Request) {
	t.Helper()
	var assertion struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience any    `json:"aud"`
		Expiry   int64  `json:"exp"`
	}
	require.NoError(t, json.Unmarshal([]byte(sent.Assertion), &assertion))
	require.Equal(t, w.config.ClientID, assertion.Issuer)
	require.Equal(t, w.config.ClientID, assertion.Subject)
	require.Equal(t, w.server.Issuer(), assertion.Audience, "a plain string")
	require.LessOrEqual(t, assertion.Expiry, time.Now().Add(time.Minute).Unix())
	if sent.Proof == "" {
		require.Equal(t, helseidtest.EndpointPAR, sent.Endpoint)
		return
	}
	var proof map[string]any
	require.NoError(t, json.Unmarshal([]byte(sent.Proof), &proof))
	require.NotContains(t, proof, "ath")
	require.Equal(t, "POST", proof["htm"])
	require.Equal(t, w.server.Issuer()+string(sent.Endpoint), proof["htu"])
	require.NotContains(t, sent.ProofHeader, `"d"`)
}

// test-discovery-issuer-mismatch: nothing is pushed to another issuer.
func TestConformanceIssuerMismatch(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Times: -1, Body: `{"issuer":"https://evil.example"}`})
	_, err := w.client.StartLogin(t.Context(), helseid.LoginRequest{})
	requireError(t, err, helseid.ErrIssuerMismatch)
	require.Empty(t, w.server.Requests(helseidtest.EndpointPAR))
}

// test-rs-dpop-auth-scheme-case-insensitivity: a challenge is one in any case.
func TestConformanceSchemeCase(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	session := w.logIn(t)
	api := w.api(apiHost, inTurn(answer(401, "WWW-Authenticate", `dPoP error="use_dpop_nonce"`, "DPoP-Nonce", "n-1")))
	response, err := get(t, session.HTTPClient(helseid.TokenRequest{Resource: testResource}), apiURL)
	require.NoError(t, err)
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, "n-1", proofClaims(t, w, api.received()[1].request, apiURL)["nonce"])
}

// The level and the age that were asked for are looked up in the ID token, since
// HelseID lets users in at less.
func TestLevelAndAgeOfALogin(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	for name, test := range map[string]struct {
		request helseid.LoginRequest
		user    []helseidtest.LoginOption
		idToken []mint.TokenOption
		reason  verification.Reason
	}{
		"level 4":            {helseid.LoginRequest{SecurityLevel: 4}, nil, nil, ""},
		"level 3 of 4":       {helseid.LoginRequest{SecurityLevel: 4}, []helseidtest.LoginOption{helseidtest.AsUser(helseidtest.ClinicianAtLevel3)}, nil, idtoken.ReasonSecurityLevel},
		"level 3 of 3":       {helseid.LoginRequest{SecurityLevel: 3}, []helseidtest.LoginOption{helseidtest.AsUser(helseidtest.ClinicianAtLevel3)}, nil, ""},
		"high assurance":     {helseid.LoginRequest{AssuranceLevel: identity.AssuranceHigh}, nil, nil, ""},
		"less assurance":     {helseid.LoginRequest{AssuranceLevel: identity.AssuranceHigh}, []helseidtest.LoginOption{helseidtest.AsUser(helseidtest.ClinicianAtLevel3)}, nil, idtoken.ReasonAssuranceLevel},
		"assurance as asked": {helseid.LoginRequest{AssuranceLevel: identity.AssuranceSubstantial}, []helseidtest.LoginOption{helseidtest.AsUser(helseidtest.ClinicianAtLevel3)}, nil, ""},
		"assurance unsaid":   {helseid.LoginRequest{AssuranceLevel: identity.AssuranceLow}, nil, []mint.TokenOption{mint.Claim("helseid://claims/identity/assurance_level", nil)}, idtoken.ReasonAssuranceLevel},
		"level 4 of 3":       {helseid.LoginRequest{SecurityLevel: 3}, nil, nil, ""},
		"level unsaid":       {helseid.LoginRequest{SecurityLevel: 3}, nil, []mint.TokenOption{mint.Claim("helseid://claims/identity/security_level", nil)}, idtoken.ReasonSecurityLevel},
		"level as a number":  {helseid.LoginRequest{SecurityLevel: 3}, nil, []mint.TokenOption{mint.Claim("helseid://claims/identity/security_level", 4)}, idtoken.ReasonSecurityLevel},
		"any level":          {helseid.LoginRequest{}, []helseidtest.LoginOption{helseidtest.AtLevel(2)}, nil, ""},
		"young enough":       {helseid.LoginRequest{MaxAge: time.Minute}, nil, nil, ""},
		"too old":            {helseid.LoginRequest{MaxAge: time.Minute}, nil, []mint.TokenOption{mint.Claim("auth_time", now-120)}, idtoken.ReasonLoginAge},
		"age unsaid":         {helseid.LoginRequest{MaxAge: time.Minute}, nil, []mint.TokenOption{mint.Claim("auth_time", nil)}, idtoken.ReasonLoginAge},
		"new login":          {helseid.LoginRequest{Prompt: helseid.PromptLogin}, nil, nil, ""},
		"no new login":       {helseid.LoginRequest{Prompt: helseid.PromptLogin}, nil, []mint.TokenOption{mint.Claim("auth_time", now-60)}, idtoken.ReasonLoginAge},
		"new login, unsaid":  {helseid.LoginRequest{Prompt: helseid.PromptLogin}, nil, []mint.TokenOption{mint.Claim("auth_time", nil)}, idtoken.ReasonLoginAge},
		"old login accepted": {helseid.LoginRequest{}, nil, []mint.TokenOption{mint.Claim("auth_time", now-7200)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{})
			w.server.AlterIDTokens(test.idToken...)
			state, answer := w.callback(t, test.request, test.user...)
			_, err := w.client.FinishLogin(t.Context(), state, answer)
			if test.reason == "" {
				require.NoError(t, err)
				return
			}
			requireError(t, err, helseid.ErrLogin)
			var refused *idtoken.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, test.reason, refused.Reason)
			require.ErrorIs(t, err, helseid.ErrIDToken)
			if test.reason == idtoken.ReasonLoginAge {
				require.ErrorIs(t, err, helseid.ErrLoginTooOld)
				require.NotErrorIs(t, err, helseid.ErrLevelTooLow)
			} else {
				require.ErrorIs(t, err, helseid.ErrLevelTooLow)
				require.NotErrorIs(t, err, helseid.ErrLoginTooOld)
			}
		})
	}
}

func TestLoginWithoutASession(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	state, answer := w.callback(t, helseid.LoginRequest{Prompt: helseid.PromptNone})
	_, err := w.client.FinishLogin(t.Context(), state, answer)
	var refusal *helseid.AuthorizationError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "login_required", refusal.Code)
	require.ErrorContains(t, err, "PromptNone")

	state, answer = w.callback(t, helseid.LoginRequest{}, helseidtest.Cancelled())
	_, err = w.client.FinishLogin(t.Context(), state, answer)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "access_denied", refusal.Code)
	require.Empty(t, w.server.Requests(helseidtest.EndpointToken))
}

// HelseID's page: an application with users of its own makes sure that both are
// the same person.
func TestSamePerson(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	errOther := errors.New("not who is logged in here")
	check := func(number string) helseid.LoginCheck {
		return func(_ context.Context, user identity.User) error {
			if user.PersonalIdentityNumber.Reveal() != number {
				return errOther
			}
			return nil
		}
	}
	state, answer := w.callback(t, loginRequest())
	session, err := w.client.FinishLogin(t.Context(), state, answer, check(mint.DefaultPersonalIdentityNumber))
	require.NoError(t, err)
	require.NotNil(t, session)

	state, answer = w.callback(t, loginRequest(), helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
	session, err = w.client.FinishLogin(t.Context(), state, answer, check(mint.DefaultPersonalIdentityNumber))
	requireError(t, err, errOther)
	require.ErrorIs(t, err, helseid.ErrLogin)
	require.Nil(t, session)
}

// The code is sent once: not again when it is unknown what became of it, and
// again only after a nonce challenge.
func TestCodeIsSentOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault    helseidtest.Fault
		requests int
		err      error // nil: it succeeds
	}{
		"answered":               {helseidtest.Fault{}, 1, nil},
		"cut after reading":      {helseidtest.Fault{Cut: true}, 1, helseid.ErrUnavailable},
		"processed and cut":      {helseidtest.Fault{AfterProcessing: true, Cut: true}, 1, helseid.ErrUnavailable},
		"half an answer":         {helseidtest.Fault{AfterProcessing: true, HalfBody: true}, 1, helseid.ErrUnavailable},
		"internal error":         {helseidtest.Fault{Status: 500}, 1, helseid.ErrUnavailable},
		"unavailable":            {helseidtest.Fault{Status: 503}, 1, helseid.ErrUnavailable},
		"too many requests":      {helseidtest.Fault{Status: 429}, 2, nil},
		"a page":                 {helseidtest.Fault{Status: 200, Body: "<html>"}, 1, helseid.ErrInvalidResponse},
		"no ID token":            {helseidtest.Fault{Status: 200, Body: "token"}, 1, helseid.ErrInvalidResponse},
		"refused":                {helseidtest.Fault{Status: 400, Body: `{"error":"invalid_grant"}`}, 1, helseid.ErrLogin},
		"refresh token as array": {helseidtest.Fault{Status: 200, Body: "array"}, 1, helseid.ErrInvalidResponse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newLoginWorld(t, worldOptions{})
				state, answer := w.callback(t, loginRequest())
				switch test.fault.Body {
				case "token":
					test.fault.Body = w.tokenAnswer(t, nil)
				case "array":
					test.fault.Body = w.tokenAnswer(t, map[string]any{"refresh_token": []string{"x"}})
				}
				if name != "answered" {
					w.server.Inject(test.fault)
				}
				_, err := w.client.FinishLogin(t.Context(), state, answer)
				require.Len(t, w.server.Requests(helseidtest.EndpointToken), test.requests)
				if test.err == nil {
					require.NoError(t, err)
					return
				}
				requireError(t, err, helseid.ErrLogin)
				require.ErrorIs(t, err, test.err)
			})
		})
	}
}

// With HelseID's nonces the code goes out twice, and the first does not use it up.
func TestNonceAtTheCode(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.TokenLifetime(time.Minute)}})
	session := w.logIn(t)
	require.NotNil(t, session)
	sent := w.server.Requests(helseidtest.EndpointToken)
	require.Len(t, sent, 2)
	require.Equal(t, sent[0].Form.Get("code"), sent[1].Form.Get("code"))
	require.NotEqual(t, sent[0].Assertion, sent[1].Assertion)
	require.NotEqual(t, sent[0].Proof, sent[1].Proof)
	require.NotContains(t, sent[1].Form, "scope", "a code is redeemed without scope")
	require.Equal(t, testResource, sent[1].Form.Get("resource"), "the first token is for the first API alone")
	requireDistinctIDs(t, w)
}

// HelseID's keys cannot be had: that is no forged token, and the way on is a new
// login anyway.
func TestLoginWithoutKeys(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	state, answer := w.callback(t, loginRequest())
	w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Status: 503, Times: -1})
	_, err := w.client.FinishLogin(t.Context(), state, answer)
	requireError(t, err, helseid.ErrUnavailable)
	require.ErrorIs(t, err, helseid.ErrLogin)
	require.NotErrorIs(t, err, helseid.ErrIDToken)
}

// Only a holder of its state can finish a login.
func TestLoginState(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{})
		state, answer := w.callback(t, loginRequest())
		require.Equal(t, answer.Get("state"), state.ID())
		require.WithinDuration(t, time.Now().Add(helseid.LoginLifetime), state.Expiry(), time.Second)

		stored, err := state.Encode()
		require.NoError(t, err)
		again, err := helseid.DecodeLoginState(stored)
		require.NoError(t, err)
		twice, err := again.Encode()
		require.NoError(t, err)
		require.Equal(t, stored, twice)

		// It says nothing by itself.
		for _, value := range []any{state, *state, again} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
				text := fmt.Sprintf(verb, value)
				for _, name := range []string{"verifier", "nonce", "state"} {
					require.NotContains(t, text, stateMember(t, state, name), verb)
				}
			}
		}
		_, err = json.Marshal(state)
		require.ErrorContains(t, err, "Encode")
		var logged strings.Builder
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "state", state)
		require.Contains(t, logged.String(), "[redacted]")

		other := w.config
		other.DPoPKey, err = dpop.GenerateKey(dpop.KeyOptions{})
		require.NoError(t, err)
		_, err = newClient(t, other).FinishLogin(t.Context(), again, answer)
		requireError(t, err, helseid.ErrLogin)
		require.ErrorContains(t, err, "DPoP key")

		other = w.config
		other.ClientID = "another"
		_, err = newClient(t, other).FinishLogin(t.Context(), again, answer)
		requireError(t, err, helseid.ErrLogin)

		for _, broken := range []*helseid.LoginState{nil, {}} {
			_, err = w.client.FinishLogin(t.Context(), broken, url.Values{})
			requireError(t, err, helseid.ErrLogin)
			_, err = broken.Encode()
			requireError(t, err, helseid.ErrLogin)
			require.Empty(t, broken.ID())
			require.Zero(t, broken.Expiry())
		}
		for _, text := range []string{"", "{}", "null", `{"version":2}`, "[]", `{"version":"1"}`, "\x00"} {
			_, err = helseid.DecodeLoginState([]byte(text))
			requireError(t, err, helseid.ErrLogin)
		}
		require.Empty(t, w.server.Requests(helseidtest.EndpointToken))

		// The process that finishes it may be another one, with the same keys.
		session, err := newClient(t, w.config).FinishLogin(t.Context(), again, answer)
		require.NoError(t, err)
		require.NotNil(t, session)

		state, answer = w.callback(t, loginRequest())
		pause(helseid.LoginLifetime)
		before := w.tokenRequests()
		_, err = w.client.FinishLogin(t.Context(), state, answer)
		requireError(t, err, helseid.ErrLogin)
		require.ErrorContains(t, err, "longer than")
		require.Equal(t, before, w.tokenRequests())
	})
}

// A code that has been used gives nobody a session.
func TestLoginIsFinishedOnce(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	state, answer := w.callback(t, loginRequest())
	_, err := w.client.FinishLogin(t.Context(), state, answer)
	require.NoError(t, err)
	session, err := w.client.FinishLogin(t.Context(), state, answer)
	requireError(t, err, helseid.ErrLogin)
	require.Nil(t, session)

	// Nor does another login's code.
	state, _ = w.callback(t, loginRequest())
	_, other := w.callback(t, loginRequest())
	other.Set("state", state.ID())
	_, err = w.client.FinishLogin(t.Context(), state, other)
	requireError(t, err, helseid.ErrLogin)
}

func TestLoginAfterClose(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	state, answer := w.callback(t, loginRequest())
	w.client.Close()
	_, err := w.client.StartLogin(t.Context(), loginRequest())
	require.ErrorIs(t, err, helseid.ErrClosed)
	_, err = w.client.FinishLogin(t.Context(), state, answer)
	require.ErrorIs(t, err, helseid.ErrClosed)
}

// A login that was started with another issuer is not finished with this one, whatever
// the answer says (RFC 9700 section 4.4.2): the state remembers where it was started.
func TestLoginStateOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	state, answer := w.callback(t, loginRequest())
	stored, err := state.Encode()
	require.NoError(t, err)
	elsewhere := strings.Replace(string(stored), w.server.Issuer(), "https://another.example", 1)
	require.NotEqual(t, string(stored), elsewhere)
	state, err = helseid.DecodeLoginState([]byte(elsewhere))
	require.NoError(t, err)
	_, err = w.client.FinishLogin(t.Context(), state, answer)
	requireError(t, err, helseid.ErrLogin)
	require.ErrorContains(t, err, "another client")
	require.Empty(t, w.server.Requests(helseidtest.EndpointToken))
}
