package mint

import "strings"

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
