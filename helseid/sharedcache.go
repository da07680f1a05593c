package helseid

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/clock"
)

// TokenCache shares tokens between processes, in addition to the memory of each.
// Implement it on a cache that all of them can reach. The values contain tokens, and
// tokens contain national identity numbers: encrypt them.
//
// A cache that fails or is slow costs a token request and nothing else.
type TokenCache interface {
	// Load returns the value under a key, or nil if there is none or it has expired.
	Load(ctx context.Context, key string) ([]byte, error)

	// Save stores a value under a key and replaces an earlier one. It can be removed
	// from its expiry on.
	Save(ctx context.Context, key string, value []byte, expiry time.Time) error

	// Delete removes the value under a key, if there is one.
	Delete(ctx context.Context, key string) error
}

// sharedCacheTimeout bounds each use of a TokenCache.
const sharedCacheTimeout = 500 * time.Millisecond

// storedToken is a token as it is written to a TokenCache. Processes with different
// versions of this library may not understand each other's format; they then fetch
// their own tokens.
type storedToken struct {
	Version  int      `json:"version"`
	Access   string   `json:"access"`
	Type     string   `json:"type"`
	Scopes   []string `json:"scopes,omitempty"`
	Rejected []string `json:"rejected,omitempty"`
	Fetched  int64    `json:"fetched"`  // Unix seconds
	Lifetime int64    `json:"lifetime"` // seconds
}

const storedTokenVersion = 1

// sharedCache is the TokenCache of the configuration, if there is one.
type sharedCache struct {
	cache  TokenCache
	report *reporter
}

// get looks for a fresh token for the request in the shared cache.
func (c *sharedCache) get(ctx context.Context, request *preparedRequest) *Token {
	if c.cache == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sharedCacheTimeout)
	defer cancel()
	value, err := c.cache.Load(ctx, request.key.String())
	if err != nil {
		c.report.logCache(ctx, "read", err)
		return nil
	}
	var stored storedToken
	if len(value) == 0 || json.Unmarshal(value, &stored) != nil ||
		stored.Version != storedTokenVersion || stored.Type != request.tokenType || !validToken68(stored.Access) || stored.Lifetime <= 0 {
		return nil
	}
	now, fetched := time.Now(), time.Unix(stored.Fetched, 0)
	if fetched.After(now) {
		return nil // a clock is or was wrong, and the token may be older than it seems
	}
	token := &Token{Access: identity.NewSecret(stored.Access), Type: stored.Type, Scopes: stored.Scopes, RejectedScopes: stored.Rejected}
	token.setLifetime(clock.Stored(fetched, now).Own, time.Duration(min(stored.Lifetime, int64(maxTokenLifetime/time.Second)))*time.Second)
	token.checked = token.RequireScopes(request.scopes...) == nil
	if token.state(now) != tokenFresh {
		return nil
	}
	return token
}

// put writes a token to the shared cache.
func (c *sharedCache) put(ctx context.Context, key cacheKey, token *Token) {
	if c.cache == nil || token.Expiry.IsZero() {
		return
	}
	value, err := json.Marshal(storedToken{
		Version:  storedTokenVersion,
		Access:   token.Access.Reveal(),
		Type:     token.Type,
		Scopes:   token.Scopes,
		Rejected: token.RejectedScopes,
		Fetched:  token.fetched.Unix(),
		Lifetime: int64(token.Expiry.Sub(token.fetched) / time.Second),
	})
	if err == nil {
		saving, cancel := context.WithTimeout(ctx, sharedCacheTimeout)
		defer cancel()
		now := time.Now()
		err = c.cache.Save(saving, key.String(), value, now.Add(token.deadAge-token.age(now)))
	}
	if err != nil {
		c.report.logCache(ctx, "write", err)
	}
}

// remove removes a token from the shared cache.
func (c *sharedCache) remove(ctx context.Context, key cacheKey) {
	if c.cache == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sharedCacheTimeout)
	defer cancel()
	if err := c.cache.Delete(ctx, key.String()); err != nil {
		c.report.logCache(ctx, "remove", err)
	}
}

// String returns the key in hexadecimal.
func (k cacheKey) String() string { return hex.EncodeToString(k[:]) }
