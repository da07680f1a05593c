package helseidtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

// TokenOption shapes a token: whom it is for, or what is wrong with it.
type TokenOption func(*tokenSpec)

type tokenSpec struct {
	server *Server
	header map[string]any
	claims map[string]any
	key    *mintingKey
	mangle func(string) string
	err    error
}

// pendingClaim stands for the value of a claim that depends on the other options. An
// option after it that sets or takes out the claim takes its place.
type pendingClaim func(*tokenSpec) (any, error)

// fail notes the first mistake.
func (s *tokenSpec) fail(err error) { s.err = cmp.Or(s.err, fmt.Errorf("helseidtest: %w", err)) }

// Token mints an access token as HelseID would, signed with the server's key
// and bound to the key that Server.Proof uses. Without options it is a
// system's, for the audience "nhn:test-api"; without Scopes it has the scope
// "/read" of its audience. Options apply in the order given, so put Clinician
// before those that change something of it. It panics if a claim cannot be
// written as JSON.
func (s *Server) Token(opts ...TokenOption) string {
	token, err := s.mint(append([]TokenOption{BoundTo(s.proofKey.key.Public().Thumbprint())}, opts...)...)
	if err != nil {
		panic(err)
	}
	return token
}

// Whom tokens are for unless told otherwise: the API of access tokens, and the
// client.
const (
	DefaultAudience = "nhn:test-api"
	DefaultClientID = "helseidtest-client"
)

const defaultSessionID = "7C2F6E9F1D0A4B35"

// mint makes an access token.
func (s *Server) mint(opts ...TokenOption) (string, error) {
	now := s.Now().Unix()
	spec := s.newSpec("at+jwt", map[string]any{
		"iss":              s.issuer,
		"aud":              DefaultAudience,
		"client_id":        DefaultClientID,
		"client_amr":       "private_key_jwt",
		"iat":              now,
		"nbf":              now,
		"exp":              now + int64(s.options.tokenLifetime/time.Second),
		"jti":              strings.ToUpper(jose.NewID()),
		claimClientName:    "helseidtest client",
		claimClientTenancy: "single-tenant",
		claimParent:        DefaultParentOrganization,
	})
	return s.mintSpec(spec, append(slices.Clone(opts), func(spec *tokenSpec) {
		if _, decided := spec.claims["scope"]; !decided {
			spec.claims["scope"] = []string{firstAudience(spec.claims["aud"]) + "/read"}
		}
	})...)
}

// newSpec is a token of this type, signed with the server's key.
func (s *Server) newSpec(typ string, claims map[string]any) *tokenSpec {
	signing := s.signingKey()
	return &tokenSpec{
		server: s,
		header: map[string]any{"typ": typ, "alg": "RS256", "kid": signing.key.ID()},
		claims: claims,
		key:    signing,
	}
}

func (s *Server) mintSpec(spec *tokenSpec, opts ...TokenOption) (string, error) {
	for _, option := range opts {
		option(spec)
	}
	for name, value := range spec.claims {
		if pending, ok := value.(pendingClaim); ok {
			value, err := pending(spec)
			if err != nil {
				spec.fail(err)
			}
			spec.claims[name] = value
		}
	}
	if spec.err != nil {
		return "", spec.err
	}
	maps.DeleteFunc(spec.claims, func(_ string, value any) bool { return value == nil })
	maps.DeleteFunc(spec.header, func(_ string, value any) bool { return value == nil })
	return signObjects(spec.key, spec.header, spec.claims, spec.mangle)
}

func firstAudience(aud any) string {
	switch aud := aud.(type) {
	case string:
		return aud
	case []string:
		if len(aud) > 0 {
			return aud[0]
		}
	}
	return DefaultAudience
}

func signObjects(key *mintingKey, header, claims map[string]any, mangle func(string) string) (string, error) {
	headerJSON, err := json.Marshal(marked(header))
	if err != nil {
		return "", fmt.Errorf("helseidtest: header: %w", err)
	}
	claimsJSON, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("helseidtest: claims: %w", err)
	}
	token, err := key.sign(headerJSON, claimsJSON)
	if err != nil {
		return "", fmt.Errorf("helseidtest: %w", err)
	}
	if mangle != nil {
		token = mangle(token)
	}
	return token, nil
}

// Claim sets a claim to any value, or takes it out if the value is nil.
func Claim(name string, value any) TokenOption {
	return func(s *tokenSpec) { s.claims[name] = value }
}

// Header sets a member of the token's header, or takes it out if the value is
// nil.
func Header(name string, value any) TokenOption {
	return func(s *tokenSpec) { s.header[name] = value }
}

