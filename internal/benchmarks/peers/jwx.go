package peers

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func newJWX(world *World) (*Peer, error) {
	target := world.Target.String()
	private, err := jwk.Import(world.Caller.Private)
	if err != nil {
		return nil, err
	}
	public, err := private.PublicKey()
	if err != nil {
		return nil, err
	}
	proofHeader, assertionHeader := jws.NewHeaders(), jws.NewHeaders()
	client, err := jwk.Import(world.ClientKey)
	if err != nil {
		return nil, err
	}
	issuerKey, err := jwk.Import(&world.Issuer.Private.PublicKey)
	if err != nil {
		return nil, err
	}
	keys := jwk.NewSet()
	err = errors.Join(
		proofHeader.Set(jws.TypeKey, "dpop+jwt"), proofHeader.Set(jws.JWKKey, public),
		assertionHeader.Set(jws.TypeKey, "client-authentication+jwt"), assertionHeader.Set(jws.KeyIDKey, KeyID),
		issuerKey.Set(jwk.KeyIDKey, world.Issuer.KeyID()), issuerKey.Set(jwk.AlgorithmKey, jwa.RS256()),
		keys.AddKey(issuerKey),
	)
	if err != nil {
		return nil, err
	}
	sign := func(claims map[string]any, key jwk.Key, header jws.Headers) (string, error) {
		payload, err := json.Marshal(claims)
		if err != nil {
			return "", err
		}
		signed, err := jws.Sign(payload, jws.WithKey(jwa.ES256(), key, jws.WithProtectedHeaders(header)))
		return string(signed), err
	}
	return &Peer{
		Name: "jwx",
		MakeProof: func(token string) (string, error) {
			return sign(map[string]any{
				"jti": newID(), "htm": "GET", "htu": target, "iat": time.Now().Unix(), "ath": hash([]byte(token)),
			}, private, proofHeader)
		},
		MakeAssertion: func() (string, error) {
			now := time.Now().Unix()
			return sign(map[string]any{
				"iss": ClientID, "sub": ClientID, "aud": world.Issuer.URL, "jti": newID(), "iat": now, "nbf": now, "exp": now + 10,
			}, client, assertionHeader)
		},
		VerifyProof: func(proof, token, thumbprint string) error {
			message, err := jws.Parse([]byte(proof), jws.WithCompact())
			if err != nil {
				return err
			}
			header := message.Signatures()[0].ProtectedHeaders()
			typ, _ := header.Type()
			algorithm, _ := header.Algorithm()
			key, ok := header.JWK()
			if typ != "dpop+jwt" || algorithm != jwa.ES256() || !ok {
				return errProof
			}
			if private, err := jwk.IsPrivateKey(key); private || err != nil {
				return errProof
			}
			found, err := key.Thumbprint(crypto.SHA256)
			if err != nil {
				return err
			}
			if base64.RawURLEncoding.EncodeToString(found) != thumbprint {
				return errProof
			}
			payload, err := jws.Verify([]byte(proof), jws.WithKey(jwa.ES256(), key), jws.WithCompact())
			if err != nil {
				return err
			}
			var claims proofClaims
			if err := json.Unmarshal(payload, &claims); err != nil {
				return err
			}
			return claims.check(token, target)
		},
		ValidateToken: func(token string) error {
			parsed, err := jwt.Parse([]byte(token), jwt.WithKeySet(keys), jwt.WithIssuer(world.Issuer.URL), jwt.WithAudience(audience),
				jwt.WithRequiredClaim(jwt.ExpirationKey), jwt.WithAcceptableSkew(leeway))
			if err != nil {
				return err
			}
			var own ownClaims
			err = errors.Join(
				parsed.Get("client_id", &own.ClientID),
				parsed.Get("helseid://claims/hpr/hpr_number", &own.HPRNumber),
				parsed.Get("helseid://claims/identity/pid", &own.PID),
				parsed.Get("helseid://claims/identity/security_level", &own.SecurityLevel),
				parsed.Get("helseid://claims/client/claims/orgnr_parent", &own.Parent),
			)
			return err
		},
		Lacks: Lacks{
			VerifyProof:   "rules by hand; no replay list, duplicate JSON members pass",
			ValidateToken: "typ not looked at, crit ignored, duplicate JSON members pass, other audiences pass; keys were given, not fetched",
		},
	}, nil
}
