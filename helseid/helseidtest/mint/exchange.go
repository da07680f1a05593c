package mint

import "github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"

// Actor is a client that has exchanged a token.
type Actor struct {
	// ClientID and ParentOrganization are the client and its organisation. An
	// empty organisation is left out.
	ClientID, ParentOrganization string

	// Issuer is the issuer of the actor's token. Empty means the token's issuer.
	Issuer string
}

// ExchangedBy makes the token the result of a token exchange. The actor becomes the
// token's client and the newest in the chain of actors; the client before the first
// exchange is the original client. Use it several times for a chain, the newest actor
// last.
func ExchangedBy(actor Actor) TokenOption {
	return func(s *tokenSpec) {
		act := map[string]any{"iss": s.claims["iss"], "client_id": actor.ClientID}
		if actor.Issuer != "" {
			act["iss"] = actor.Issuer
		}
		if actor.ParentOrganization != "" {
			act[claim.Parent] = actor.ParentOrganization
		}
		if before := s.claims["act"]; before != nil {
			act["act"] = before
		}
		if s.claims[claim.OriginalClient] == nil {
			s.claims[claim.OriginalClient] = s.claims["client_id"]
		}
		s.claims["client_id"], s.claims["act"] = actor.ClientID, act
	}
}
