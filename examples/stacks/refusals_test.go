package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// refusal is a request that is not let in.
type refusal struct {
	reason string
	status int

	config    func(*middleware.Config)
	everybody middleware.Requirement
	before    func(*world)

	path   string // "/caller" unless it says otherwise
	sentTo string // if the request goes to another path than its proof
	inGRPC string // the code of gRPC, if no guard of its own sees such a call
	byHand bool   // in Connect and gRPC, the handler refuses
	token  []mint.TokenOption
	proof  []mint.ProofOption
	change func(*http.Request) // of the request, at last
	twice  bool                // the second one is refused
}

func set(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func again(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, r.Header.Get(name)) }
}

func without(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(name) }
}

func tokens(options ...mint.TokenOption) []mint.TokenOption { return options }
func proofs(options ...mint.ProofOption) []mint.ProofOption { return options }

func bearer(c *middleware.Config) { c.BearerOnly = true }

// brokenStore is a replay store that is down.
type brokenStore struct{}

func (brokenStore) Record(context.Context, dpop.Use) (bool, error) {
	return false, errors.New("no connection")
}

func refusals(t *testing.T) map[string]refusal {
	nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{})
	require.NoError(t, err)
	clinician := mint.Clinician()
	exchanges := make([]mint.TokenOption, 11)
	for i := range exchanges {
		exchanges[i] = mint.ExchangedBy(mint.Actor{ClientID: fmt.Sprint("client-", i)})
	}
	attest := func(age time.Duration) mint.TokenOption {
		return mint.Claim("nhn:tillitsrammeverk:parameters", map[string]any{"toa": time.Now().Add(-age).Unix()})
	}
	return map[string]refusal{
		// Credentials.
		"no credentials":           {reason: "no_credentials", status: 401, change: func(r *http.Request) { r.Header.Del("Authorization"); r.Header.Del("DPoP") }},
		"another scheme":           {reason: "no_credentials", status: 401, change: set("Authorization", "Basic Zm9vOmJhcg==")},
		"two tokens":               {reason: "authorization_repeated", status: 401, change: again("Authorization")},
		"a bearer token":           {reason: "authorization_scheme", status: 401, token: tokens(mint.Unbound()), change: func(r *http.Request) { asBearer(r); r.Header.Del("DPoP") }},
		"a bound token as bearer":  {reason: "authorization_scheme", status: 401, change: asBearer},
		"no proof":                 {reason: "proof_missing", status: 401, change: without("DPoP")},
		"two proofs":               {reason: "proof_repeated", status: 401, change: again("DPoP")},
		"a proof beside a bearer":  {reason: "proof_unexpected", status: 401, config: bearer, token: tokens(mint.Unbound()), change: asBearer},
		"a token in the query":     {reason: "token_in_query", status: 400, path: "/caller?access_token=x", inGRPC: "Unimplemented"},
		"a long target":            {reason: "target_too_long", status: 414, path: "/caller?x=" + strings.Repeat("x", 33<<10), inGRPC: "Unimplemented"},
		"an unbound token":         {reason: "token_binding", status: 401, token: tokens(mint.Unbound())},
		"a bound token for bearer": {reason: "token_binding", status: 401, config: bearer, change: func(r *http.Request) { asBearer(r); r.Header.Del("DPoP") }},
		"a proxy that tells nothing": {reason: "original_request", status: 400, config: func(c *middleware.Config) {
			c.ForwardAuth, c.TrustedProxies = &middleware.ForwardAuth{}, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		}},

		// The token.
		"no token":            {reason: "token_malformed", status: 401, change: set("Authorization", "DPoP")},
		"no JWT":              {reason: "token_malformed", status: 401, change: set("Authorization", "DPoP a.b.c")},
		"a long token":        {reason: "token_too_long", status: 431, change: set("Authorization", "DPoP "+strings.Repeat("x", 16<<10+1))},
		"an ID token":         {reason: "token_typ", status: 401, token: tokens(mint.Header("typ", "JWT"))},
		"no algorithm":        {reason: "token_alg", status: 401, token: tokens(mint.Header("alg", "none"))},
		"an unknown key":      {reason: "token_unknown_key", status: 401, token: tokens(mint.Header("kid", "made-up"))},
		"forged":              {reason: "token_signature", status: 401, token: tokens(mint.SignedWithUnknownKey())},
		"changed":             {reason: "token_signature", status: 401, token: tokens(mint.BrokenSignature())},
		"another environment": {reason: "token_issuer", status: 401, token: tokens(mint.Issuer(helseid.Production.Issuer()))},
		"another API's":       {reason: "token_audience", status: 401, token: tokens(mint.Audience("nhn:other-api"))},
		"two APIs'":           {reason: "token_audience", status: 401, token: tokens(mint.Audience(mint.DefaultAudience, "nhn:other-api"))},
		"expired":             {reason: "token_expired", status: 401, token: tokens(mint.Expired())},
		"before its time":     {reason: "token_not_yet_valid", status: 401, token: tokens(mint.Claim("nbf", time.Now().Add(time.Hour).Unix()))},
		"for ever":            {reason: "token_times", status: 401, token: tokens(mint.Claim("exp", nil))},
		"exchanged too often": {reason: "token_actors", status: 401, token: tokens(append([]mint.TokenOption{clinician}, exchanges...)...)},
		"keys that cannot be had": {reason: "keys_unavailable", status: 503, before: func(w *world) {
			w.helseid.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Times: -1, Status: 500})
		}},
		"no answer of the store":   {reason: "replay_store_unavailable", status: 503, config: func(c *middleware.Config) { c.Proof.Replay, c.Proof.AcceptProofsFromBeforeStart = brokenStore{}, false }},
		"a register that is down":  {reason: "lookup_unavailable", status: 503, everybody: func(context.Context, *tokenvalidation.Claims) error { return middleware.ErrUnavailable }},
		"a part of no path":        {reason: "misconfigured", status: 500, everybody: middleware.ParentOrganizationInPath("organisation")},
		"a requirement of its own": {reason: "requirement", status: 403, everybody: func(context.Context, *tokenvalidation.Claims) error { return errors.New("no") }},

		// The proof.
		"no proof at all":           {reason: "proof_malformed", status: 401, change: set("DPoP", "x")},
		"a long proof":              {reason: "proof_too_long", status: 431, change: set("DPoP", strings.Repeat("x", 8<<10+1))},
		"another type of proof":     {reason: "proof_typ", status: 401, proof: proofs(mint.ProofHeader("typ", "JWT"))},
		"a proof without signature": {reason: "proof_alg", status: 401, proof: proofs(mint.ProofHeader("alg", "none"))},
		"a private key":             {reason: "proof_jwk", status: 401, proof: proofs(mint.PrivateKeyInProof())},
		"another key":               {reason: "proof_key_mismatch", status: 401, proof: proofs(mint.ProofWithAnotherKey())},
		"another key's token":       {reason: "proof_key_mismatch", status: 401, token: tokens(mint.BoundToAnotherKey())},
		"a proof without jti":       {reason: "proof_jti", status: 401, proof: proofs(mint.ProofClaim("jti", nil))},
		"another method":            {reason: "proof_htm", status: 401, proof: proofs(mint.ProofClaim("htm", http.MethodDelete))},
		"another URL":               {reason: "proof_htu", status: 401, proof: proofs(mint.ProofClaim("htu", "https://api.example.no/caller"))},
		"another path":              {reason: "proof_htu", status: 401, path: "/clinician/../caller", sentTo: "/caller"},
		"another route":             {reason: "proof_htu", status: 401, path: "/caller", sentTo: "/clinician/caller"},
		"an old proof":              {reason: "proof_iat", status: 401, proof: proofs(mint.ProofAge(time.Hour))},
		"another token's proof":     {reason: "proof_ath", status: 401, proof: proofs(mint.ProofClaim("ath", "x"))},
		"no nonce":                  {reason: "proof_nonce", status: 401, config: func(c *middleware.Config) { c.Proof.Nonces = nonces }},
		"a changed proof":           {reason: "proof_signature", status: 401, proof: proofs(mint.BrokenProofSignature())},
		"replayed":                  {reason: "proof_replayed", status: 401, twice: true},
		"from before the start":     {reason: "proof_before_start", status: 401, config: func(c *middleware.Config) { c.Proof.AcceptProofsFromBeforeStart = false }, proof: proofs(mint.ProofAge(8 * time.Second))},

		// Requirements.
		"no scope":             {reason: "scope", status: 403, token: tokens(mint.Scopes("nhn:test-api/other"))},
		"any scope":            {reason: "scope", status: 403, everybody: middleware.AnyScope("nhn:test-api/a", "nhn:test-api/b")},
		"a system":             {reason: "user", status: 403, path: "/clinician/caller"},
		"a user":               {reason: "system", status: 403, everybody: middleware.System(), token: tokens(clinician)},
		"a level too low":      {reason: "security_level", status: 401, path: "/clinician/caller", token: tokens(clinician, mint.SecurityLevel(3))},
		"an assurance too low": {reason: "assurance_level", status: 401, everybody: middleware.AssuranceLevel(identity.AssuranceHigh), token: tokens(clinician, mint.AssuranceLevel("low"))},
		"an old login":         {reason: "authentication_age", status: 401, everybody: middleware.AuthenticatedWithin(time.Minute), token: tokens(clinician, mint.AuthenticatedAt(time.Now().Add(-time.Hour)))},
		"no HPR number":        {reason: "hpr_number", status: 403, path: "/clinician/caller", token: tokens(clinician, mint.HPRNumber(""))},
		"no profession":        {reason: "profession", status: 403, everybody: middleware.Profession("LE"), token: tokens(clinician)},
		"another organisation": {reason: "parent_organization", status: 403, path: "/organizations/" + neighbour, byHand: true},
		"no sub-unit":          {reason: "child_organization", status: 403, everybody: middleware.AnyChildOrganization()},
		"no supplier":          {reason: "supplier_organization", status: 403, everybody: middleware.AnySupplierOrganization()},
		"an unknown one":       {reason: "organization", status: 403, everybody: middleware.OrganizationLookup(func(context.Context, identity.Organization) (bool, error) { return false, nil })},
		"no attest":            {reason: "attest_missing", status: 403, everybody: middleware.FreshAttest(), token: tokens(clinician)},
		"an old attest":        {reason: "attestation_has_expired", status: 403, everybody: middleware.FreshAttest(), token: tokens(clinician, attest(2*time.Hour))},
	}
}

