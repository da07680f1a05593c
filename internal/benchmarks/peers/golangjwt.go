package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// newID is a random identifier of 192 bits, as ours are.
func newID() string {
	var random [24]byte
	_, _ = rand.Read(random[:])
	return base64.RawURLEncoding.EncodeToString(random[:])
}

type golangClaims struct {
	jwt.RegisteredClaims
	ownClaims
}

// Validate resolves the two embedded ones.
func (c *golangClaims) Validate() error { return c.check() }

type golangProof struct {
	proofClaims
}

func (c *golangProof) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (c *golangProof) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (c *golangProof) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (c *golangProof) GetIssuer() (string, error)                   { return "", nil }
func (c *golangProof) GetSubject() (string, error)                  { return "", nil }
func (c *golangProof) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

func newGolangJWT(world *World) (*Peer, error) {
	jwk := ecJWK(&world.Caller.Private.PublicKey)
	target := world.Target.String()
	keys := map[string]*rsa.PublicKey{world.Issuer.KeyID(): &world.Issuer.Private.PublicKey}
	tokens := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(world.Issuer.URL), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway))
	proofs := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}))
	return &Peer{
		Name: "golang-jwt",
		MakeProof: func(token string) (string, error) {
			proof := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
				"jti": newID(), "htm": "GET", "htu": target, "iat": time.Now().Unix(), "ath": hash([]byte(token)),
			})
			proof.Header["typ"] = "dpop+jwt"
			proof.Header["jwk"] = jwk
			return proof.SignedString(world.Caller.Private)
		},
		MakeAssertion: func() (string, error) {
			now := time.Now()
			assertion := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
				"iss": ClientID, "sub": ClientID, "aud": world.Issuer.URL, "jti": newID(),
				"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Unix() + 10,
			})
			assertion.Header["typ"] = "client-authentication+jwt"
			assertion.Header["kid"] = KeyID
			return assertion.SignedString(world.ClientKey)
		},
		VerifyProof: func(proof, token, thumbprint string) error {
			var claims golangProof
			_, err := proofs.ParseWithClaims(proof, &claims, func(t *jwt.Token) (any, error) {
				if t.Header["typ"] != "dpop+jwt" {
					return nil, errProof
				}
				return proofKey(t.Header["jwk"], thumbprint)
			})
			if err != nil {
				return err
			}
			return claims.check(token, target)
		},
		ValidateToken: func(token string) error {
			var claims golangClaims
			_, err := tokens.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
				if t.Header["typ"] != "at+jwt" {
					return nil, errors.New("not an access token")
				}
				kid, _ := t.Header["kid"].(string)
				if key := keys[kid]; key != nil {
					return key, nil
				}
				return nil, errors.New("unknown key")
			})
			return err
		},
		Lacks: Lacks{
			VerifyProof:   "rules by hand; no replay list, duplicate JSON members pass",
			ValidateToken: "crit ignored, duplicate JSON members pass, other audiences pass; keys were given, not fetched",
		},
	}, nil
}

// ecJWK is a public key as golang-jwt writes a header.
func ecJWK(key *ecdsa.PublicKey) map[string]string {
	point, err := key.Bytes()
	if err != nil {
		panic(err) // a key that was just generated
	}
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]string{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}
}

// proofKey reads the header's jwk, and compares its thumbprint.
func proofKey(header any, thumbprint string) (*ecdsa.PublicKey, error) {
	jwk, _ := header.(map[string]any)
	x, _ := jwk["x"].(string)
	y, _ := jwk["y"].(string)
	if jwk["kty"] != "EC" || jwk["crv"] != "P-256" || jwk["d"] != nil {
		return nil, errProof
	}
	if hash([]byte(`{"crv":"P-256","kty":"EC","x":"`+x+`","y":"`+y+`"}`)) != thumbprint {
		return nil, errProof
	}
	point := []byte{4}
	for _, coordinate := range []string{x, y} {
		data, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil || len(data) != 32 {
			return nil, errProof
		}
		point = append(point, data...)
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}
