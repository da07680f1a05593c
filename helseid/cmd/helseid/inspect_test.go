package main_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/tokenvalidation"
)

const (
	inspectedAPI = "nhn:a"
	inspectedURL = "https://api.example.no/x"
)

// inspected is what the program has said of one input.
type inspected struct {
	result
	kind      string
	ok        bool
	broken    []string          // the rules
	problems  map[string]string // of these
	unchecked []string
	text      string // all of it
}

// inspect runs the program with -json, and once more in words, and checks that both say the
// same and that neither shows a secret.
func inspect(t *testing.T, input string, flags ...string) inspected {
	t.Helper()
	got := run(t, nil, []byte(input), append([]string{"inspect", "-json"}, flags...)...)
	found := inspected{result: got, problems: map[string]string{}, text: got.stdout}
	for line := range strings.Lines(got.stdout) {
		var event struct {
			Event, Kind, Rule, Problem string
			OK                         *bool
		}
		require.NoError(t, json.Unmarshal([]byte(line), &event), line)
		switch event.Event {
		case "rule":
			require.NotNil(t, event.OK)
			require.Equal(t, *event.OK, event.Problem == "", line)
			if !*event.OK {
				found.broken = append(found.broken, event.Rule)
				found.problems[event.Rule] = event.Problem
			}
		case "unchecked":
			found.unchecked = append(found.unchecked, event.Rule)
		case "summary":
			found.kind, found.ok = event.Kind, *event.OK
		}
	}
	slices.Sort(found.broken)
	require.NotEmpty(t, found.kind, got.stderr)
	require.Equal(t, map[bool]int{true: 0, false: 1}[found.ok], got.exit)
	require.Equal(t, found.ok, len(found.broken) == 0)
	requireNoSecretIn(t, got)
	return found
}

// privateMember is one of a private JWK with its value, or PEM.
var privateMember = regexp.MustCompile(`\\?"(d|p|q|dp|dq|qi)\\?": *\\?"[^\[]|PRIVATE KEY-----`)

func requireNoSecretIn(t *testing.T, got result) {
	t.Helper()
	for _, text := range []string{got.stdout, got.stderr} {
		require.Empty(t, testkit.FindCredential(text))
		require.False(t, privateMember.MatchString(text), text)
	}
}

// broken sorts the names of rules.
func broken(rules ...string) []string {
	slices.Sort(rules)
	return rules
}

// tokenFile writes a token for -token.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte(token), 0o600))
	return path
}

// tokenReason is what the validator says of a token: nothing, or the first rule it breaks.
func tokenReason(t *testing.T, server *helseidtest.Server, jwt string) string {
	t.Helper()
	validator, err := tokenvalidation.New(tokenvalidation.Config{Issuer: server.Issuer(), Audience: inspectedAPI, HTTPClient: server.HTTPClient()})
	require.NoError(t, err)
	defer validator.Close()
	claims, err := validator.Validate(t.Context(), jwt)
	if err == nil && claims.Confirmation.Unsupported {
		return "token_binding" // as the middleware has it
	}
	if err == nil {
		return ""
	}
	var refused *tokenvalidation.Error
	require.ErrorAs(t, err, &refused)
	return string(refused.Reason)
}

// proofReason is the same of a proof, which is for the token and GET inspectedURL.
func proofReason(t *testing.T, now time.Time, jwt, proof string) string {
	t.Helper()
	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{AcceptProofsFromBeforeStart: true, Time: func() time.Time { return now }})
	require.NoError(t, err)
	var claims struct{ Cnf struct{ Jkt string } }
	require.NoError(t, json.Unmarshal(payloadOf(t, jwt), &claims))
	_, err = verifier.Verify(t.Context(), proof, dpop.Expectation{Method: "GET", URI: inspectedURL, AccessToken: jwt, Thumbprint: claims.Cnf.Jkt})
	if err == nil {
		return ""
	}
	var refused *dpop.ProofError
	require.ErrorAs(t, err, &refused)
	return string(refused.Reason)
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func payloadOf(t *testing.T, jwt string) []byte {
	t.Helper()
	compact, err := jose.ParseCompact(jwt, 1<<20)
	require.NoError(t, err)
	return compact.Payload
}

// requireSameVerdict holds what was found against the validator's first reason.
func requireSameVerdict(t *testing.T, reason string, found inspected) {
	t.Helper()
	require.Equal(t, reason == "", found.ok, "the validator says %q, inspect %v", reason, found.broken)
	if reason != "" {
		require.Contains(t, found.broken, reason)
	}
}

