package mint

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"time"
)

// TokenOption changes a token: its claims, or what is wrong with it. Options apply in
// the order given.
type TokenOption func(*tokenSpec)

// tokenSpec is a token that is not signed yet.
type tokenSpec struct {
	minter *Minter
	header map[string]any
	claims map[string]any
	key    *Key
	mangle func(string) string
	err    error
}

// pendingClaim is the value of a claim that depends on the other options. A later
// option that sets or removes the claim replaces it.
type pendingClaim func(claims map[string]any) (any, error)

// fail stores the first error.
func (s *tokenSpec) fail(err error) { s.err = cmp.Or(s.err, fmt.Errorf("mint: %w", err)) }

// The default API of access tokens and the default client.
const (
	DefaultAudience = "nhn:test-api"
	DefaultClientID = "helseidtest-client"
)

// Claim sets a claim to any value, or removes it if the value is nil.
func Claim(name string, value any) TokenOption {
	return func(s *tokenSpec) { s.claims[name] = value }
}

// Header sets a member of the token's header, or removes it if the value is nil.
func Header(name string, value any) TokenOption {
	return func(s *tokenSpec) { s.header[name] = value }
}

// ClaimOf sets a claim to the result of a function, which is called with all other
// claims after all options have been applied. A later option that sets or removes the
// claim replaces it.
func ClaimOf(name string, value func(claims map[string]any) (any, error)) TokenOption {
	return Claim(name, pendingClaim(value))
}

// Claims calls a function that changes the claims of the earlier options.
func Claims(change func(claims map[string]any)) TokenOption {
	return func(s *tokenSpec) { change(s.claims) }
}

func claims(values map[string]any) TokenOption {
	return func(s *tokenSpec) { maps.Copy(s.claims, values) }
}

// Audience sets aud: one API as a string, several as an array. An API refuses a
// token that is not for it alone: token_audience.
func Audience(apis ...string) TokenOption {
	if len(apis) == 1 {
		return Claim("aud", apis[0])
	}
	return Claim("aud", apis)
}

// Issuer sets iss, for instance to that of another environment:
// helseid.Production.Issuer(). The token is still signed with the server's key. It is
// refused: token_issuer.
func Issuer(issuer string) TokenOption { return Claim("iss", issuer) }

// Scopes sets the granted scopes. An API that requires another one refuses it: scope.
func Scopes(scopes ...string) TokenOption { return Claim("scope", scopes) }

// Expired makes the token expired: it was issued two hours ago and expired one hour
// ago. It is refused: token_expired.
func Expired() TokenOption {
	return func(s *tokenSpec) {
		for name, ago := range map[string]int64{"iat": 7200, "nbf": 7200, "exp": 3600} {
			if now, ok := seconds(s.claims[name]); ok {
				s.claims[name] = now - ago
			}
		}
		if start, ok := seconds(s.claims["nbf"]); ok {
			s.claims["exp"] = start + 600
		}
	}
}

// ExpiresIn sets exp to iat plus the lifetime.
func ExpiresIn(lifetime time.Duration) TokenOption {
	return func(s *tokenSpec) {
		if now, ok := seconds(s.claims["iat"]); ok {
			s.claims["exp"] = now + int64(lifetime/time.Second)
		}
	}
}

// TokenID sets jti.
func TokenID(id string) TokenOption { return Claim("jti", id) }

// seconds reads a time that [Claim] may have set as any numeric type.
func seconds(value any) (int64, bool) {
	switch value := reflect.ValueOf(value); {
	case value.CanInt():
		return value.Int(), true
	case value.CanFloat():
		return int64(value.Float()), true
	}
	return 0, false
}
