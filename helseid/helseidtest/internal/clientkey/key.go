// Package clientkey holds the keys that clients are registered with.
package clientkey

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

// Where keys come from, as Selvbetjening says.
const (
	FromAPI = "Api"
	FromGUI = "Gui"
)

// Key is one key of a client.
type Key struct {
	ID     string
	Public *jose.PublicKey
	JWK    []byte    // as it was registered
	Origin string    // FromAPI or FromGUI
	From   time.Time // when it begins to work; zero: at once
	Until  time.Time // when it expires; zero: never
}

// Expired reports that the key has expired by then.
func (k Key) Expired(now time.Time) bool { return !k.Until.IsZero() && !now.Before(k.Until) }

// Works reports that assertions can be signed with the key then.
func (k Key) Works(now time.Time) bool { return !now.Before(k.From) && !k.Expired(now) }

// Parse reads a public JWK. Its kid identifies it in assertions, or its thumbprint if
// there is no kid: null, an empty text and an empty list count as none.
func Parse(data []byte) (Key, error) {
	object, err := jose.ParseObject(data)
	if err != nil {
		return Key{}, err
	}
	public, err := jose.ParsePublicJWK(object, "")
	if err != nil {
		return Key{}, err
	}
	id, ok := object.Get("kid").Text()
	switch {
	case object.Get("kid").Empty():
		id = public.Thumbprint()
	case !ok:
		return Key{}, errors.New("the JWK member kid is not a string")
	}
	return Key{ID: id, Public: public, JWK: data}, nil
}

// ParseEither accepts both forms that Norsk helsenett's own clients send: the JWK as an
// object, or as a text that contains one.
func ParseEither(body []byte) (Key, error) {
	var text string
	if strings.HasPrefix(strings.TrimSpace(string(body)), `"`) {
		if err := json.Unmarshal(body, &text); err != nil {
			return Key{}, errors.New("the body is not JSON")
		}
		body = []byte(text)
	}
	return Parse(body)
}