// What Test-Token-Tjenesten can make.
func TestInspectTestTokens(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.TestTokens("the-key"))
	const withProof = `"createDPoPTokenWithDPoPProof":true,"dPoPProofParameters":{"htuClaimValue":"` + inspectedURL + `","htmClaimValue":"GET"`
	tests := map[string]struct {
		body         string
		token, proof []string // the rules that are broken
	}{
		"audience alone":          {``, nil, nil},
		"client parameters":       {`"clientClaimsParameters":{"scope":["s"],"clientId":"c","orgnrParent":"994598759","clientTenancy":true,"clientTenancyType":0}`, nil, nil},
		"no claims of the client": {`"clientClaimsParametersGeneration":0,"userClaimsParametersGeneration":0`, nil, nil},
		"a user":                  {`"userClaimsParameters":{"pid":"` + helseidtest.ClinicianAtLevel3 + `","securityLevel":"4","hprNumber":"565505933"}`, nil, nil},
		"an attest":               {`"createTillitsrammeverkClaims":true,"userClaimsParameters":{"pid":"06828399789"}`, nil, nil},
		"exchanged":               {`"createTokenExchangeClaims":true,"tokenExchangeParameters":{"clientId":"b"}`, nil, nil},
		"the API's own claims":    {`"apiSpecificClaims":[{"type":"x","value":"1"}]`, nil, nil},
		"a lifetime in seconds":   {`"expirationParameters":{"expirationTimeInSeconds":60}`, nil, nil},
		"a lifetime in days":      {`"expirationParameters":{"expirationTimeInDays":2}`, nil, nil},
		"typ at+jwt":              {`"headerParameters":{"typ":"at+jwt"}`, nil, nil},
		"typ jwt":                 {`"headerParameters":{"typ":"jwt"}`, broken("token_typ"), nil},
		"expired":                 {`"expirationParameters":{"setExpirationTimeAsExpired":true}`, broken("token_expired"), nil},
		"another issuer":          {`"setInvalidIssuer":true`, broken("token_issuer"), nil},
		"another environment":     {`"issuerEnvironment":2`, broken("token_issuer"), nil},
		"another audience":        {`"setInvalidAudience":true`, broken("token_audience"), nil},
		"another key":             {`"signJwtWithInvalidSigningKey":true`, broken("token_signature"), nil},
		"all of it": {`"signJwtWithInvalidSigningKey":true,"setInvalidAudience":true,"setInvalidIssuer":true,"headerParameters":{"typ":"jwt"},` +
			`"clientClaimsParameters":{"scope":["s"]},"expirationParameters":{"setExpirationTimeAsExpired":true}`,
			broken("token_signature", "token_audience", "token_issuer", "token_typ", "token_expired"), nil},
		"a proof":                       {withProof + `}`, nil, nil},
		"a bad token with a good proof": {withProof + `},"setInvalidAudience":true`, broken("token_audience"), nil},
	}
	rules := map[int][]string{
		1: {"proof_htu"}, 2: {"proof_htm"}, 3: {"proof_iat"}, 4: {"proof_iat"}, 5: {"proof_ath"}, 6: {"proof_alg"}, 7: {"proof_jwk"},
		8: {"proof_jti"}, 9: {"proof_alg"}, 10: {"proof_jwk"}, 11: {"proof_typ"}, 12: {"proof_signature"}, 13: {"proof_key_mismatch"},
	}
	for _, invalid := range mint.InvalidProofs() {
		require.NotEmpty(t, rules[invalid.Number], "InvalidProofs has %s, which this test does not know", invalid.Name)
		test := tests["a proof"]
		test.body = withProof + `,"invalidDPoPProofParameters":` + strconv.Itoa(invalid.Number) + `}`
		test.proof = rules[invalid.Number]
		tests[invalid.Name] = test
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := server.Now()
			token, proof := askTestToken(t, server, test.body)
			found := inspect(t, token, "-kind", "access_token", "-issuer", server.Issuer(), "-audience", inspectedAPI)
			require.Equal(t, "access_token", found.kind)
			require.Equal(t, test.token, found.broken, found.problems)
			requireSameVerdict(t, tokenReason(t, server, token), found)
			require.Equal(t, found.broken, inspect(t, token, "-issuer", server.Issuer(), "-audience", inspectedAPI).broken, "it is recognised by itself")
			if proof == "" {
				return
			}
			found = inspect(t, proof, "-now", unix(now), "-method", "GET", "-url", inspectedURL+"?a=b#c", "-token", tokenFile(t, token))
			require.Equal(t, "dpop_proof", found.kind)
			require.Equal(t, test.proof, found.broken, found.problems)
			requireSameVerdict(t, proofReason(t, now, token, proof), found)
		})
	}
}

