package helseid

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
)

func FuzzParseChallenges(f *testing.F) {
	for _, seed := range []string{
		`DPoP error="use_dpop_nonce", error_description="x", algs="ES256 PS256"`, `Basic realm="a, b", DPoP error=x`, `Negotiate YQ==, DPoP`,
		`Negotiate YWI=`, `a b c d = "\"" , ,`, `DPoP a="`, "DPoP a=\"\\", ",,,", strings.Repeat("a,", 100), "\x00", `DPoP error="a", error="b"`,
	} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		found := parseChallenges([]string{first, second})
		if len(found) > maxChallenges {
			t.Fatal("too many challenges")
		}
		for _, c := range found {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) || c.parameters == nil {
				t.Fatalf("a challenge without scheme or in other case: %q", c.scheme)
			}
			for name, value := range c.parameters {
				if name == "" || name != strings.ToLower(name) {
					t.Fatalf("a parameter without name or in other case: %q", name)
				}
				if len(value) > len(first)+len(second) {
					t.Fatal("a value out of nothing")
				}
			}
		}
		// What comes after a complete challenge's field cannot change it.
		if alone := parseChallenges([]string{first}); len(alone) > len(found) {
			t.Fatal("the second field took challenges away")
		}
	})
}

const fuzzThumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

func fuzzToken(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","typ":"at+jwt"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte("signature"))
}

func FuzzTokenAnswer(f *testing.F) {
	good := `{"access_token":"` + fuzzToken(`{"cnf":{"jkt":"`+fuzzThumbprint+`"},"scope":["a","b"]}`) + `","token_type":"DPoP","expires_in":600,"scope":"a b","rejected_scope":"c"}`
	for _, seed := range []string{
		good, good[:len(good)/2], "", "{}", "[]", "null", `{"access_token":"opaque","token_type":"dpop"}`,
		`{"access_token":"opaque","token_type":"Bearer","expires_in":-1}`, `{"access_token":"a b","token_type":"DPoP"}`,
		`{"access_token":"x","Access_Token":"y","token_type":"DPoP"}`, `{"access_token":"x","access_token":"y"}`,
		`{"access_token":"` + fuzzToken(`{"cnf":{"jkt":"other"}}`) + `","token_type":"DPoP"}`,
		`{"access_token":"x","token_type":"DPoP","expires_in":1e400,"scope":[1]}`,
		`{"error":"invalid_client","error_description":"HID-1001 06828399789"}`, `{"error":"\u0000"}`,
	} {
		for _, contentType := range []string{"application/json", "text/html", ""} {
			f.Add(200, contentType, []byte(seed))
			f.Add(400, contentType, []byte(seed))
		}
	}
	start := time.Now()
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		a := answer{status: status, header: http.Header{"Content-Type": {contentType}}, body: body}
		a.sent = start
		var token *Token
		object, err := a.object(tokenEndpoint, tokenMembers...)
		if err == nil {
			if tokens, err := parseUserTokens(object, start); err == nil && tokens.refreshUntil.After(start.Add(maxRefreshLifetime)) {
				t.Fatalf("a refresh token that lives until %v", tokens.refreshUntil)
			}
			token, err = a.token(object, tokenGrant{tokenType: tokenTypeDPoP, scopes: []string{"a"}}, fuzzThumbprint)
		}
		switch {
		case err != nil && (token != nil || !errors.Is(err, ErrInvalidResponse)):
			t.Fatalf("an error of no category, or with a token: %v", err)
		case err == nil && (!validToken68(token.Access.Reveal()) || token.Type != "DPoP"):
			t.Fatal("a token that cannot be sent")
		case err == nil && !token.Expiry.IsZero() && (token.Expiry.Before(start) || token.Expiry.After(start.Add(maxTokenLifetime))):
			t.Fatalf("a token that lives until %v", token.Expiry)
		case err == nil && !httpx.IsJSON(a.header):
			t.Fatal("a token that did not come as JSON")
		}
		failure := a.tokenError()
		if failure == nil || len(failure.Error()) > 2000 {
			t.Fatal("no error, or one that holds the body")
		}
	})
}

func FuzzMetadata(f *testing.F) {
	const issuer = "https://helseid.example.no/a"
	good := `{"issuer":"` + issuer + `","token_endpoint":"https://helseid.example.no/a/connect/token","frontchannel_logout_supported":"true"}`
	for _, seed := range []string{
		good, good[:len(good)-5], "", "{}", "[]", `{"issuer":1}`, `{"issuer":"` + issuer + `"}`,
		strings.Replace(good, "https://helseid.example.no/a/connect", "http://127.0.0.1", 1), strings.Replace(good, "token_endpoint", "Token_endpoint", 1),
		strings.Replace(good, "https://helseid.example.no/a/connect/token", "https://user@host/#x", 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		document, err := metadata.Parse(body, issuer)
		if err != nil {
			if document != nil || !errors.Is(err, ErrInvalidResponse) && !errors.Is(err, ErrIssuerMismatch) {
				t.Fatalf("an error of no category, or with a document: %v", err)
			}
			return
		}
		endpoint, err := document.Endpoint("token_endpoint")
		if err == nil && (endpoint.Scheme != "https" && !strings.EqualFold(endpoint.Scheme, "https") || endpoint.Host == "" || endpoint.User != nil || endpoint.Fragment != "") {
			t.Fatalf("credentials would go to %q", endpoint)
		}
		if err != nil && !errors.Is(err, ErrInvalidResponse) {
			t.Fatalf("an error of no category: %v", err)
		}
	})
}
