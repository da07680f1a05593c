package selvbetjening

import (
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/clientkey"
	"github.com/helseid-go/sdk/internal/httpx"
)

func (a *API) listSecrets(_ *http.Request, client Client) (any, *problem) {
	now := a.Registry.Now()
	secrets := []map[string]any{}
	for _, key := range client.Keys {
		if !key.Expired(now) {
			secrets = append(secrets, map[string]any{
				"expiration": timeText(key.Until), "kid": key.ID, "jwkThumbprint": key.Public.Thumbprint(),
				"origin": key.Origin, "publicJwk": string(key.JWK),
			})
		}
	}
	return secrets, nil
}

// addSecret registers another key. Earlier keys work until they expire, unless
// OldKeysDie.
func (a *API) addSecret(r *http.Request, client Client) (any, *problem) {
	if !httpx.IsJSON(r.Header) {
		return nil, errMediaType
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, errTooLarge
	}
	key, err := clientkey.ParseEither(body)
	if err != nil {
		return nil, badRequest("the body is not a public JWK: " + err.Error())
	}
	now := a.Registry.Now()
	key.Origin, key.From, key.Until = clientkey.FromAPI, now.Add(a.KeyDelay), now.Add(a.KeyLifetime)
	taken := false
	known := a.Registry.ChangeClient(client.ID, func(client *Client) {
		taken = slices.ContainsFunc(client.Keys, func(other clientkey.Key) bool {
			return !other.Expired(now) && (other.ID == key.ID || other.Public.Thumbprint() == key.Public.Thumbprint())
		})
		if !taken && a.OldKeysDie {
			client.Keys = nil
		}
		if !taken {
			client.Keys = append(slices.Clip(client.Keys), key)
		}
	})
	switch {
	case !known:
		return nil, errNotRegistered
	case taken:
		return nil, badRequest("the client has this key, or another one with its kid, already")
	}
	return map[string]any{"expiration": timeText(key.Until)}, nil
}

func timeText(at time.Time) string { return at.UTC().Format(time.RFC3339) }