func asBearer(r *http.Request) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "DPoP", "Bearer", 1))
}

// outcome is what callers get and the audit log has, but for what differs by nature:
// addresses, times, and how a router writes a route.
type outcome struct {
	status  int
	headers map[string][]string
	body    string
	records []middleware.Record
}

// Each refusal is the same in all stacks, inside of a further guard, too. In gRPC it has
// another form and says the same.
func TestRefusalsAreTheSame(t *testing.T) {
	for name, refusal := range refusals(t) {
		t.Run(name, func(t *testing.T) {
			for _, around := range []bool{false, true} {
				answers := make(map[string]answer)
				outcomes := make(map[string]outcome)
				for name := range stacks {
					t.Run(fmt.Sprint(name, " around ", around), func(t *testing.T) {
						w := newWorld(t, name, worldOptions{config: refusal.config, everybody: refusal.everybody, around: around})
						answers[name] = w.refuse(refusal)
						outcomes[name] = w.outcomeOf(answers[name])
						if answers[name].code == "" {
							require.Equal(t, refusal.status, answers[name].Status, answers[name].Body)
						}
					})
				}
				require.Len(t, outcomes, len(stacks))
				for name, outcome := range outcomes {
					switch {
					case answers[name].code != "":
						requireSame(t, refusal, around, answers["servemux"], answers[name])
					case name == "connect" && refusal.byHand:
						require.Equal(t, refusal.reason, answers[name].Header.Get("Reason"))
					default:
						require.Equal(t, outcomes["servemux"], outcome, name)
					}
				}
			}
		})
	}
}

