package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/benchmarks/lab"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

func newWorld(t *testing.T) (*World, []*Peer) {
	t.Helper()
	world, err := NewWorld(2048)
	require.NoError(t, err)
	t.Cleanup(world.Close)
	all, err := All(world)
	require.NoError(t, err)
	return world, append(all, sdk(t, world))
}

// sdk is this SDK as if it were a peer.
func sdk(t *testing.T, world *World) *Peer {
	t.Helper()
	validator, err := tokenvalidation.New(tokenvalidation.Config{Issuer: world.Issuer.URL, Audience: audience})
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{})
	require.NoError(t, err)
	guard, err := middleware.New(middleware.Config{Issuer: world.Issuer.URL, Audience: audience})
	require.NoError(t, err)
	t.Cleanup(guard.Close)
	return &Peer{
		Name:      "this SDK",
		MakeProof: func(token string) (string, error) { return world.Caller.Proof(world.Target, token) },
		VerifyProof: func(proof, token, thumbprint string) error {
			_, err := verifier.Verify(context.Background(), proof, dpop.Expectation{
				Method: "GET", URI: world.Target.String(), AccessToken: token, Thumbprint: thumbprint,
			})
			return err
		},
		ValidateToken: func(token string) error {
			_, err := validator.Validate(context.Background(), token)
			return err
		},
		Guard: guard.Guard(),
	}
}

// What a note says that a peer does not check, it does not; and everything else
// it does.
func TestTokens(t *testing.T) {
	t.Parallel()
	world, all := newWorld(t)
	good := world.Issuer.Claims(world.Caller.Prover.Thumbprint())
	other, err := NewWorld(2048)
	require.NoError(t, err)
	t.Cleanup(other.Close)
	claims := func(name string, value any) string {
		changed := maps.Clone(good)
		changed[name] = value
		if value == nil {
			delete(changed, name)
		}
		text, err := json.Marshal(changed)
		require.NoError(t, err)
		return string(text)
	}
	header := world.Issuer.Header()
	duplicate := strings.Replace(claims("jti", "x"), `"client_id":`, `"client_id":"another","client_id":`, 1)
	for name, test := range map[string]struct {
		header, claims string
		accepted       string // by these, in one string
	}{
		"good":                 {header, claims("jti", "y"), "this SDK golang-jwt go-jose jwx go-oidc auth0"},
		"expired":              {header, claims("exp", time.Now().Unix()-3600), ""},
		"of another issuer":    {header, claims("iss", "https://issuer.example"), ""},
		"for another API":      {header, claims("aud", "nhn:other"), ""},
		"for several APIs":     {header, claims("aud", []string{audience, "nhn:other"}), "golang-jwt go-jose jwx go-oidc auth0"},
		"not valid yet":        {header, claims("nbf", time.Now().Unix()+3600), ""},
		"issued in the future": {header, claims("iat", time.Now().Unix()+3600), "go-oidc"},
		"without exp":          {header, claims("exp", nil), "auth0"},
		"of another type":      {strings.Replace(header, "at+jwt", "dpop+jwt", 1), claims("jti", "z"), "jwx go-oidc auth0"},
		"unknown key":          {strings.Replace(header, world.Issuer.KeyID(), "unknown", 1), claims("jti", "z"), ""},
		"crit":                 {strings.Replace(header, "{", `{"crit":["exp2"],"exp2":1,`, 1), claims("jti", "z"), "golang-jwt jwx auth0"},
		"duplicate members":    {header, duplicate, "golang-jwt jwx go-oidc auth0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, err := world.Issuer.RawToken(test.header, test.claims)
			require.NoError(t, err)
			for _, peer := range all {
				if peer.ValidateToken != nil {
					requireVerdict(t, strings.Contains(test.accepted, peer.Name), peer.ValidateToken(token), peer.Name)
				}
			}
		})
	}
	forged, err := other.Issuer.RawToken(header, claims("jti", "f"))
	require.NoError(t, err)
	for _, peer := range all {
		if peer.ValidateToken != nil {
			requireVerdict(t, false, peer.ValidateToken(forged), peer.Name)
		}
	}
}

func requireVerdict(t *testing.T, accepted bool, err error, name string) {
	t.Helper()
	if accepted {
		require.NoError(t, err, name)
		return
	}
	require.Error(t, err, name)
}

// Proofs that each makes are accepted by all.
func TestProofsOfEach(t *testing.T) {
	t.Parallel()
	world, all := newWorld(t)
	token, err := world.Token()
	require.NoError(t, err)
	thumbprint := world.Caller.Prover.Thumbprint()
	made := 0
	for _, maker := range all {
		if maker.MakeProof == nil {
			continue
		}
		made++
		proof, err := maker.MakeProof(token)
		require.NoError(t, err)
		for _, peer := range all {
			if peer.VerifyProof != nil {
				require.NoError(t, peer.VerifyProof(proof, token, thumbprint), "%s by %s", maker.Name, peer.Name)
			}
		}
		another, err := maker.MakeProof(token)
		require.NoError(t, err)
		require.NotEqual(t, proof, another, maker.Name)
	}
	require.Equal(t, 4, made)
}

