package helseid

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// maxToken bounds an access token, in bytes. With the trust-framework attest
// HelseID's grow to some 4 KiB.
const maxToken = 64 << 10

// tokenError reads the answer as an OAuth error. Nothing of a body in another
// form gets into the error.
func (a answer) tokenError() error {
	if a.status >= 300 && a.status < 400 {
		return fmt.Errorf("%w: HelseID's %s redirects (status %d), and credentials follow no redirect", ErrInvalidResponse, endpointText(a.endpoint), a.status)
	}
	if object, err := jose.ParseObject(a.body); err == nil {
		if code, ok := object.Get("error").Text(); ok && validErrorCode(code) {
			description, _ := object.Get("error_description").Text()
			description = redact.Text(description)
			failure := &TokenError{
				Code:        code,
				Description: description,
				HID:         hidNumber.FindString(description),
				StatusCode:  a.status,
				Temporary:   temporaryStatus(a.status),
				RetryAfter:  a.pause(),
			}
			if code == "invalid_client" || code == "invalid_dpop_proof" {
				failure.ClockDifference = clockDifference(a.header, a.at)
			}
			return failure
		}
	}
	if wait := a.pause(); wait > 0 && a.status == http.StatusTooManyRequests {
		return &TokenError{StatusCode: a.status, Temporary: true, RetryAfter: wait}
	}
	category := ErrInvalidResponse
	if temporaryStatus(a.status) {
		category = ErrUnavailable
	}
	return fmt.Errorf("%w: HelseID's %s answered status %d with %d bytes of %s", category, endpointText(a.endpoint), a.status, len(a.body), httpx.MediaType(a.header))
}

