package weblogin_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

// An API that wants a high assurance level gets a login that is asked for it and checked
// for it, and a failed one leads to another that is.
func TestStepUpOfTheAssuranceLevel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.handler = func(rw http.ResponseWriter, r *http.Request) {
		answer := &http.Response{StatusCode: 401, Header: http.Header{
			"Www-Authenticate": {`DPoP error="insufficient_user_authentication", acr_values="High"`},
		}}
		if !w.web.StepUp(rw, r, answer) {
			_, _ = io.WriteString(rw, "goes on")
		}
	}
	b := w.newBrowser()
	b.logIn("/login", asElg())
	login := b.get("/call").location(t)
	require.Contains(t, login, "assurance=high")
	pushed := func() string {
		sent := w.server.Requests(helseidtest.EndpointPAR)
		return sent[len(sent)-1].Form.Get("acr_values")
	}
	target := b.begin(login)
	require.Contains(t, pushed(), "High")
	answer := b.get(b.authenticate(target, asElg()))
	requireProblem(t, answer, http.StatusForbidden, "Innloggingen er ikke sterk nok")
	require.Contains(t, answer.body, "assurance=high")
	require.Contains(t, answer.body, "prompt=login")
	require.Equal(t, "/call", b.logIn(login, asElg(), helseidtest.AtLevel(4)))
	require.Equal(t, "goes on", b.get("/call").body)
	require.Equal(t, http.StatusOK, b.get("/me").StatusCode)
}

// Every session must have the assurance level of the configuration, including sessions
// that were made before it was configured.
func TestAssuranceLevelOfTheConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login", asElg(), helseidtest.AtLevel(4))
	w.change = func(c *weblogin.Config) { c.Login.AssuranceLevel = identity.AssuranceHigh }
	w.start()
	require.Equal(t, "nobody", b.who())
	login := b.get("/me").location(t)
	require.Equal(t, "/me", b.logIn(login, asElg(), helseidtest.AtLevel(4)))
	require.Equal(t, elg, b.get("/me").body)
}

// To an API that wants a young login one in the future is none.
func TestStepUpOfALoginInTheFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		stepped := false
		w.handler = func(rw http.ResponseWriter, r *http.Request) {
			stepped = w.web.StepUp(rw, r, &http.Response{StatusCode: 401, Header: http.Header{
				"Www-Authenticate": {`DPoP error="insufficient_user_authentication", max_age=300`},
			}})
		}
		for ahead, want := range map[time.Duration]bool{-6 * time.Minute: true, -5 * time.Minute: false, 0: false, 2 * time.Minute: true} {
			w.server.AlterIDTokens(mint.Claim("auth_time", time.Now().Add(ahead).Unix()))
			session, err := w.sessionOf()
			require.NoError(t, err)
			b := w.newBrowser()
			b.setCookie(sessionCookie, session.ID().Reveal())
			b.get("/call")
			require.Equal(t, want, stepped, ahead)
		}
	})
}
