package helseid

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/metadata"
)

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
		a := exchange.Answer{Sent: start, Endpoint: exchange.TokenEndpoint, Status: status, Header: http.Header{"Content-Type": {contentType}}, Body: body}
		var token *Token
		object, err := a.Object(tokenMembers...)
		if err == nil {
			if tokens, err := parseUserTokens(object, start); err == nil && tokens.refreshUntil.After(start.Add(maxRefreshLifetime)) {
				t.Fatalf("a refresh token that lives until %v", tokens.refreshUntil)
			}
			token, err = readToken(a, object, tokenGrant{tokenType: tokenTypeDPoP, scopes: []string{"a"}}, fuzzThumbprint)
		}
		switch {
		case err != nil && (token != nil || !errors.Is(err, ErrInvalidResponse)):
			t.Fatalf("an error of no category, or with a token: %v", err)
		case err == nil && (!validToken68(token.Access.Reveal()) || token.Type != "DPoP"):
			t.Fatal("a token that cannot be sent")
		case err == nil && !token.Expiry.IsZero() && (token.Expiry.Before(start) || token.Expiry.After(start.Add(maxTokenLifetime))):
			t.Fatalf("a token that lives until %v", token.Expiry)
		case err == nil && !httpx.IsJSON(a.Header):
			t.Fatal("a token that did not come as JSON")
		}
		failure := (&exchange.Exchange{Refused: refuser{}.tokenError}).Failure(a)
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

const fuzzIssuer = "https://helseid.example.no"

// fuzzClient sends nothing to anybody; sent counts its token requests.
func fuzzClient(f *testing.F) (client *Client, sent *atomic.Int64) {
	key, err := clientassertion.NewKey(mustSigner(), clientassertion.KeyOptions{})
	if err != nil {
		f.Fatal(err)
	}
	sent = new(atomic.Int64)
	client, err = New(Config{Issuer: fuzzIssuer, ClientID: "a-client", Key: key, DPoPKey: mustDPoPKey(), HTTPClient: &http.Client{Transport: answers(func(r *http.Request) (int, string) {
		if r.Method == http.MethodPost {
			sent.Add(1)
			return http.StatusBadRequest, `{"error":"invalid_grant"}`
		}
		return http.StatusOK, `{"issuer":"` + fuzzIssuer + `","token_endpoint":"` + fuzzIssuer + `/connect/token"}`
	})}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)
	return client, sent
}

// answers is a server of JSON, without a network.
type answers func(*http.Request) (status int, body string)

func (a answers) RoundTrip(request *http.Request) (*http.Response, error) {
	status, body := a(request)
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: request,
	}, nil
}

// FuzzFinishLogin: whatever comes with the browser, and whatever has become of
// the stored state, nothing is sent unless it is the answer to that login.
func FuzzFinishLogin(f *testing.F) {
	client, sent := fuzzClient(f)
	const state = `{"version":1,"issuer":"` + fuzzIssuer + `","client_id":"a-client","jkt":"{jkt}","state":"{state}","nonce":"n","verifier":"v","redirect_uri":"https://x.example.no/","scopes":["openid"],"started":{now}}`
	good := "code=x&state={state}&iss=" + url.QueryEscape(fuzzIssuer)
	for _, stored := range []string{state, state[:len(state)-1], "", "null", "{}", `{"version":1}`, strings.Replace(state, "{state}", "", 1), strings.Replace(state, "{now}", "1", 1),
		strings.Replace(state, "{now}", "4102444800", 1), strings.Replace(state, "{now}", "9223372036854775807", 1), strings.Replace(state, "{jkt}", "x", 1)} {
		f.Add(stored, good)
	}
	for _, query := range []string{"", "code=x&state={state}", strings.Replace(good, "{state}", "another", 1), good + "&code=y", good + "&error=access_denied", good + ";a=b", "code=x&state=&iss=",
		"error=login_required&state={state}&iss=" + url.QueryEscape(fuzzIssuer), "%"} {
		f.Add(state, query)
	}
	finish := func(t testing.TB, stored, query string) (isAnswer, wasSent bool) {
		fill := strings.NewReplacer("{jkt}", client.exchange.Prover.Thumbprint(), "{state}", jose.NewID(), "{now}", strconv.FormatInt(time.Now().Unix(), 10)) // each login is finished once
		loginState, err := DecodeLoginState([]byte(fill.Replace(stored)))
		if err != nil && !errors.Is(err, ErrLogin) {
			t.Fatalf("an error of no category: %v", err)
		}
		answer, _ := url.ParseQuery(fill.Replace(query)) // what it could read, as Request.FormValue does
		before := sent.Load()
		session, err := client.FinishLogin(t.Context(), loginState, answer)
		if session != nil || !errors.Is(err, ErrLogin) {
			t.Fatalf("a session, or an error of no category: %v", err)
		}
		isAnswer = len(answer["state"]) == 1 && answer.Get("state") == loginState.ID() && loginState.ID() != "" && len(answer["iss"]) == 1 && answer.Get("iss") == fuzzIssuer &&
			len(answer["code"]) == 1 && answer.Get("code") != "" && !answer.Has("error")
		return isAnswer, sent.Load() != before
	}
	if isAnswer, wasSent := finish(f, state, good); !isAnswer || !wasSent {
		f.Fatal("the good answer is none, so this finds nothing")
	}
	f.Fuzz(func(t *testing.T, stored, query string) {
		if isAnswer, wasSent := finish(t, stored, query); wasSent && !isAnswer {
			t.Fatal("the code of another login was sent")
		}
	})
}

// FuzzStoredSession: what a store returns is a session of this client's or none.
func FuzzStoredSession(f *testing.F) {
	client, _ := fuzzClient(f)
	good := `{"version":1,"issuer":"` + fuzzIssuer + `","client_id":"a-client","jkt":"{jkt}","id_token":"x","refresh_token":"y","created":1,"indexed_until":2}`
	for _, stored := range []string{good, good[1:], "", "null", `{"version":1}`, strings.Replace(good, "a-client", "another", 1), strings.Replace(good, `"created":1`, `"created":-9223372036854775808,"refresh_until":9223372036854775807,"attest_until":-1`, 1),
		strings.Replace(good, `"created":1`, `"created":1,"ended":true`, 1), strings.Replace(good, `"created":1`, `"created":1,"refreshing":1,"scopes":[""],"resources":[""]`, 1)} {
		f.Add(stored)
	}
	f.Fuzz(func(t *testing.T, stored string) {
		record, err := client.sessions.rows.decode([]byte(strings.ReplaceAll(stored, "{jkt}", client.exchange.Prover.Thumbprint())))
		if err != nil {
			if !errors.Is(err, ErrLoginRequired) {
				t.Fatalf("an error of no category: %v", err)
			}
			return
		}
		if record.Issuer != fuzzIssuer || record.ClientID != "a-client" || record.JKT != client.exchange.Prover.Thumbprint() || record.Ended {
			t.Fatal("a session of another client, or one that has ended")
		}
		now := time.Now()
		record.limit(&Token{Expiry: now.Add(time.Hour), fetched: now})
		record.reindex()
		if token := record.unused(now); token != "" && token != record.RefreshToken {
			t.Fatal("a token out of nothing")
		}
	})
}
