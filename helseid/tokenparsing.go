package helseid

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/jose"
)

// maxToken limits an access token, in bytes. With the trust framework's attest
// HelseID's tokens grow to about 4 KiB.
const maxToken = 64 << 10

var tokenMembers = []string{
	"access_token", "token_type", "expires_in", "scope", "rejected_scope", "issued_token_type", "id_token", "refresh_token", "rt_expires_in",
}

// readToken reads the token endpoint's answer to a grant. The token must be bound to
// the key with the given thumbprint.
func readToken(a exchange.Answer, object jose.Object, grant tokenGrant, thumbprint string) (*Token, error) {
	token, err := parseToken(object, a.Sent, grant.tokenType, grant.scopes, thumbprint)
	if err == nil {
		err = checkIssuedType(object)
	}
	if err != nil {
		return nil, a.Unusable(err)
	}
	return token, nil
}

// parseToken reads an access token from the answer of a token endpoint to a request
// that was started at the given time. The token must have the type that was asked
// for, and be bound to the key with the given thumbprint unless it is a bearer token.
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
	token := &Token{Access: identity.NewSecret(access), Type: wanted}
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

// unverifiedClaims reads the claims of a token that is a JWT. A client need not
// understand its tokens: a token that is not a JWT is accepted, and the claims only
// decide whether the token can be used with the client's key. But a token that starts
// like a JWT must be a JWT, because otherwise its binding could not be checked.
func unverifiedClaims(token string) (claims jose.Object, isJWT bool, err error) {
	if !strings.HasPrefix(token, "eyJ") || strings.Count(token, ".") != 2 { // {"
		return jose.Object{}, false, nil
	}
	errJWT := errors.New("the access token looks like a JWT but is not one")
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
	return asked, nil // RFC 6749 section 5.1: omitted if all that was asked for was granted
}

// scopeList reads scopes in both existing forms: separated by spaces, and as an
// array, which HelseID's tokens use.
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

// checkIssuedType refuses an answer to a token exchange that states another type than
// an access token. A missing type is accepted.
func checkIssuedType(object jose.Object) error {
	value := object.Get("issued_token_type")
	if text, ok := value.Text(); !value.Absent() && (!ok || text != accessTokenType) {
		return fmt.Errorf("issued_token_type is not that of an access token")
	}
	return nil
}