// validErrorCode accepts the characters of RFC 6749 section 5.2, in a length
// that is still a code.
func validErrorCode(code string) bool {
	if code == "" || len(code) > 64 {
		return false
	}
	for i := range len(code) {
		if c := code[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return redact.Text(code) == code
}

// object reads the answer as one JSON object, in which the given members have no
// double in another spelling.
func (a answer) object(endpoint string, members ...string) (jose.Object, error) {
	if !httpx.IsJSON(a.header) {
		return jose.Object{}, fmt.Errorf("%w: the %s answered %d with %d bytes of %s in place of JSON: is the issuer right, or a proxy in the way?",
			ErrInvalidResponse, endpointText(endpoint), a.status, len(a.body), httpx.MediaType(a.header))
	}
	object, err := jose.ParseObject(a.body)
	if err == nil {
		err = object.CheckFolded(members...)
	}
	if err != nil {
		return jose.Object{}, a.unusable(endpoint, err)
	}
	return object, nil
}

// unusable says what is wrong with an answer that HelseID seems to have given.
func (a answer) unusable(endpoint string, err error) error {
	return fmt.Errorf("%w: the %s's answer of %d bytes: %w", ErrInvalidResponse, endpointText(endpoint), len(a.body), err)
}

// endpointText is the name of an endpoint in an error.
func endpointText(member string) string {
	if member == "" {
		return "endpoint"
	}
	return strings.ReplaceAll(member, "_", " ")
}

var tokenMembers = []string{
	"access_token", "token_type", "expires_in", "scope", "rejected_scope", "issued_token_type", "id_token", "refresh_token", "rt_expires_in",
}

// token reads the answer of the token endpoint, as an object, as a token that was
// asked for with a grant and a key of the given thumbprint.
func (a answer) token(object jose.Object, grant tokenGrant, thumbprint string) (*Token, error) {
	token, err := parseToken(object, a.sent, grant.tokenType, grant.scopes, thumbprint)
	if err == nil {
		err = checkIssuedType(object)
	}
	if err != nil {
		return nil, a.unusable(tokenEndpoint, err)
	}
	return token, nil
}

func parseToken(object jose.Object, start time.Time, wanted string, asked []string, thumbprint string) (*Token, error) {
	access, ok := object.Get("access_token").Text()
	if !ok || !validToken68(access) {
		return nil, fmt.Errorf("access_token is missing or not a token")
	}
	tokenType, ok := object.Get("token_type").Text()
	if !ok {
		return nil, fmt.Errorf("token_type is missing or not a string")
	}
	if !strings.EqualFold(tokenType, wanted) {
		return nil, fmt.Errorf("token_type is not %s as it was asked for: another kind of token is not used", wanted)
	}
	token := &Token{Access: NewSecret(access), Type: wanted}
	if value := object.Get("expires_in"); !value.Absent() {
		seconds, ok := value.Seconds()
		if !ok || seconds <= 0 {
			return nil, fmt.Errorf("expires_in is not a positive number")
		}
		seconds = min(seconds, int64(maxTokenLifetime/time.Second))
		token.setLifetime(start, time.Duration(seconds)*time.Second)
	}
	claims, isJWT, err := unverifiedClaims(access)
	if err != nil {
		return nil, err
	}
	if isJWT {
		if err := checkBinding(claims, wanted, thumbprint); err != nil {
			return nil, err
		}
		token.readAudience(claims.Get("aud"))
	}
	if token.Scopes, err = grantedScopes(object, claims, asked); err != nil {
		return nil, err
	}
	if value := object.Get("rejected_scope"); !value.Absent() {
		if token.RejectedScopes, ok = scopeList(value); !ok {
			return nil, fmt.Errorf("rejected_scope is not a string")
		}
	}
	return token, nil
}

func (t *Token) readAudience(value jose.Value) {
	t.audience, _ = value.Text()
	if audiences, ok := value.Array(); ok {
		if t.audiences = len(audiences); t.audiences == 1 {
			t.audience, _ = audiences[0].Text()
		}
	}
}

// validToken68 checks the grammar that an Authorization header can carry (RFC
// 9110 section 11.2).
func validToken68(token string) bool {
	body := strings.TrimRight(token, "=")
	if body == "" || len(token) > maxToken {
		return false
	}
	for i := range len(body) {
		c := body[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-._~+/", rune(c)) {
			return false
		}
	}
	return true
}

// unverifiedClaims looks into a token that is a JWT. The client need not
// understand its tokens: one that is not a JWT is fine, and nothing is decided
// by the claims but whether the token is usable with the client's own key. What
// starts like a JWT must be one, or its binding could not be seen.
func unverifiedClaims(token string) (claims jose.Object, isJWT bool, err error) {
	if !strings.HasPrefix(token, "eyJ") || strings.Count(token, ".") != 2 { // {"
		return jose.Object{}, false, nil
	}
	errJWT := errors.New("the access token looks like a JWT and is none")
	compact, err := jose.ParseCompact(token, maxToken)
	if err != nil {
		return jose.Object{}, false, errJWT
	}
	if claims, err = jose.ParseObject(compact.Payload); err != nil {
		return jose.Object{}, false, errJWT
	}
	return claims, true, nil
}

func checkBinding(claims jose.Object, tokenType, thumbprint string) error {
	if tokenType == tokenTypeBearer {
		if claims.Has("cnf") {
			return fmt.Errorf("the bearer token is bound to a key (cnf): an API would refuse it")
		}
		return nil
	}
	confirmation, _ := claims.Get("cnf").Object()
	if jkt, ok := confirmation.Get("jkt").Text(); !ok || jkt != thumbprint {
		return fmt.Errorf("the access token is not bound to the client's DPoP key (cnf.jkt)")
	}
	return nil
}

func grantedScopes(object, claims jose.Object, asked []string) ([]string, error) {
	if value := object.Get("scope"); !value.Absent() {
		scopes, ok := scopeList(value)
		if !ok {
			return nil, fmt.Errorf("scope is not a string")
		}
		return scopes, nil
	}
	if scopes, ok := scopeList(claims.Get("scope")); ok {
		return scopes, nil
	}
	return asked, nil // RFC 6749 section 5.1: left out if nothing was cut
}

// scopeList reads scopes in both forms that occur: separated by spaces, and as
// an array, which HelseID's tokens have.
func scopeList(value jose.Value) ([]string, bool) {
	if text, ok := value.Text(); ok {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), true
	}
	values, ok := value.Array()
	scopes := make([]string, len(values))
	for i := range values {
		var isText bool
		scopes[i], isText = values[i].Text()
		ok = ok && isText
	}
	return scopes, ok
}