// codeOf is how gRPC says what the status says.
var codeOf = map[int]string{
	http.StatusBadRequest:                  "InvalidArgument",
	http.StatusUnauthorized:                "Unauthenticated",
	http.StatusForbidden:                   "PermissionDenied",
	http.StatusRequestURITooLong:           "ResourceExhausted",
	http.StatusRequestHeaderFieldsTooLarge: "ResourceExhausted",
	http.StatusServiceUnavailable:          "Unavailable",
	http.StatusInternalServerError:         "Internal",
}

// requireSame compares the answer of gRPC's own guard with net/http's.
func requireSame(t *testing.T, refusal refusal, around bool, web, rpc answer) {
	t.Helper()
	if refusal.inGRPC != "" && !around {
		require.Equal(t, refusal.inGRPC, rpc.code)
		require.Empty(t, rpc.records, "no handler and no guard")
		return
	}
	require.Equal(t, codeOf[refusal.status], rpc.code)
	require.Equal(t, refusal.reason, rpc.Header.Get("Reason"))
	require.Equal(t, web.Header.Get("DPoP-Nonce") != "", rpc.Header.Get("DPoP-Nonce") != "")
	require.Equal(t, web.Header.Get("Retry-After"), rpc.Header.Get("Retry-After"))
	if !refusal.byHand {
		var problem struct{ Detail string }
		require.NoError(t, json.Unmarshal([]byte(web.Body), &problem))
		require.Equal(t, problem.Detail, rpc.Header.Get("Grpc-Message"))
		require.Equal(t, web.Header.Get("WWW-Authenticate"), rpc.Header.Get("WWW-Authenticate"))
	}
	// One decision about a call may be two about a request: at a group and at a route.
	want, got := web.records[len(web.records)-1], rpc.records[len(rpc.records)-1]
	want.Nested, got.Nested = false, false
	require.Equal(t, want, got)
}

