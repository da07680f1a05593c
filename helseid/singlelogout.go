package helseid

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// maxLogoutForm bounds the body of a back-channel logout, in bytes.
const maxLogoutForm = 32 << 10

// BackChannelLogout returns a handler that ends sessions when HelseID says that
// their user has logged out (OpenID Connect Back-Channel Logout 1.0). It has no
// effect unless you mount it and register its URL as the client's back-channel
// logout URI. It must be reachable without a login.
//
// It answers 200 when the sessions have ended, also if there were none, 400 to
// what is not a logout token of HelseID's for this client, 405 to another method
// than POST, and 503 if that could not be found out.
func (c *Client) BackChannelLogout() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, maxLogoutForm)
		}
		if err := r.ParseForm(); err != nil || len(r.PostForm["logout_token"]) != 1 {
			answerLogout(w, errLogoutRequest)
			return
		}
		claims, err := c.idTokens.ValidateLogout(r.Context(), r.PostForm.Get("logout_token"))
		if err != nil {
			answerLogout(w, err)
			return
		}
		var errs []error
		for _, indexKey := range c.logoutKeys(claims) {
			errs = append(errs, c.endIndexed(r.Context(), indexKey, claims))
		}
		answerLogout(w, errors.Join(errs...))
	})
}

// FrontChannelLogout returns a handler that ends sessions when HelseID loads its
// URL in the user's browser (OpenID Connect Front-Channel Logout 1.0). It has no
// effect unless you mount it and register its URL as the client's front-channel
// logout URI, with the session required: only a request that names HelseID's
// session (sid) ends anything. Cookies are not looked at, so it works where
// browsers keep them from frames. Its answers are those of BackChannelLogout, to GET.
func (c *Client) FrontChannelLogout() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		query := r.URL.Query()
		if len(query["iss"]) != 1 || query.Get("iss") != c.config.Issuer || len(query["sid"]) != 1 || query.Get("sid") == "" {
			answerLogout(w, errLogoutRequest)
			return
		}
		answerLogout(w, c.endIndexed(r.Context(), c.sidKey(query.Get("sid")), nil))
	})
}

var errLogoutRequest = redact.Words("the request is not one of a logout")

// endIndexed ends the sessions that an index row leads to. With a logout token
// they must be of its subject, if it names one, and must have begun before it.
func (c *Client) endIndexed(ctx context.Context, indexKey string, claims *tokenvalidation.LogoutClaims) error {
	storing, stop := context.WithTimeout(ctx, settleTimeout)
	defer stop()
	keys, err := c.indexed(storing, indexKey, claims)
	if err != nil || len(keys) == 0 {
		return err
	}
	var ended, refreshTokens []string
	var errs []error
	for _, key := range keys {
		if meant, err := c.meant(storing, key, claims); !meant {
			errs = append(errs, err)
			continue
		}
		refreshToken, err := c.endSession(storing, key)
		refreshTokens = append(refreshTokens, refreshToken)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ended = append(ended, key)
	}
	errs = append(errs, c.unindexSession(storing, indexKey, ended...))
	// All have ended before the first of HelseID's answers is waited for.
	c.revokeQuietly(ctx, refreshTokens...)
	return errors.Join(errs...)
}

// indexed are the sessions that a row leads to. A logout token is noted in it, for
// logins that are under way; a request that anybody can make is not.
func (c *Client) indexed(ctx context.Context, indexKey string, claims *tokenvalidation.LogoutClaims) ([]string, error) {
	if claims != nil {
		return c.logOutIndex(ctx, indexKey, claims.IssuedAt)
	}
	_, index, err := c.loadIndex(ctx, indexKey)
	return index.Sessions, err
}

// meant reports whether a logout token, or a request without one, is about a
// session. If the store cannot tell, HelseID is to ask again.
func (c *Client) meant(ctx context.Context, key string, claims *tokenvalidation.LogoutClaims) (bool, error) {
	if claims == nil {
		return true, nil
	}
	_, record, err := c.loadSession(ctx, key)
	switch {
	case errors.Is(err, ErrSessionStore):
		return false, err
	case err != nil:
		return true, nil //nolint:nilerr // it has ended, but perhaps not here
	case record.Created > claims.IssuedAt.Unix()+int64(tokenvalidation.DefaultLeeway/time.Second):
		return false, nil
	}
	identity, err := c.idTokens.Restore(record.IDToken)
	return err != nil || claims.Subject == "" || identity.User.Subject == claims.Subject, nil
}

func answerLogout(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
		return
	case errors.Is(err, errLogoutRequest), errors.Is(err, tokenvalidation.ErrInvalidToken):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request", "error_description": err.Error()})
		return
	}
	w.Header().Set("Retry-After", "5")
	w.WriteHeader(http.StatusServiceUnavailable)
}
