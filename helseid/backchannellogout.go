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

// BackChannelLogout returns a handler that ends sessions when HelseID reports that
// their user has logged out (OpenID Connect Back-Channel Logout 1.0). It has no
// effect unless you mount it and register its URL as the client's back-channel logout
// URI. It must be reachable without a login.
//
// It answers 200 when the sessions have ended, even if there were none, 400 to
// anything but a logout token from HelseID for this client, and 405 to another method
// than POST. It answers 503 if the token could not be checked, if the session store
// does not answer, or if the store holds sessions that this process cannot read. In
// the last two cases it continues with the logout in the background, whether HelseID
// asks again or not.
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

// FrontChannelLogout returns a handler that ends sessions when HelseID loads its URL
// in the user's browser (OpenID Connect Front-Channel Logout 1.0). It has no effect
// unless you mount it and register its URL as the client's front-channel logout URI,
// with the session required: only a request that names HelseID's session (sid) ends
// anything. It ignores cookies, so it works even if browsers withhold them in frames.
// It answers GET like [Sessions.BackChannelLogout] answers POST.
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

// indexedLogout is a logout to be carried out for the sessions that an index lists.
type indexedLogout struct {
	Index   string `json:"index"`
	Subject string `json:"subject,omitempty"` // the user of the sessions, if a logout token names one

	// Before is when the logout token was made, in Unix seconds: sessions that
	// started later are not concerned. Zero means that there is no token, and all
	// sessions are concerned.
	Before int64 `json:"before,omitempty"`

	Cause EndCause `json:"cause,omitempty"` // for Sessions.OnEnd
}

// logouts carries out the logouts that HelseID reports, and those of all of a user's
// sessions that the application asks for.
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

// of returns the logouts that a logout token asks for.
func (l *logouts) of(claims *idtoken.LogoutClaims) (logouts []indexedLogout) {
	for _, indexKey := range l.indexes.keysOfLogout(claims) {
		logouts = append(logouts, indexedLogout{Index: indexKey, Subject: claims.Subject, Before: claims.IssuedAt.Unix(), Cause: EndedByBackChannel})
	}
	return logouts
}

// carryOut carries logouts out. If there is an error, which HelseID must learn about,
// this process also keeps trying in the background, because HelseID may not report
// the logout again. It leaves rows that it cannot read to other processes.
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

// carryOutLater continues with a logout in the background, for a day. Anyone can ask
// for a front-channel logout, so the number of those is bounded.
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

// end ends the sessions that an index lists. Without an error all the sessions
// concerned have ended; a row that cannot be read is an error.
func (l *logouts) end(ctx context.Context, logout indexedLogout) error {
	storing, stop := context.WithTimeout(because(ctx, logout.Cause), settleTimeout)
	defer stop()
	rows := indexRows(logout.Index)
	first, firstErr := l.endRow(storing, logout, rows[0], true)
	second, secondErr := l.endRow(storing, logout, rows[1], errors.Is(firstErr, ErrUnreadableRow))
	// All sessions have ended before this waits for HelseID.
	l.revoker.revokeEndedQuietly(ctx, append(first, second...)...)
	return errors.Join(firstErr, secondErr)
}

// endRow ends the sessions of one row and returns their refresh tokens. It records
// the logout in the row, so that unfinished logins fail; if always is set, also in a
// row that does not exist yet.
func (l *logouts) endRow(ctx context.Context, logout indexedLogout, rowKey string, always bool) (refreshTokens []string, err error) {
	note := logout.Before != 0 // a front-channel request, which anyone can make, is not recorded
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

// meant reports whether a logout concerns a session. If the store cannot tell, the
// error makes HelseID ask again.
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
		return true, nil //nolint:nilerr // it has ended in the store, but perhaps not in this process
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