func askTestToken(t *testing.T, server *helseidtest.Server, body string) (token, proof string) {
	t.Helper()
	body = strings.Replace(`{"audience":"`+inspectedAPI+`",`+body+`}`, ",}", "}", 1)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.Issuer()+"/v2/create-test-token-with-key", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("X-Auth-Key", "the-key")
	response, err := server.HTTPClient().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct {
		SuccessResponse struct{ AccessTokenJwt, DPoPProof string }
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Equal(t, http.StatusOK, response.StatusCode)
	return answer.SuccessResponse.AccessTokenJwt, answer.SuccessResponse.DPoPProof
}

// tokenCase is an option of package mint, or several, with the rules that they break.
type tokenCase struct {
	name    string // of the option, and more behind a colon
	options []mint.TokenOption
	broken  []string
}

func manyActors(n int) (options []mint.TokenOption) {
	for i := range n {
		options = append(options, mint.ExchangedBy(mint.Actor{ClientID: fmt.Sprint("client", i)}))
	}
	return options
}

func tokenCases(t *testing.T, server *helseidtest.Server) []tokenCase {
	t.Helper()
	one := func(name string, option mint.TokenOption, rules ...string) tokenCase {
		return tokenCase{name, []mint.TokenOption{option}, broken(rules...)}
	}
	key := testkit.Must(jose.GenerateKey())
	now := server.Now()
	set := func(name string, value any) mint.TokenOption { return mint.Claim(name, value) }
	list := []tokenCase{
		{"SignedWithUnknownKey: with more", []mint.TokenOption{mint.SignedWithUnknownKey(), mint.Expired(), mint.Header("typ", "JWT")}, broken("token_signature", "token_expired", "token_typ")},
		{"ExchangedBy: ten times", manyActors(10), nil},
		{"ExchangedBy: eleven times", manyActors(11), broken("token_actors")},
		one("SignedWithUnknownKey", mint.SignedWithUnknownKey(), "token_signature"),
		one("BrokenSignature", mint.BrokenSignature(), "token_signature"),
		one("Unbound", mint.Unbound()),
		one("BoundTo", mint.BoundTo("abc")),
		one("BoundToJWK", mint.BoundToJWK(key.MarshalPublicJWK())),
		one("BoundToAnotherKey", mint.BoundToAnotherKey()),
		one("ClientID", mint.ClientID("c")), one("ClientName", mint.ClientName("n")), one("Tenancy", mint.Tenancy(identity.MultiTenant)),
		one("Organization", mint.Organization("994598759", "999977775", "987654325")), one("Supplier", mint.Supplier("987654325")),
		one("JournalID", mint.JournalID("j")), one("SFMID", mint.SFMID("s")), one("ClientAuthentication", mint.ClientAuthentication("x")),
		one("LegacyClientAuthentication", mint.LegacyClientAuthentication("rsa_private_key")), one("APIClientClaim", mint.APIClientClaim("nhn:a", "id", 1)),
		one("Header: typ JWT", mint.Header("typ", "JWT"), "token_typ"), one("Header: no typ", mint.Header("typ", nil), "token_typ"),
		one("Header: typ a number", mint.Header("typ", 1), "token_typ"), one("Header: typ with its prefix", mint.Header("typ", "Application/AT+JWT")),
		one("Header: alg none", mint.Header("alg", "none"), "token_alg"), one("Header: alg HS256", mint.Header("alg", "HS256"), "token_alg"),
		one("Header: alg of another kind", mint.Header("alg", "PS256"), "token_alg"), one("Header: no alg", mint.Header("alg", nil), "token_alg"),
		one("Header: another kid", mint.Header("kid", "x"), "token_unknown_key"), one("Header: no kid", mint.Header("kid", nil), "token_unknown_key"),
		one("Header: a long kid", mint.Header("kid", strings.Repeat("k", 257)), "token_unknown_key"),
		one("Header: crit", mint.Header("crit", []string{"x"}), "token_malformed"), one("Header: b64", mint.Header("b64", true), "token_malformed"),
		one("Claim: no iss", set("iss", nil), "token_issuer"), one("Claim: iss with a slash", set("iss", server.Issuer()+"/"), "token_issuer"),
		one("Claim: iss a list", set("iss", []string{server.Issuer()}), "token_issuer"), one("Issuer", mint.Issuer("https://other.example"), "token_issuer"),
		one("Claim: no aud", set("aud", nil), "token_audience"), one("Claim: aud a number", set("aud", 1), "token_audience"),
		one("Claim: an empty aud", set("aud", []string{}), "token_audience"), one("Audience: two", mint.Audience(inspectedAPI, "nhn:b"), "token_audience"),
		one("Audience: a list of one", set("aud", []string{inspectedAPI})), one("Audience", mint.Audience("nhn:b"), "token_audience"),
		one("Claim: no exp", set("exp", nil), "token_times"), one("Claim: exp a text", set("exp", "1900000000"), "token_times"),
		one("Claim: exp zero", set("exp", 0), "token_times"), one("Claim: exp too late", set("exp", 1e15), "token_times"),
		one("Claim: nbf ahead", set("nbf", now.Add(time.Hour).Unix()), "token_not_yet_valid"), one("Claim: iat ahead", set("iat", now.Add(time.Hour).Unix()), "token_not_yet_valid"),
		one("Claim: nbf a text", set("nbf", "x"), "token_times"), one("Claim: iat a list", set("iat", []int{1}), "token_times"),
		one("Claim: no iat", set("iat", nil)), one("Claim: no nbf", set("nbf", nil)), one("Claim: exp with a fraction", set("exp", float64(now.Unix())+100.5)),
		one("Claim: cnf of a certificate", set("cnf", map[string]any{"x5t#S256": "x"}), "token_binding"), one("Claim: cnf a text", set("cnf", "x"), "token_binding"),
		one("Claim: of a wrong type", set("client_id", 7)), one("Claim: very long", set("x", strings.Repeat("x", 20_000)), "token_too_long"),
		one("Claim: too many values", set("x", make([]int, 600)), "token_malformed"), one("Claim: an identity number as a number", set("number", 13116900216)),
		one("Claims", mint.Claims(func(claims map[string]any) { claims["iss"], claims["exp"] = "x", "y" }), "token_issuer", "token_times"),
		one("ClaimOf", mint.ClaimOf("x", func(map[string]any) (any, error) { return 1, nil })),
		one("Scopes", mint.Scopes("a", "b")), one("Expired", mint.Expired(), "token_expired"), one("ExpiresIn", mint.ExpiresIn(-time.Hour), "token_expired"),
		one("TokenID", mint.TokenID("x")), one("ForUser", mint.ForUser(helseidtest.ClinicianAtLevel3)), one("Clinician", mint.Clinician()), one("Subject", mint.Subject("s")),
		one("PersonalIdentityNumber", mint.PersonalIdentityNumber("13116900216")), one("Pseudonym", mint.Pseudonym("p")), one("Name", mint.Name("A", "B", "C")),
		one("IdentityProvider", mint.IdentityProvider("i")), one("AuthenticationMethods", mint.AuthenticationMethods("pwd")), one("AuthenticatedAt", mint.AuthenticatedAt(now)),
		one("Network", mint.Network("helsenett")), one("SessionID", mint.SessionID("s")), one("SecurityLevel", mint.SecurityLevel(3)),
		one("AssuranceLevel", mint.AssuranceLevel("high")), one("HPRNumber", mint.HPRNumber("565505933")),
		one("WithoutDefaultClaims", mint.WithoutDefaultClaims()), one("WithoutUserClaims", mint.WithoutUserClaims()),
		one("Attest", mint.Attest(clientassertion.Attest{LegalEntity: "994598759", PurposeOfUse: clientassertion.PurposeTreatment, DecisionID: "d"})),
	}
	// Whatever does not concern the same members can be broken at once.
	everything := tokenCase{name: "everything"}
	for _, name := range []string{"Header: typ JWT", "Header: alg HS256", "Header: no kid", "Issuer", "Claim: no aud", "Claim: exp zero", "Claim: nbf ahead", "ExchangedBy: eleven times", "Claim: cnf a text"} {
		i := slices.IndexFunc(list, func(c tokenCase) bool { return c.name == name })
		require.GreaterOrEqual(t, i, 0, name)
		everything.options = append(everything.options, list[i].options...)
		everything.broken = append(everything.broken, list[i].broken...)
	}
	slices.Sort(everything.broken)
	return append(list, everything)
}

func TestInspectAccessTokens(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	cases := tokenCases(t, server)
	requireAllOptions(t, "TokenOption", names(cases))
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			jwt := server.Token(append([]mint.TokenOption{mint.Audience(inspectedAPI)}, test.options...)...)
			found := inspect(t, jwt, "-kind", "access_token", "-issuer", server.Issuer(), "-audience", inspectedAPI)
			require.Equal(t, test.broken, found.broken, found.problems)
			requireSameVerdict(t, tokenReason(t, server, jwt), found)
			// Without a network the same is said of everything but the signature and
			// the key, and of what the token is compared with.
			offline := inspect(t, jwt, "-kind", "access_token")
			for _, rule := range offline.broken {
				require.Contains(t, found.broken, rule)
			}
			for _, rule := range found.broken {
				if !slices.Contains([]string{"token_signature", "token_unknown_key", "token_issuer", "token_audience", "token_alg"}, rule) {
					require.Contains(t, offline.broken, rule)
				}
			}
		})
	}
}

