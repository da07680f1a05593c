package mint

import "strings"

// WithoutDefaultClaims removes all claims about the client, the scopes and the user.
// What is left is iss, aud, iat, nbf, exp and cnf, which [Unbound] removes. Use it
// first: later options add claims.
func WithoutDefaultClaims() TokenOption {
	return func(s *tokenSpec) {
		for name := range s.claims {
			switch name {
			case "iss", "aud", "iat", "nbf", "exp", "cnf":
			default:
				delete(s.claims, name)
			}
		}
		s.claims["scope"] = nil // explicitly none, so no default is added
	}
}

// WithoutUserClaims removes all claims about a user. An API that requires one refuses it:
// user.
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
