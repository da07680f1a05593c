package helseidtest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

// registeredKey is one key of a client.
type registeredKey struct {
	id     string
	public *jose.PublicKey
	jwk    []byte    // as it was registered
	origin string    // Api or Gui, as Selvbetjening says
	from   time.Time // zero: at once
	until  time.Time // zero: for ever
}

func (k registeredKey) expired(now time.Time) bool { return !k.until.IsZero() && !now.Before(k.until) }

func (k registeredKey) works(now time.Time) bool { return !now.Before(k.from) && !k.expired(now) }

// newRegisteredKey reads a public JWK. Its kid is how assertions name it, or its
// thumbprint if it has none: null, an empty text and an empty list are none.
func newRegisteredKey(data []byte) (registeredKey, error) {
	object, err := jose.ParseObject(data)
	if err != nil {
		return registeredKey{}, err
	}
	public, err := jose.ParsePublicJWK(object, "")
	if err != nil {
		return registeredKey{}, err
	}
	id, ok := object.Get("kid").Text()
	switch {
	case object.Get("kid").Empty():
		id = public.Thumbprint()
	case !ok:
		return registeredKey{}, errors.New("the JWK member kid is not a string")
	}
	return registeredKey{id: id, public: public, jwk: data}, nil
}

// keyExpiry is when a key that is registered now expires.
func (s *Server) keyExpiry() time.Time {
	if !s.options.selvbetjening {
		return time.Time{}
	}
	return s.Now().Add(s.options.keyLifetime)
}

func (s *Server) listSecrets(_ *http.Request, client *Client) (any, *problem) {
	now := s.Now()
	secrets := []map[string]any{}
	for _, key := range client.keys {
		if !key.expired(now) {
			secrets = append(secrets, map[string]any{
				"expiration": timeText(key.until), "kid": key.id, "jwkThumbprint": key.public.Thumbprint(),
				"origin": key.origin, "publicJwk": string(key.jwk),
			})
		}
	}
	return secrets, nil
}

// addSecret registers one more key. Those before it work until they expire.
func (s *Server) addSecret(r *http.Request, client *Client) (any, *problem) {
	if !isJSON(r) {
		return nil, &problem{http.StatusUnsupportedMediaType, "the body must be application/json"}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, &problem{http.StatusRequestEntityTooLarge, "the body is too large"}
	}
	key, err := readPublicJWK(body)
	if err != nil {
		return nil, badRequest("the body is not a public JWK: " + err.Error())
	}
	now := s.Now()
	key.origin, key.from, key.until = "Api", now.Add(s.options.keyDelay), s.keyExpiry()
	taken := false
	err = s.changeClient(client.ID, func(client *Client) {
		taken = slices.ContainsFunc(client.keys, func(other registeredKey) bool {
			return !other.expired(now) && (other.id == key.id || other.public.Thumbprint() == key.public.Thumbprint())
		})
		if !taken {
			client.keys = append(slices.Clip(client.keys), key)
			client.PublicJWKs = append(slices.Clip(client.PublicJWKs), key.jwk)
		}
	})
	switch {
	case err != nil:
		return nil, &problem{http.StatusForbidden, "the token's client is not registered any more"}
	case taken:
		return nil, badRequest("the client has this key, or another one with its kid, already")
	}
	return map[string]any{"expiration": timeText(key.until)}, nil
}

// readPublicJWK takes both shapes that Norsk helsenett's own clients send: the
// JWK as an object, and as a text that holds one.
func readPublicJWK(body []byte) (registeredKey, error) {
	var text string
	if strings.HasPrefix(strings.TrimSpace(string(body)), `"`) {
		if err := json.Unmarshal(body, &text); err != nil {
			return registeredKey{}, errors.New("the body is not JSON")
		}
		body = []byte(text)
	}
	return newRegisteredKey(body)
}

func timeText(at time.Time) string { return at.UTC().Format(time.RFC3339) }