func names(cases []tokenCase) (names []string) {
	for _, test := range cases {
		names = append(names, test.name)
	}
	return names
}

// requireAllOptions reads package mint: each of its options has a case.
func requireAllOptions(t *testing.T, kind string, cases []string) {
	t.Helper()
	files, err := filepath.Glob("../../helseidtest/mint/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	options := 0
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, declared := range parsed.Decls {
			function, ok := declared.(*ast.FuncDecl)
			if !ok || function.Recv != nil || !function.Name.IsExported() || function.Type.Results == nil {
				continue
			}
			if result, ok := function.Type.Results.List[0].Type.(*ast.Ident); !ok || result.Name != kind {
				continue
			}
			options++
			require.True(t, slices.ContainsFunc(cases, func(name string) bool {
				option, _, _ := strings.Cut(name, ":")
				return option == function.Name.Name
			}), "no case of %s", function.Name.Name)
		}
	}
	require.NotZero(t, options)
}

func TestInspectProofs(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	bound := server.Token(mint.Audience(inspectedAPI))
	own := testkit.Must(jose.GenerateKey())
	private := testkit.Must(own.MarshalPrivateJWK())
	ownToken := server.Token(mint.Audience(inspectedAPI), mint.BoundToJWK(own.MarshalPublicJWK()))
	claim, header := mint.ProofClaim, mint.ProofHeader
	weak := map[string]string{"kty": "RSA", "n": "AQAB", "e": "AQAB"}
	const atHour = 3600
	cases := []struct {
		name    string
		options []mint.ProofOption
		token   string
		broken  []string
	}{
		{"ProofClaim: a good one", []mint.ProofOption{claim("x", 1)}, bound, nil},
		{"ProofClaim: htm in lower case", []mint.ProofOption{claim("htm", "get")}, bound, broken("proof_htm")},
		{"ProofClaim: htm a number", []mint.ProofOption{claim("htm", 1)}, bound, broken("proof_htm")},
		{"ProofClaim: htm empty", []mint.ProofOption{claim("htm", "")}, bound, broken("proof_htm")},
		{"ProofClaim: htu of another path", []mint.ProofOption{claim("htu", inspectedURL+"/y")}, bound, broken("proof_htu")},
		{"ProofClaim: htu with a query", []mint.ProofOption{claim("htu", inspectedURL+"?a=b")}, bound, nil},
		{"ProofClaim: htu relative", []mint.ProofOption{claim("htu", "/x")}, bound, broken("proof_htu")},
		{"ProofClaim: jti too long", []mint.ProofOption{claim("jti", strings.Repeat("j", 257))}, bound, broken("proof_jti")},
		{"ProofClaim: iat a text", []mint.ProofOption{claim("iat", "x")}, bound, broken("proof_iat")},
		{"ProofClaim: exp past", []mint.ProofOption{claim("exp", 1)}, bound, broken("proof_iat")},
		{"ProofClaim: nbf ahead", []mint.ProofOption{claim("nbf", server.Now().Unix()+atHour)}, bound, broken("proof_iat")},
		{"ProofClaim: nonce a number", []mint.ProofOption{claim("nonce", 1)}, bound, broken("proof_nonce")},
		{"ProofClaim: ath of another token", []mint.ProofOption{claim("ath", "x")}, bound, broken("proof_ath")},
		{"ProofClaim: very long", []mint.ProofOption{claim("x", strings.Repeat("x", 9000))}, bound, broken("proof_too_long")},
		{"ProofHeader: alg of another curve", []mint.ProofOption{header("alg", "ES384")}, bound, broken("proof_alg")},
		{"ProofHeader: a weak key", []mint.ProofOption{header("jwk", weak), header("alg", "RS256")}, bound, broken("proof_jwk")},
		{"ProofHeader: a weak key and no algorithm", []mint.ProofOption{header("jwk", weak), header("alg", nil)}, bound, broken("proof_jwk", "proof_alg")},
		{"ProofHeader: jwk a text", []mint.ProofOption{header("jwk", "x")}, bound, broken("proof_jwk")},
		{"ProofHeader: crit", []mint.ProofOption{header("crit", []string{"x"})}, bound, broken("proof_malformed")},
		{"ProofAge", []mint.ProofOption{mint.ProofAge(12 * time.Second)}, bound, broken("proof_iat")},
		{"BrokenProofSignature", []mint.ProofOption{mint.BrokenProofSignature()}, bound, broken("proof_signature")},
		{"PrivateKeyInProof", []mint.ProofOption{mint.PrivateKeyInProof()}, bound, broken("proof_jwk")},
		{"PrivateKeyInProof: behind another fault", []mint.ProofOption{mint.PrivateKeyInProof(), header("typ", "JWT")}, bound, broken("proof_jwk", "proof_typ")},
		{"ProofKey", []mint.ProofOption{mint.ProofKey(private)}, ownToken, nil},
		{"ProofKey: of another token", []mint.ProofOption{mint.ProofKey(private)}, bound, broken("proof_key_mismatch")},
		{"ProofWithAnotherKey", []mint.ProofOption{mint.ProofWithAnotherKey()}, bound, broken("proof_key_mismatch")},
		{"BehindPrefix", []mint.ProofOption{mint.BehindPrefix("https://other.example/p")}, bound, broken("proof_htu")},
		{"PrivateKeyInProof: and everything else", []mint.ProofOption{
			mint.ProofWithAnotherKey(), mint.PrivateKeyInProof(), mint.BrokenProofSignature(), header("typ", "JWT"), header("alg", "HS256"), claim("jti", nil), claim("htm", nil),
			claim("htu", nil), claim("iat", nil), claim("ath", nil), claim("nonce", 1),
		}, bound, broken("proof_jwk", "proof_typ", "proof_alg", "proof_jti", "proof_htm", "proof_htu", "proof_iat", "proof_ath", "proof_nonce")},
		{"ProofHeader: what the signature tells with the rest", []mint.ProofOption{
			mint.ProofWithAnotherKey(), mint.BrokenProofSignature(), header("typ", nil), claim("jti", ""), claim("htm", "PUT"), claim("htu", "x"), claim("iat", 0), claim("ath", nil),
		}, bound, broken("proof_signature", "proof_key_mismatch", "proof_typ", "proof_jti", "proof_htm", "proof_htu", "proof_iat", "proof_ath")},
	}
	var known []string
	for _, test := range cases {
		known = append(known, test.name)
	}
	requireAllOptions(t, "ProofOption", known)
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			now := server.Now()
			proof := server.Proof("GET", inspectedURL, test.token, test.options...)
			found := inspect(t, proof, "-now", unix(now), "-kind", "dpop_proof", "-method", "GET", "-url", inspectedURL, "-token", tokenFile(t, test.token))
			require.Equal(t, test.broken, found.broken, found.problems)
			requireSameVerdict(t, proofReason(t, now, test.token, proof), found)
			// Without what it is compared with, only what the proof is by itself.
			for _, rule := range inspect(t, proof, "-now", unix(now), "-kind", "dpop_proof").broken {
				require.Contains(t, found.broken, rule)
			}
		})
	}
}

