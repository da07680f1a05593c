package peers

import (
	"context"

	"github.com/coreos/go-oidc/v3/oidc"
)

func newOIDC(world *World) (*Peer, error) {
	provider, err := oidc.NewProvider(context.Background(), world.Issuer.URL)
	if err != nil {
		return nil, err
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{oidc.RS256}})
	return &Peer{
		Name: "go-oidc",
		ValidateToken: func(token string) error {
			verified, err := verifier.Verify(context.Background(), token)
			if err != nil {
				return err
			}
			var own ownClaims
			if err := verified.Claims(&own); err != nil {
				return err
			}
			return own.check()
		},
		Lacks: Lacks{ValidateToken: "made for ID tokens: typ and iat not looked at, duplicate JSON members pass, other audiences pass; each unknown key is a request to the issuer"},
	}, nil
}
