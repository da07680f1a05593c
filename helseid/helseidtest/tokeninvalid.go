package helseidtest

import "strings"

// Issuer sets iss, such as that of another environment:
// helseid.Production.Issuer. The server's key still signs.
func Issuer(issuer string) TokenOption { return Claim("iss", issuer) }

// InvalidIssuer makes the token one of an issuer that does not exist.
func InvalidIssuer() TokenOption { return Issuer("https://another-issuer.helseid.test") }

// InvalidAudience makes the token one for an API that does not exist.
func InvalidAudience() TokenOption { return Audience("nhn:another-api") }

// Type sets the header's typ. HelseID's access tokens have at+jwt; JWT is to be
// accepted, too.
func Type(typ string) TokenOption { return Header("typ", typ) }

// WithoutDefaultClaims takes out all that the token would say of its client, its
// scopes and its user. What is left is iss, aud, iat, nbf, exp and, unless
// Unbound takes it out, cnf. Give it first: the options after it add claims.
func WithoutDefaultClaims() TokenOption {
	return func(s *tokenSpec) {
		for name := range s.claims {
			switch name {
			case "iss", "aud", "iat", "nbf", "exp", "cnf":
			default:
				delete(s.claims, name)
			}
		}
		s.claims["scope"] = nil // decided: there is none
	}
}

// WithoutUserClaims takes out all that the token says of a user.
func WithoutUserClaims() TokenOption {
	return func(s *tokenSpec) {
		for name := range s.claims {
			switch name {
			case "sub", "sid", "idp", "amr", "auth_time", "name", "given_name", "middle_name", "family_name":
				delete(s.claims, name)
			default:
				if strings.HasPrefix(name, "helseid://claims/identity/") || strings.HasPrefix(name, "helseid://claims/hpr/") {
					delete(s.claims, name)
				}
			}
		}
	}
}