// What was asked for is compared, and what was not asked for is not.
func TestInspectComparesWhatItIsAsked(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	token := server.Token(mint.Audience(inspectedAPI))
	proof := server.Proof("GET", inspectedURL, token, mint.ProofAge(time.Hour), mint.ProofClaim("nonce", "n"))
	require.Equal(t, broken("proof_iat"), inspect(t, proof).broken)
	require.Equal(t, broken("proof_ath", "proof_key_mismatch"), broken(inspect(t, proof).unchecked...))
	require.Empty(t, inspect(t, proof, "-now", "iat", "-nonce", "n").broken)
	require.Equal(t, broken("proof_nonce"), inspect(t, proof, "-now", "iat", "-nonce", "m").broken)
	require.Equal(t, broken("proof_htm"), inspect(t, proof, "-now", "iat", "-method", "POST").broken)
	require.Equal(t, broken("proof_htu"), inspect(t, proof, "-now", "iat", "-url", "https://other.example/x").broken)
	require.Equal(t, broken("proof_ath"), inspect(t, proof, "-now", "iat", "-token", tokenFile(t, server.Token())).broken)
	unbound := server.Token(mint.Unbound())
	require.Equal(t, broken("token_binding"), inspect(t, server.Proof("GET", inspectedURL, unbound), "-now", "iat", "-token", tokenFile(t, unbound)).broken)

	require.Contains(t, inspect(t, token).unchecked, "token_signature")
	require.Equal(t, broken("token_audience"), inspect(t, token, "-audience", "nhn:b").broken)
	require.Equal(t, broken("token_issuer"), inspect(t, token, "-issuer", helseidtest.NewServer(t).Issuer()).broken)
	require.Equal(t, broken("token_expired"), inspect(t, token, "-now", unix(time.Now().Add(time.Hour))).broken)
	require.Equal(t, broken("token_not_yet_valid"), inspect(t, token, "-now", time.Now().Add(-time.Hour).Format(time.RFC3339)).broken)
	require.Empty(t, inspect(t, server.Token(mint.Expired()), "-now", "iat").broken)

	// An issuer that cannot be reached is a problem, and no verdict on the token.
	closed, err := helseidtest.Start()
	require.NoError(t, err)
	closed.Close()
	found := inspect(t, token, "-issuer", closed.Issuer())
	require.Contains(t, found.problems["token_signature"], "could not be checked")
}

