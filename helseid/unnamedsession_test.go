package helseid_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
)

// A logout token with a sid ends, by its subject, those sessions of the user that
// have no sid, and only those.
func TestBackChannelLogoutOfSessionsWithoutSID(t *testing.T) {
	t.Parallel()
	claim := mint.Claim
	for name, test := range map[string]struct {
		options []mint.TokenOption
		named   bool // the session with the token's sid lives on
		unnamed bool // that without a sid lives on
		sibling bool // the user's with another sid lives on
	}{
		"sid and sub":                {nil, false, false, true},
		"a sid that is not known":    {[]mint.TokenOption{claim("sid", "another")}, true, false, true},
		"sid alone":                  {[]mint.TokenOption{claim("sub", nil)}, false, true, true},
		"sub alone":                  {[]mint.TokenOption{claim("sid", nil)}, false, false, false},
		"another's sub":              {[]mint.TokenOption{claim("sub", "b3RoZXI=")}, true, true, true},
		"another's sub, unknown sid": {[]mint.TokenOption{claim("sub", "b3RoZXI="), claim("sid", "another")}, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newHookedWorld(t)
			named, sibling := w.logIn(t), w.logIn(t)
			w.server.AlterIDTokens(claim("sid", nil))
			unnamed := w.logIn(t)
			stranger := w.logIn(t, helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
			w.server.AlterIDTokens()
			require.Empty(t, unnamed.User().SessionID)
			require.Equal(t, named.User().Subject, unnamed.User().Subject)
			tellLogout(t, newClient(t, w.config), w.logoutToken(named, test.options...))
			require.Equal(t, test.named, w.lives(t, named), "of the sid")
			require.Equal(t, test.unnamed, w.lives(t, unnamed), "without a sid")
			require.Equal(t, test.sibling, w.lives(t, sibling), "of another sid")
			require.True(t, w.lives(t, stranger))
		})
	}
}

// A login that is under way ends with a logout token that has a sid, if its own ID
// token has none, and goes on if it has another.
func TestLogoutOfASIDDuringALogin(t *testing.T) {
	t.Parallel()
	for _, hasSID := range []bool{false, true} {
		w, _ := newHookedWorld(t)
		first := w.logIn(t)
		if !hasSID {
			w.server.AlterIDTokens(mint.Claim("sid", nil))
		}
		state, callback := w.callback(t, loginRequest())
		_, err := w.client.FinishLogin(t.Context(), state, callback, func(ctx context.Context, user identity.User) error {
			return w.logoutCheck(t, w.logoutToken(first))(ctx, user) // made now: not in a second before the login's
		})
		if hasSID {
			require.NoError(t, err)
			continue
		}
		requireError(t, err, helseid.ErrLoginRequired)
	}
}

// logoutCheck is a LoginCheck during which HelseID's word comes to another process.
func (w *world) logoutCheck(t testing.TB, token string) helseid.LoginCheck {
	return func(context.Context, identity.User) error {
		response := postLogout(t, newClient(t, w.config).Sessions().BackChannelLogout(), url.Values{"logout_token": {token}})
		require.Equal(t, http.StatusOK, response.Code)
		return nil
	}
}