// refuse makes the call and returns the answer to it, with what is on record.
func (w *world) refuse(refusal refusal) answer {
	if refusal.before != nil {
		refusal.before(w)
	}
	path := cmp.Or(refusal.path, "/caller")
	request := w.newRequest(path)
	// Tokens are told apart by their jti, which is in the record.
	w.helseid.Authorize(request, w.helseid.Token(append(slices.Clone(refusal.token), mint.TokenID("the-token"))...), refusal.proof...)
	if refusal.sentTo != "" {
		request.URL = w.newRequest(refusal.sentTo).URL
	}
	if refusal.change != nil {
		refusal.change(request)
	}
	if refusal.twice {
		first := w.send(request)
		require.Equal(w, http.StatusOK, first.Status)
		require.Contains(w, []string{"", "OK"}, first.code)
	}
	got := w.send(request)
	got.records = w.log()
	for i := range got.records {
		record := &got.records[i]
		require.Equal(w, request.Method, record.Method)
		record.Route, record.Method, record.Duration = "", "", 0
		record.Expected = strings.Replace(record.Expected, w.url, "https://api", 1)
	}
	if refusal.byHand && w.stack == "connect" || len(got.records) == 0 {
		return got // no guard has refused it
	}
	last := got.records[len(got.records)-1]
	require.False(w, last.Allowed)
	require.Equal(w, refusal.reason, last.Reason)
	require.Equal(w, refusal.status, last.Status)
	require.Equal(w, refusal.status < 500, got.Header.Get("WWW-Authenticate") != "")
	if got.code == "" {
		w.requireReason(refusal.reason, refusal.status, got)
		require.Equal(w, []string{"no-store"}, got.Header.Values("Cache-Control"))
		require.Equal(w, []string{"application/problem+json"}, got.Header.Values("Content-Type"))
	}
	return got
}

func (w *world) outcomeOf(got answer) outcome {
	found := outcome{status: got.Status, headers: maps.Clone(got.Header), body: got.Body, records: got.records}
	delete(found.headers, "Date")
	if found.headers["Dpop-Nonce"] != nil {
		found.headers["Dpop-Nonce"] = []string{"a nonce"}
	}
	return found
}

// Every reason that a guard can give is among them.
func TestRefusalsHaveEveryReason(t *testing.T) {
	tested := make(map[string]bool)
	for _, refusal := range refusals(t) {
		tested[refusal.reason] = true
	}
	tested["token_subject"] = true // of Validator.UserInfo alone, which no guard calls
	for file, words := range map[string]string{
		"../../middleware/reasons.go":     `\b[a-z]+(?:_[a-z]+)+\b|"[a-z]+"`,
		"../../tokenvalidation/errors.go": `"token_[a-z_]+"`,
		"../../dpop/errors.go":            `"proof_[a-z_]+"`,
	} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		found := regexp.MustCompile(words).FindAllString(string(source), -1)
		require.NotEmpty(t, found)
		for _, reason := range found {
			require.True(t, tested[strings.Trim(reason, `"`)], "no refusal with the reason %s", reason)
		}
	}
}