func TestInspectIDTokens(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	access := server.Token()
	set := func(name string, value any) []mint.TokenOption { return []mint.TokenOption{mint.Claim(name, value)} }
	for name, test := range map[string]struct {
		options []mint.TokenOption
		broken  []string
	}{
		"good":            {nil, nil},
		"with a name":     {[]mint.TokenOption{mint.Clinician()}, nil},
		"no typ":          {[]mint.TokenOption{mint.Header("typ", nil)}, nil},
		"another typ":     {[]mint.TokenOption{mint.Header("typ", "at+jwt")}, broken("token_typ")},
		"events":          {set("events", map[string]any{}), broken("token_typ")},
		"another client":  {[]mint.TokenOption{mint.Audience("other")}, broken("token_audience")},
		"two clients":     {[]mint.TokenOption{mint.Audience(mint.DefaultClientID, "other")}, broken("token_audience")},
		"another party":   {set("azp", "other"), broken("id_token_azp")},
		"no iat":          {set("iat", nil), broken("token_times")},
		"expired":         {[]mint.TokenOption{mint.Expired()}, broken("token_expired")},
		"no subject":      {set("sub", nil), broken("id_token_subject")},
		"no person":       {[]mint.TokenOption{mint.Subject("c"), mint.ClientID("c")}, broken("id_token_subject")},
		"another nonce":   {set("nonce", "m"), broken("id_token_nonce")},
		"another at_hash": {set("at_hash", "x"), broken("id_token_at_hash")},
		"several": {slices.Concat(set("azp", 1), set("nonce", "m"), set("at_hash", 1), set("sub", 1), set("aud", nil), []mint.TokenOption{mint.SignedWithUnknownKey()}),
			broken("id_token_azp", "id_token_nonce", "id_token_at_hash", "id_token_subject", "token_audience", "token_signature")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			jwt := server.IDToken(append(set("nonce", "n"), test.options...)...)
			found := inspect(t, jwt, "-kind", "id_token", "-issuer", server.Issuer(), "-audience", mint.DefaultClientID, "-nonce", "n", "-token", tokenFile(t, access))
			require.Equal(t, test.broken, found.broken, found.problems)
			validator := idTokens(t, server)
			_, err := validator.Validate(t.Context(), jwt, idtoken.Expectation{Nonce: "n", AccessToken: access})
			requireSameVerdict(t, idTokenReason(t, err), found)
		})
	}
}

func TestInspectLogoutTokens(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	set := func(name string, value any) []mint.TokenOption { return []mint.TokenOption{mint.Claim(name, value)} }
	for name, test := range map[string]struct {
		options []mint.TokenOption
		broken  []string
		says    string
	}{
		"good":               {nil, nil, ""},
		"subject alone":      {set("sid", nil), nil, ""},
		"another typ":        {[]mint.TokenOption{mint.Header("typ", "at+jwt")}, broken("token_typ"), ""},
		"no events":          {set("events", nil), broken("logout_token_claims"), "events"},
		"another event":      {set("events", map[string]any{"x": map[string]any{}}), broken("logout_token_claims"), "events"},
		"a nonce":            {set("nonce", "n"), broken("logout_token_claims"), "nonce is forbidden"},
		"no jti":             {set("jti", nil), broken("logout_token_claims"), "jti"},
		"no iat":             {set("iat", nil), broken("logout_token_claims"), "iat"},
		"nobody":             {slices.Concat(set("sub", nil), set("sid", nil)), broken("logout_token_claims"), "sub is missing, sid is missing"},
		"a number for sid":   {set("sid", 1), broken("logout_token_claims"), "sid is no text"},
		"expired, no jti":    {slices.Concat([]mint.TokenOption{mint.Expired()}, set("jti", nil)), broken("logout_token_claims", "token_expired"), "jti"},
		"with another key":   {[]mint.TokenOption{mint.SignedWithUnknownKey()}, broken("token_signature"), ""},
		"for another client": {[]mint.TokenOption{mint.Audience("other")}, broken("token_audience"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			jwt := server.LogoutToken(test.options...)
			found := inspect(t, jwt, "-kind", "logout_token", "-issuer", server.Issuer(), "-audience", mint.DefaultClientID)
			require.Equal(t, test.broken, found.broken, found.problems)
			require.Contains(t, found.problems["logout_token_claims"], test.says)
			_, err := idTokens(t, server).ValidateLogout(t.Context(), jwt)
			requireSameVerdict(t, idTokenReason(t, err), found)
		})
	}
}