func claims(values map[string]any) TokenOption {
	return func(s *tokenSpec) { maps.Copy(s.claims, values) }
}

// Clinician makes the token that of a logged-in clinician: a synthetic person
// with an HPR number, at security level 4.
func Clinician() TokenOption {
	return func(s *tokenSpec) {
		login := s.claims["iat"]
		maps.Copy(s.claims, map[string]any{
			"sub":               defaultSubject,
			"sid":               defaultSessionID,
			"idp":               testIDP,
			"amr":               []string{"pwd"},
			"auth_time":         login,
			"name":              "KVART GREVLING",
			"given_name":        "KVART",
			"middle_name":       "",
			"family_name":       "GREVLING",
			claimPID:            DefaultPersonalIdentityNumber,
			claimHPRNumber:      DefaultHPRNumber,
			claimSecurityLevel:  "4",
			claimAssuranceLevel: "high",
			claimNetwork:        "internett",
		})
	}
}

// Audience sets aud: one API as a string, several as an array.
func Audience(apis ...string) TokenOption {
	if len(apis) == 1 {
		return Claim("aud", apis[0])
	}
	return Claim("aud", apis)
}

// Scopes sets the granted scopes.
func Scopes(scopes ...string) TokenOption { return Claim("scope", scopes) }

// ClientID sets the client.
func ClientID(id string) TokenOption { return Claim("client_id", id) }

// SecurityLevel sets the user's security level, 2 to 4.
func SecurityLevel(level int) TokenOption { return Claim(claimSecurityLevel, strconv.Itoa(level)) }

// AssuranceLevel sets the user's assurance level: low, substantial or high.
func AssuranceLevel(level string) TokenOption { return Claim(claimAssuranceLevel, level) }

// HPRNumber sets the user's number in the register of health personnel. An
// empty one takes the claim out, as for a user who is not in the register.
func HPRNumber(number string) TokenOption {
	if number == "" {
		return Claim(claimHPRNumber, nil)
	}
	return Claim(claimHPRNumber, number)
}

// Organization sets the organisation that the token is for. Empty parts are
// left out; a supplier makes the client a multi-tenant one.
func Organization(parent, child, supplier string) TokenOption {
	values := map[string]any{claimParent: nil, claimChild: nil, claimSupplier: nil}
	for name, value := range map[string]string{claimParent: parent, claimChild: child, claimSupplier: supplier} {
		if value != "" {
			values[name] = value
		}
	}
	if supplier != "" {
		values[claimClientTenancy] = "multi-tenant"
	}
	return claims(values)
}

// Expired makes a token whose life has passed altogether.
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

// ExpiresIn sets exp, counted from iat.
func ExpiresIn(lifetime time.Duration) TokenOption {
	return func(s *tokenSpec) {
		if now, ok := seconds(s.claims["iat"]); ok {
			s.claims["exp"] = now + int64(lifetime/time.Second)
		}
	}
}

// seconds reads a time that Claim may have set as any kind of number.
func seconds(value any) (int64, bool) {
	switch value := reflect.ValueOf(value); {
	case value.CanInt():
		return value.Int(), true
	case value.CanFloat():
		return int64(value.Float()), true
	}
	return 0, false
}

// SignedWithUnknownKey signs with a key that the server never publishes, under
// the kid of the one that it does.
func SignedWithUnknownKey() TokenOption {
	return func(s *tokenSpec) {
		key, err := unknownKey()
		if err != nil {
			s.fail(err)
			return
		}
		s.key = key
	}
}

// BrokenSignature changes the signature.
func BrokenSignature() TokenOption { return func(s *tokenSpec) { s.mangle = breakSignature } }

// Unbound takes out cnf, as in the bearer tokens of APIs that have not moved to
// DPoP.
func Unbound() TokenOption { return Claim("cnf", nil) }

// BoundTo binds the token to the DPoP key with this thumbprint.
func BoundTo(thumbprint string) TokenOption {
	return Claim("cnf", map[string]string{"jkt": thumbprint})
}

// BoundToAnotherKey binds the token to a key that nobody has.
func BoundToAnotherKey() TokenOption {
	return BoundTo("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
}

// breakSignature changes a character in the middle of the signature.
func breakSignature(token string) string {
	dot := strings.LastIndexByte(token, '.')
	middle := dot + (len(token)-dot)/2
	replacement := byte('A')
	if token[middle] == replacement {
		replacement = 'B'
	}
	return token[:middle] + string(replacement) + token[middle+1:]
}