func TestProofs(t *testing.T) {
	t.Parallel()
	world, all := newWorld(t)
	token, err := world.Token()
	require.NoError(t, err)
	thumbprint := world.Caller.Prover.Thumbprint()
	jwk, err := world.Caller.JWK()
	require.NoError(t, err)
	private, err := world.Caller.PrivateJWK()
	require.NoError(t, err)
	header := func(jwk string) string { return `{"typ":"dpop+jwt","alg":"ES256","jwk":` + jwk + `}` }
	claims := func(method, uri string, age int64, token string) string {
		return fmt.Sprintf(`{"jti":%q,"htm":%q,"htu":%q,"iat":%d,"ath":%q}`, newID(), method, uri, time.Now().Unix()-age, hash([]byte(token)))
	}
	target := world.Target.String()
	other, err := lab.NewCaller()
	require.NoError(t, err)
	otherJWK, err := other.JWK()
	require.NoError(t, err)
	for name, test := range map[string]struct {
		header, claims string
		accepted       string
	}{
		"good":               {header(jwk), claims("GET", target, 0, token), "this SDK golang-jwt go-jose jwx auth0"},
		"another method":     {header(jwk), claims("POST", target, 0, token), ""},
		"another URL":        {header(jwk), claims("GET", target+"x", 0, token), ""},
		"too old":            {header(jwk), claims("GET", target, 60, token), ""},
		"from the future":    {header(jwk), claims("GET", target, -60, token), ""},
		"another token":      {header(jwk), claims("GET", target, 0, token+"x"), ""},
		"another type":       {strings.Replace(header(jwk), "dpop+jwt", "JWT", 1), claims("GET", target, 0, token), ""},
		"another key":        {header(otherJWK), claims("GET", target, 0, token), ""},
		"private key":        {header(private), claims("GET", target, 0, token), "auth0"},
		"query in the claim": {header(jwk), claims("GET", target+"?a=b", 0, token), "this SDK"},
		"duplicate members":  {header(jwk), strings.Replace(claims("GET", target, 0, token), "{", `{"htm":"POST",`, 1), "golang-jwt jwx auth0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proof, err := world.Caller.RawProof(test.header, test.claims)
			require.NoError(t, err)
			for _, peer := range all {
				if peer.VerifyProof != nil {
					requireVerdict(t, strings.Contains(test.accepted, peer.Name), peer.VerifyProof(proof, token, thumbprint), peer.Name)
				}
			}
		})
	}
	t.Run("used before", func(t *testing.T) {
		t.Parallel()
		proof, err := world.Caller.Proof(world.Target, token)
		require.NoError(t, err)
		for _, peer := range all {
			if peer.VerifyProof != nil {
				require.NoError(t, peer.VerifyProof(proof, token, thumbprint), peer.Name)
				requireVerdict(t, peer.Name != "this SDK", peer.VerifyProof(proof, token, thumbprint), peer.Name)
			}
		}
	})
}

func TestGuards(t *testing.T) {
	t.Parallel()
	world, all := newWorld(t)
	token, err := world.Token()
	require.NoError(t, err)
	withQuery := *world.Target
	withQuery.RawQuery = "a=b"
	guards := 0
	for _, peer := range all {
		if peer.Guard == nil {
			continue
		}
		guards++
		handler := peer.Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
		status := func(target *url.URL, change func(*http.Request)) int {
			request, err := world.Caller.Request(target, token)
			require.NoError(t, err)
			if change != nil {
				change(request)
			}
			var first lab.Writer
			first.Reset()
			handler.ServeHTTP(&first, request)
			return first.Status
		}
		require.Equal(t, http.StatusNoContent, status(world.Target, nil), peer.Name)
		require.NotEqual(t, http.StatusNoContent, status(world.Target, func(r *http.Request) { r.Header.Del("DPoP") }), peer.Name)
		require.NotEqual(t, http.StatusNoContent, status(world.Target, func(r *http.Request) { r.Method = "POST" }), peer.Name)
		require.NotEqual(t, http.StatusNoContent, status(world.Target, func(r *http.Request) { r.Header.Set("Authorization", "DPoP x") }), peer.Name)
		require.Equal(t, peer.Name == "this SDK", status(&withQuery, nil) == http.StatusNoContent, "%s, with a query", peer.Name)
	}
	require.Equal(t, 2, guards)
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	_, all := newWorld(t)
	made := 0
	for _, peer := range all {
		if peer.MakeAssertion == nil {
			continue
		}
		made++
		assertion, err := peer.MakeAssertion()
		require.NoError(t, err)
		another, err := peer.MakeAssertion()
		require.NoError(t, err)
		require.NotEqual(t, assertion, another, peer.Name)
		require.Len(t, strings.Split(assertion, "."), 3)
	}
	require.Equal(t, 3, made)
}
