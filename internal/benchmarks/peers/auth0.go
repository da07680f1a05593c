package peers

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/core"
	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"
)

func newAuth0(world *World) (*Peer, error) {
	guard, tokens, err := Auth0(world.Issuer.URL)
	if err != nil {
		return nil, err
	}
	engine, err := core.New(core.WithValidator(proofsOnly{tokens}), core.WithDPoPMode(core.DPoPRequired),
		core.WithDPoPProofOffset(10*time.Second), core.WithDPoPIATLeeway(8*time.Second))
	if err != nil {
		return nil, err
	}
	target := world.Target.String()
	return &Peer{
		Name: "auth0",
		VerifyProof: func(proof, token, thumbprint string) error {
			ctx := context.WithValue(context.Background(), boundTo{}, thumbprint)
			_, found, err := engine.CheckTokenWithDPoP(ctx, token, core.AuthSchemeDPoP, proof, http.MethodGet, target)
			if err == nil && found == nil {
				return errors.New("the proof was not looked at")
			}
			return err
		},
		ValidateToken: func(token string) error {
			_, err := tokens.ValidateToken(context.Background(), token)
			return err
		},
		Guard: guard,
		Lacks: Lacks{
			VerifyProof:   "no replay list, URLs with a query refused, private keys in the header and duplicate JSON members pass",
			ValidateToken: "typ not looked at, exp optional, crit ignored, duplicate JSON members pass, other audiences pass",
			Guard:         "no replay list, URLs with a query refused, typ not looked at; no requirements, no audit record",
		},
	}, nil
}

// Auth0 sets the middleware up for an issuer, with DPoP required and keys that
// are fetched and cached, and returns its validator too.
func Auth0(issuer string) (func(http.Handler) http.Handler, *validator.Validator, error) {
	location, err := url.Parse(issuer)
	if err != nil {
		return nil, nil, err
	}
	provider, err := jwks.NewCachingProvider(jwks.WithIssuerURL(location), jwks.WithCacheTTL(10*time.Minute))
	if err != nil {
		return nil, nil, err
	}
	tokens, err := validator.New(
		validator.WithKeyFunc(provider.KeyFunc),
		validator.WithAlgorithm(validator.RS256),
		validator.WithIssuer(issuer),
		validator.WithAudience(audience),
		validator.WithAllowedClockSkew(leeway),
		validator.WithCustomClaims(func() *ownClaims { return &ownClaims{} }),
	)
	if err != nil {
		return nil, nil, err
	}
	middleware, err := jwtmiddleware.New(
		jwtmiddleware.WithValidator(tokens),
		jwtmiddleware.WithDPoPMode(core.DPoPRequired),
		jwtmiddleware.WithDPoPProofOffset(10*time.Second),
		jwtmiddleware.WithDPoPIATLeeway(8*time.Second),
	)
	if err != nil {
		return nil, nil, err
	}
	return middleware.CheckJWT, tokens, nil
}

// proofsOnly takes the token for granted, to measure the proof alone.
type proofsOnly struct{ tokens *validator.Validator }

type boundTo struct{}

type boundClaims struct{ thumbprint string }

func (c boundClaims) GetConfirmationJKT() string { return c.thumbprint }
func (c boundClaims) HasConfirmation() bool      { return true }

// ValidateToken implements core.Validator.
func (p proofsOnly) ValidateToken(ctx context.Context, _ string) (any, error) {
	thumbprint, _ := ctx.Value(boundTo{}).(string)
	return boundClaims{thumbprint}, nil
}

// ValidateDPoPProof implements core.Validator.
func (p proofsOnly) ValidateDPoPProof(ctx context.Context, proof string) (core.DPoPProofClaims, error) {
	return p.tokens.ValidateDPoPProof(ctx, proof)
}
