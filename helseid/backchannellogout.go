package helseid

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/internal/verification"
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
// than POST, and 503 if that could not be found out, or if the session store does not
// answer or holds sessions that this process cannot read. In the latter cases it goes
// on with the logout, whether HelseID asks again or not.
func (s *Sessions) BackChannelLogout() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLogoutMethod(w, r, http.MethodPost) {
			return
		}
		if r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, maxLogoutForm)
		}
		if err := r.ParseForm(); err != nil || len(r.PostForm["logout_token"]) != 1 {
			answerLogout(w, errLogoutRequest)
			return
		}
		claims, err := s.idTokens.ValidateLogout(r.Context(), r.PostForm.Get("logout_token"))
		if err != nil {
			answerLogout(w, err)
			return
		}
		answerLogout(w, s.logouts.carryOut(r.Context(), s.logouts.of(claims)...))
	})
}

// isLogoutMethod answers a request with another method, and keeps every answer out of
// caches.
func isLogoutMethod(w http.ResponseWriter, r *http.Request, method string) bool {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == method {
		return true
	}
	w.Header().Set("Allow", method)
	w.WriteHeader(http.StatusMethodNotAllowed)
	return false
}

// FrontChannelLogout returns a handler that ends sessions when HelseID loads its
// URL in the user's browser (OpenID Connect Front-Channel Logout 1.0). It has no
// effect unless you mount it and register its URL as the client's front-channel
// logout URI, with the session required: only a request that names HelseID's
// session (sid) ends anything. Cookies are not looked at, so it works where
// browsers keep them from frames. Its answers are those of BackChannelLogout, to GET.
func (s *Sessions) FrontChannelLogout() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLogoutMethod(w, r, http.MethodGet) {
			return
		}
		query := r.URL.Query()
		if len(query["iss"]) != 1 || query.Get("iss") != s.rows.issuer || len(query["sid"]) != 1 || query.Get("sid") == "" {
			answerLogout(w, errLogoutRequest)
			return
		}
		answerLogout(w, s.logouts.carryOut(r.Context(), indexedLogout{Index: s.indexes.sidKey(query.Get("sid")), Cause: EndedByFrontChannel}))
	})
}

var errLogoutRequest = redact.Words("the request is not one of a logout")

// indexedLogout is a logout that is to be carried out: of the sessions that an index
// leads to.
type indexedLogout struct {
	Index   string `json:"index"`
	Subject string `json:"subject,omitempty"` // whose they must be, if a logout token names somebody

	// Before is when the logout token was made, in Unix seconds: sessions that have
	// begun since are not meant. Zero: there is none, and all are.
	Before int64 `json:"before,omitempty"`

	Cause EndCause `json:"cause,omitempty"` // for those who are told
}

// logouts carries out what HelseID says of users who have logged out, and what the
// application says of all of a user's sessions.
type logouts struct {
	rows     *sessionRows
	indexes  *sessionIndexes
	ender    *sessionEnder
	outbox   *outbox
	revoker  *revoker
	pending  *pendingEnds
	work     *lifecycle.Lifecycle
	idTokens *idtoken.Validator
}

// of are the logouts that a token asks for.
func (l *logouts) of(claims *idtoken.LogoutClaims) (logouts []indexedLogout) {
	for _, indexKey := range l.indexes.keysOfLogout(claims) {
		logouts = append(logouts, indexedLogout{Index: indexKey, Subject: claims.Subject, Before: claims.IssuedAt.Unix(), Cause: EndedByBackChannel})
	}
	return logouts
}

// carryOut carries logouts out. With an error, of which HelseID is to hear, this
// process goes on trying, as HelseID may not say it again, and leaves to others what
// it cannot read.
func (l *logouts) carryOut(ctx context.Context, logouts ...indexedLogout) error {
	var errs []error
	for _, logout := range logouts {
		err := l.end(ctx, logout)
		if err != nil {
			l.carryOutLater(logout)
		}
		if errors.Is(err, ErrUnreadableRow) {
			storing, stop := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
			_ = l.outbox.post(storing, outboxEntry{
				Logout: &logout, Next: time.Now().Add(firstOutboxWait).UnixMilli(), Until: time.Now().Add(maxTrying).Unix(),
			})
			stop()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// carryOutLater goes on with a logout in the background, for a day. Anybody can ask
// for one of the front channel: how many there are of those is bounded.
func (l *logouts) carryOutLater(logout indexedLogout) {
	stranger := logout.Before == 0
	if l.work.Begin() != nil {
		return
	}
	if !l.pending.begin(logout, stranger) {
		l.work.Done()
		return
	}
	go func() {
		defer l.work.Done()
		defer l.pending.done(logout, stranger)
		keepTrying(l.work, func(ctx context.Context) bool { return l.end(ctx, logout) == nil })
	}()
}

// end ends the sessions that an index leads to. Without an error all have
// ended that are meant: a row that cannot be read is one.
func (l *logouts) end(ctx context.Context, logout indexedLogout) error {
	storing, stop := context.WithTimeout(because(ctx, logout.Cause), settleTimeout)
	defer stop()
	rows := indexRows(logout.Index)
	first, firstErr := l.endRow(storing, logout, rows[0], true)
	second, secondErr := l.endRow(storing, logout, rows[1], errors.Is(firstErr, ErrUnreadableRow))
	// All have ended before the first of HelseID's answers is waited for.
	l.revoker.revokeEndedQuietly(ctx, append(first, second...)...)
	return errors.Join(firstErr, secondErr)
}

// endRow ends the sessions of one row and returns their refresh tokens. The logout is
// noted in it for logins that are under way, also if it is not there if always is set.
func (l *logouts) endRow(ctx context.Context, logout indexedLogout, rowKey string, always bool) (refreshTokens []string, err error) {
	note := logout.Before != 0 // a request that anybody can make is not noted
	var keys []string
	if !note || !always {
		row, index, err := l.indexes.load(ctx, rowKey)
		if err != nil || row.Version == 0 {
			return nil, err
		}
		keys = index.Sessions
	}
	if note {
		if keys, err = l.indexes.noteLogout(ctx, rowKey, time.Unix(logout.Before, 0)); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	var ended []string
	var errs []error
	for _, key := range keys {
		if meant, err := l.meant(ctx, key, logout); !meant {
			errs = append(errs, err)
			continue
		}
		refreshToken, err := l.ender.end(ctx, key)
		refreshTokens = append(refreshTokens, refreshToken)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ended = append(ended, key)
	}
	errs = append(errs, l.indexes.remove(ctx, rowKey, ended...))
	return refreshTokens, errors.Join(errs...)
}

// meant reports whether a logout is about a session. If the store cannot tell,
// HelseID is to ask again.
func (l *logouts) meant(ctx context.Context, key string, logout indexedLogout) (bool, error) {
	if logout.Before == 0 {
		return true, nil
	}
	row, err := l.rows.load(ctx, key)
	record := row.record
	switch {
	case errors.Is(err, ErrStore):
		return false, err
	case err != nil:
		return true, nil //nolint:nilerr // it has ended, but perhaps not here
	case record.Created > logout.Before+int64(verification.DefaultLeeway/time.Second):
		return false, nil
	}
	identity, err := l.idTokens.Restore(record.IDToken)
	return err != nil || logout.Subject == "" || identity.User.Subject == logout.Subject, nil
}

func answerLogout(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
		return
	case errors.Is(err, errLogoutRequest), errors.Is(err, ErrIDToken):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request", "error_description": err.Error()})
		return
	}
	w.Header().Set("Retry-After", "5")
	w.WriteHeader(http.StatusServiceUnavailable)
}
