package selvbetjening

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/jose"
)

// ClientSecret is a public key that the client is registered with. HelseID calls it a
// secret, although only its private half is one.
type ClientSecret struct {
	// Expiration is when HelseID stops accepting the key. It is zero if the API does not
	// say.
	Expiration time.Time

	// KeyID is the key's kid: that of [clientassertion.Key.ID].
	KeyID string

	// Thumbprint is the key's RFC 7638 thumbprint: that of [clientassertion.Key.Thumbprint].
	Thumbprint string

	// Origin says how the key was registered: [OriginAPI], [OriginGUI], or what HelseID
	// may add to them.
	Origin string

	// PublicJWK is the key itself as JSON, or nil if the API does not give it.
	PublicJWK json.RawMessage
}

// The values of ClientSecret.Origin.
const (
	OriginAPI = "Api" // with this API
	OriginGUI = "Gui" // by hand, in Selvbetjening's web pages
)

// ClientSecrets lists the keys that the client is registered with (GET
// /v1/client-secret). There can be several that work at the same time. The client is told
// when its own expires ([helseid.Client.SetKeyExpiry]).
//
// The error is an [*Error] if the API refuses, wraps [helseid.ErrUnavailable] if it is
// down, and [helseid.ErrInvalidResponse] if the answer is not one of its own. One that
// wraps [helseid.ErrNoToken] has the cause for which there was no token, such as a
// [*helseid.TokenError].
func (c *Client) ClientSecrets(ctx context.Context) ([]ClientSecret, error) {
	document, err := c.get(ctx, pathSecret)
	if err != nil {
		return nil, err
	}
	secrets, err := readSecrets(document)
	if err != nil {
		return nil, named(http.MethodGet, pathSecret, err)
	}
	keyID, _ := c.config.Client.KeyExpiry(ctx)
	for _, secret := range secrets {
		if !secret.Expiration.IsZero() && (secret.KeyID == keyID || secret.Thumbprint == keyID) {
			c.config.Client.SetKeyExpiry(keyID, secret.Expiration)
		}
	}
	return secrets, nil
}

func readSecrets(document jose.Value) ([]ClientSecret, error) {
	if document.Absent() {
		return nil, unusable(errors.New("it is null"))
	}
	return array(document, "it", readSecret)
}

func readSecret(value jose.Value) (ClientSecret, error) {
	const expiration, kid, thumbprint, origin, publicJWK = "expiration", "kid", "jwkThumbprint", "origin", "publicJwk"
	var secret ClientSecret
	element, err := object(value, expiration, kid, thumbprint, origin, publicJWK)
	if err != nil {
		return secret, err
	}
	if err := fields(element, map[string]*string{kid: &secret.KeyID, thumbprint: &secret.Thumbprint, origin: &secret.Origin}); err != nil {
		return secret, err
	}
	if !element.Get(expiration).Absent() {
		if secret.Expiration, err = readTime(element.Get(expiration)); err != nil {
			return secret, err
		}
	}
	secret.PublicJWK = readPublicJWK(element.Get(publicJWK))
	return secret, nil
}

// readPublicJWK takes a JWK as an object and as a text that holds one. What is no public
// key is left out: nobody depends on it, and a private key that somebody has registered
// by mistake must not be handed on.
func readPublicJWK(value jose.Value) json.RawMessage {
	raw := value.Raw()
	if text, ok := value.Text(); ok {
		raw = text
	}
	object, err := jose.ParseObject([]byte(raw))
	if err != nil {
		return nil
	}
	if _, err := jose.ParsePublicJWK(object, ""); err != nil {
		return nil
	}
	return json.RawMessage(raw)
}

// AddClientSecret registers one more key for the client (POST /v1/client-secret) and
// returns when it expires. HelseID takes up to 20 seconds to accept it. The client goes on
// using its own key, and earlier keys expire when they would have.
//
// Store the private key first. The key has not been registered if the error wraps
// [helseid.ErrNoToken] or [helseid.ErrConfig], or wraps an [*Error] and not
// [helseid.ErrUnavailable]. After any other error, such as that of a context, it may have
// been registered: the request is not sent again, and [Client.ClientSecrets] shows whether
// the key is there.
func (c *Client) AddClientSecret(ctx context.Context, key *clientassertion.Key) (expiration time.Time, err error) {
	if key == nil {
		return time.Time{}, fmt.Errorf("selvbetjening: %w: there is no key to register", helseid.ErrConfig)
	}
	body := key.PublicJWK()
	if c.config.JWKAsText {
		if body, err = json.Marshal(string(body)); err != nil {
			return time.Time{}, err
		}
	}
	received, err := c.send(ctx, http.MethodPost, pathSecret, body)
	if err == nil {
		if expiration, err = received.expiration(); err != nil {
			err = named(http.MethodPost, pathSecret, err)
		}
	}
	return expiration, err
}

func (a answer) expiration() (time.Time, error) {
	const expiration = "expiration"
	document, err := a.document()
	if err != nil {
		return time.Time{}, err
	}
	members, err := object(document, expiration)
	if err != nil {
		return time.Time{}, err
	}
	return readTime(members.Get(expiration))
}

// readTime reads a time of ISO 8601. One without a zone is taken for UTC.
func readTime(value jose.Value) (time.Time, error) {
	text, _ := value.Text()
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, unusable(errors.New("expiration is missing or not a time such as 2027-01-31T12:00:00Z"))
}
