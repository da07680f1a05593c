package helseid

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

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
// what is not a logout token of HelseID's for this client, and 503 if that could
// not be found out.
func (c *Client) BackChannelLogout() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxLogoutForm)
		if err := r.ParseForm(); err != nil || len(r.PostForm["logout_token"]) != 1 {
			answerLogout(w, errLogoutRequest)
			return
		}
		claims, err := c.idTokens.ValidateLogout(r.Context(), r.PostForm.Get("logout_token"))
		if err != nil {
			answerLogout(w, err)
			return
		}
		indexKey := c.sidKey(claims.SessionID)
		if claims.SessionID == "" {
			indexKey = c.subKey(claims.Subject)
		}
		answerLogout(w, c.endIndexed(r.Context(), indexKey, claims.Subject))
	})
}

// FrontChannelLogout returns a handler that ends sessions when HelseID loads its
// URL in the user's browser (OpenID Connect Front-Channel Logout 1.0). It has no
// effect unless you mount it and register its URL as the client's front-channel
// logout URI, with the session required: only a request that names HelseID's
// session (sid) ends anything. Cookies are not looked at, so it works where
// browsers keep them from frames.
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
		answerLogout(w, c.endIndexed(r.Context(), c.sidKey(query.Get("sid")), ""))
	})
}

var errLogoutRequest = errors.New("the request is not one of a logout")

// endIndexed ends the sessions that an index row leads to, of the given user if
// one is given.
func (c *Client) endIndexed(ctx context.Context, indexKey, subject string) error {
	_, index, err := c.loadIndex(ctx, indexKey)
	if err != nil {
		return err
	}
	var errs []error
	for _, key := range index.Sessions {
		if _, record, err := c.loadSession(ctx, key); err == nil && subject != "" {
			identity, err := c.idTokens.Restore(record.IDToken)
			if err == nil && identity.User.Subject != subject {
				continue
			}
		}
		// The session has ended whether or not HelseID takes the revocation.
		if err := c.endSession(ctx, key); errors.Is(err, ErrSessionStore) {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		if err := c.store.Delete(ctx, indexKey); err != nil {
			errs = append(errs, storeError(err))
		}
	}
	return errors.Join(errs...)
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
