package peers

import (
	"crypto"
	"encoding/base64"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/helseid-go/sdk/internal/benchmarks/lab"
)

const (
	audience = lab.Audience
	leeway   = 5 * time.Second
)

func newGoJose(world *World) (*Peer, error) {
	target := world.Target.String()
	proofs, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: world.Caller.Private},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		return nil, err
	}
	assertions, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: world.ClientKey, KeyID: KeyID}},
		(&jose.SignerOptions{}).WithType("client-authentication+jwt"))
	if err != nil {
		return nil, err
	}
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &world.Issuer.Private.PublicKey, KeyID: world.Issuer.KeyID(), Algorithm: "RS256", Use: "sig"}}}
	return &Peer{
		Name: "go-jose",
		MakeProof: func(token string) (string, error) {
			return jwt.Signed(proofs).Claims(proofClaims{
				ID: newID(), Method: "GET", URI: target, IssuedAt: time.Now().Unix(), Hash: hash([]byte(token)),
			}).Serialize()
		},
		MakeAssertion: func() (string, error) {
			now := time.Now()
			return jwt.Signed(assertions).Claims(jwt.Claims{
				Issuer: ClientID, Subject: ClientID, Audience: jwt.Audience{world.Issuer.URL}, ID: newID(),
				IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(10 * time.Second)),
			}).Serialize()
		},
		VerifyProof: func(proof, token, thumbprint string) error {
			signed, err := jwt.ParseSigned(proof, []jose.SignatureAlgorithm{jose.ES256})
			if err != nil {
				return err
			}
			header := signed.Headers[0]
			if header.JSONWebKey == nil || !header.JSONWebKey.IsPublic() || header.ExtraHeaders[jose.HeaderType] != "dpop+jwt" {
				return errProof
			}
			found, err := header.JSONWebKey.Thumbprint(crypto.SHA256)
			if err != nil {
				return err
			}
			if base64.RawURLEncoding.EncodeToString(found) != thumbprint {
				return errProof
			}
			var claims proofClaims
			if err := signed.Claims(header.JSONWebKey, &claims); err != nil {
				return err
			}
			return claims.check(token, target)
		},
		ValidateToken: func(token string) error {
			signed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
			if err != nil {
				return err
			}
			if signed.Headers[0].ExtraHeaders[jose.HeaderType] != "at+jwt" {
				return errors.New("not an access token")
			}
			var registered jwt.Claims
			var own ownClaims
			if err := signed.Claims(&keys, &registered, &own); err != nil {
				return err
			}
			if registered.Expiry == nil {
				return errClaims
			}
			expected := jwt.Expected{Issuer: world.Issuer.URL, AnyAudience: jwt.Audience{audience}, Time: time.Now()}
			if err := registered.ValidateWithLeeway(expected, leeway); err != nil {
				return err
			}
			return own.check()
		},
		Lacks: Lacks{
			VerifyProof:   "rules by hand; no replay list",
			ValidateToken: "other audiences pass; keys were given, not fetched",
		},
	}, nil
}