func idTokens(t *testing.T, server *helseidtest.Server) *idtoken.Validator {
	t.Helper()
	client := server.HTTPClient()
	validator := idtoken.New(metadata.NewSource(server.Issuer(), client, "jwks_uri"), mint.DefaultClientID, client)
	t.Cleanup(validator.Close)
	return validator
}

func idTokenReason(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var refused *idtoken.Error
	require.ErrorAs(t, err, &refused)
	return string(refused.Reason)
}

// members are a JWT's, which a test changes.
type members map[string]any

func (m members) with(changes members) members {
	changed := members{}
	for _, values := range []members{m, changes} {
		for name, value := range values {
			changed[name] = value
			if value == nil {
				delete(changed, name)
			}
		}
	}
	return changed
}

// Assertions are held against helseidtest, which refuses what HelseID does.
func TestInspectClientAssertions(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	signer := testkit.Signer("ES256")
	config := server.NewClient(helseidtest.SigningKey(signer, clientassertion.KeyOptions{}), helseidtest.Scopes("nhn:a/b"))
	key := testkit.Must(jose.NewKey(signer, jose.KeyOptions{}))
	now := server.Now().Unix()
	header := members{"typ": "client-authentication+jwt", "alg": "ES256", "kid": key.ID()}
	claims := members{"iss": config.ClientID, "sub": config.ClientID, "aud": server.Issuer(), "iat": now, "nbf": now, "exp": now + 60}
	organization := func(system, kind, value string) any {
		return members{"type": "helseid_authorization", "practitioner_role": members{"organization": members{"identifier": members{"system": system, "type": kind, "value": value}}}}
	}
	const single, multi = "urn:oid:2.16.578.1.12.4.1.4.101", "urn:oid:1.0.6523"
	for name, test := range map[string]struct {
		header, claims members
		broken         []string
		content        bool // HelseID looks at it later
	}{
		"good":                   {nil, nil, nil, false},
		"no kid":                 {members{"kid": nil}, nil, nil, false},
		"iat a text":             {nil, members{"iat": strconv.FormatInt(now, 10)}, nil, false},
		"typ JWT":                {members{"typ": "JWT"}, nil, broken("assertion_typ"), false},
		"no typ":                 {members{"typ": nil}, nil, broken("assertion_typ"), false},
		"alg none":               {members{"alg": "none"}, nil, broken("assertion_alg"), false},
		"another sub":            {nil, members{"sub": "x"}, broken("assertion_subject"), false},
		"no iss":                 {nil, members{"iss": nil}, broken("assertion_issuer", "assertion_subject"), false},
		"the token endpoint":     {nil, members{"aud": server.Issuer() + "/connect/token"}, broken("assertion_audience"), false},
		"a slash":                {nil, members{"aud": server.Issuer() + "/"}, broken("assertion_audience"), false},
		"a list of one":          {nil, members{"aud": []string{server.Issuer()}}, broken("assertion_audience"), false},
		"another server":         {nil, members{"aud": "https://helseid-sts.nhn.no"}, broken("assertion_audience"), false},
		"no jti":                 {nil, members{"jti": nil}, broken("assertion_jti"), false},
		"two minutes":            {nil, members{"exp": now + 120}, broken("assertion_lifetime"), false},
		"one minute":             {nil, members{"exp": now + 60}, nil, false},
		"expired":                {nil, members{"iat": now - 60, "nbf": now - 60, "exp": now - 30}, broken("assertion_expired"), false},
		"dated in the future":    {nil, members{"iat": now + 30, "exp": now + 60}, broken("assertion_not_yet_valid"), false},
		"nbf in the future":      {nil, members{"nbf": now + 30}, broken("assertion_not_yet_valid"), false},
		"nbf a text":             {nil, members{"nbf": "x"}, broken("assertion_times"), false},
		"no exp":                 {nil, members{"exp": nil}, broken("assertion_times"), false},
		"no iat":                 {nil, members{"iat": nil}, broken("assertion_times"), false},
		"both names for details": {nil, members{"assertion_details": members{"type": "nhn:tillitsrammeverk:parameters"}, "authorization_details": members{}}, broken("assertion_details"), false},
		"an organisation":        {nil, members{"assertion_details": organization(single, "ENH", "999977775")}, nil, true},
		"two organisations":      {nil, members{"authorization_details": []any{organization(multi, "ENH", "NO:ORGNR:999977775:999977776")}}, nil, true},
		"a wrong system":         {nil, members{"assertion_details": organization("urn:oid:1.0.652301", "ENH", "999977775")}, broken("assertion_details"), true},
		"a wrong type":           {nil, members{"assertion_details": organization(single, "ORG", "999977775")}, broken("assertion_details"), true},
		"a wrong number":         {nil, members{"assertion_details": organization(single, "ENH", "99997777")}, broken("assertion_details"), true},
		"no prefix":              {nil, members{"assertion_details": organization(multi, "ENH", "999977775")}, broken("assertion_details"), true},
		"a detail twice":         {nil, members{"assertion_details": []any{organization(single, "ENH", "999977775"), organization(single, "ENH", "999977775")}}, broken("assertion_details"), true},
		"an underscore":          {nil, members{"assertion_details": members{"type": "nhn:sfm:journal_id"}}, broken("assertion_details"), true},
		"a text":                 {nil, members{"assertion_details": "x"}, broken("assertion_details"), true},
		"several":                {members{"typ": "JWT"}, members{"sub": "x", "aud": 1, "jti": nil, "exp": now + 120}, broken("assertion_typ", "assertion_subject", "assertion_audience", "assertion_jti", "assertion_lifetime"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unique := claims.with(members{"jti": jose.NewID()}).with(test.claims)
			jwt := signed(t, key, header.with(test.header), unique)
			found := inspect(t, jwt, "-kind", "client_assertion", "-issuer", server.Issuer())
			require.Equal(t, test.broken, found.broken, found.problems)
			require.Contains(t, found.unchecked, "assertion_signature")
			if !test.content {
				require.Equal(t, found.ok, acceptsAssertion(t, server, config.ClientID, jwt))
			}
		})
	}
}

func signed(t *testing.T, key *jose.Key, header, claims members) string {
	t.Helper()
	headerJSON, err := json.Marshal(header)
	require.NoError(t, err)
	claimsJSON, err := json.Marshal(claims)
	require.NoError(t, err)
	return testkit.Must(key.SignRaw(t.Context(), headerJSON, claimsJSON))
}

// acceptsAssertion asks for a token without a proof, which is asked for after the client
// has been authenticated.
func acceptsAssertion(t *testing.T, server *helseidtest.Server, clientID, assertion string) bool {
	t.Helper()
	form := fmt.Sprintf("grant_type=client_credentials&client_id=%s&client_assertion_type=%s&client_assertion=%s", clientID, clientassertion.Type, assertion)
	response, err := server.HTTPClient().Post(server.Issuer()+"/connect/token", "application/x-www-form-urlencoded", strings.NewReader(form))
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct{ Error string }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	return answer.Error == "invalid_dpop_proof"
}

func TestInspectRequestObjects(t *testing.T) {
	t.Parallel()
	key := testkit.Must(clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256}))
	signer, err := clientassertion.New(clientassertion.Config{ClientID: "c", Audience: "https://helseid-sts.test.nhn.no", Key: key, Lifetime: clientassertion.MaxLifetime})
	require.NoError(t, err)
	detail, err := clientassertion.OrganizationDetail(clientassertion.Organization{Child: "999977775"}, identity.SingleTenant, clientassertion.Variants{})
	require.NoError(t, err)
	object, err := signer.SignRequestObject(t.Context(), detail)
	require.NoError(t, err)
	found := inspect(t, object)
	require.Equal(t, "request_object", found.kind)
	require.Empty(t, found.broken, found.problems)
	assertion, err := signer.Sign(t.Context(), detail)
	require.NoError(t, err)
	found = inspect(t, assertion)
	require.Equal(t, "client_assertion", found.kind)
	require.Empty(t, found.broken, found.problems)

	now := time.Now().Unix()
	own := testkit.Must(jose.GenerateKey())
	bad := signed(t, own, members{"typ": "client-authentication+jwt", "alg": "ES256"}, members{
		"iss": "c", "client_id": "d", "aud": "https://helseid-sts.test.nhn.no/connect/par", "exp": now + 300, "assertion_details": members{"type": "x"},
	})
	require.Equal(t, broken("assertion_client_id", "assertion_audience", "assertion_jti", "assertion_lifetime", "assertion_times", "assertion_details"), inspect(t, bad).broken)
}

// A kind of token is recognised by itself, also with a wrong type.
func TestInspectRecognises(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	token := server.Token(mint.Clinician())
	for kind, jwts := range map[string][]string{
		"access_token": {token, server.Token(mint.Header("typ", "JWT")), server.Token(mint.Header("typ", nil), mint.Unbound())},
		"id_token":     {server.IDToken(), server.IDToken(mint.Header("typ", nil)), server.IDToken(mint.Claim("nonce", "n"), mint.Clinician())},
		"logout_token": {server.LogoutToken(), server.LogoutToken(mint.Header("typ", "JWT"))},
		"dpop_proof": {
			server.Proof("GET", inspectedURL, token), server.Proof("GET", inspectedURL, "", mint.ProofHeader("typ", "JWT"), mint.ProofHeader("jwk", nil)),
			server.Proof("GET", inspectedURL, token, mint.ProofHeader("typ", nil), mint.ProofClaim("htm", nil), mint.ProofClaim("htu", nil)),
		},
	} {
		for _, jwt := range jwts {
			require.Equal(t, kind, inspect(t, jwt).kind)
		}
	}
}

// Nothing goes over the network without -issuer.
func TestInspectAsksNobody(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	before := len(server.Requests())
	token := server.Token()
	inspect(t, token, "-audience", mint.DefaultAudience)
	inspect(t, server.IDToken())
	inspect(t, server.Proof("GET", inspectedURL, token), "-token", tokenFile(t, token), "-url", server.Issuer()+"/x")
	inspect(t, string(server.ConfigFile()))
	require.Len(t, server.Requests(), before)
	inspect(t, token, "-issuer", server.Issuer())
	require.Greater(t, len(server.Requests()), before)
}
