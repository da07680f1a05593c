package helseid_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/identity"
)

// What UserInfo knows beyond the tokens, asked with a proof or, as HelseID's page
// shows it, without.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	for name, bearer := range map[string]bool{"DPoP": false, "Bearer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := worldOptions{config: func(c *helseid.Config) { c.BearerUserInfo = bearer }}
			if bearer {
				options.server = []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.Relaxed(rule.UserInfoProof)}
			}
			w := newLoginWorld(t, options)
			session := w.logIn(t)
			info, err := session.UserInfo(t.Context())
			require.NoError(t, err)
			require.Equal(t, session.User().Subject, info.User.Subject)
			require.Equal(t, session.User().PersonalIdentityNumber.Reveal(), info.User.PersonalIdentityNumber.Reveal())
			require.Equal(t, "LE", info.HPRDetails.Approvals[0].Profession)
			require.Equal(t, identity.HPRNumber(mint.DefaultHPRNumber), info.HPRDetails.HPRNumber)
			require.Equal(t, []identity.HPRCode{{Value: "1", Description: "Full rekvisisjonsrett"}}, info.HPRDetails.Approvals[0].RequisitionRights)
			require.False(t, info.IssuedAt.IsZero())
			require.Empty(t, info.Malformed)
			sent := w.server.Requests(helseidtest.EndpointUserInfo)
			last := sent[len(sent)-1]
			require.Equal(t, bearer, last.Proof == "")
			require.Regexp(t, "^"+name+" ", last.Authorization)
			require.Empty(t, w.refreshes(), "the login's token will do")
		})
	}
}

// Answers of UserInfo that are not about this user, or not understood.
func TestUserInfoAnswers(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string, header ...string) helseidtest.Fault {
		fault := helseidtest.Fault{Endpoint: helseidtest.EndpointUserInfo, Status: status, Body: body, Times: -1, Header: http.Header{}}
		for i := 0; i+1 < len(header); i += 2 {
			fault.Header.Set(header[i], header[i+1])
		}
		return fault
	}
	for name, test := range map[string]struct {
		fault helseidtest.Fault
		err   error
		text  string
	}{
		"another person":     {answer(200, `{"sub":"another"}`), helseid.ErrInvalidResponse, "another person"},
		"nobody":             {answer(200, `{"name":"x"}`), helseid.ErrInvalidResponse, ""},
		"person of no kind":  {answer(200, `{"sub":7}`), helseid.ErrInvalidResponse, ""},
		"two persons":        {answer(200, `{"sub":"a","sub":"b"}`), helseid.ErrInvalidResponse, ""},
		"folded person":      {answer(200, `{"sub":"a","Sub":"b"}`), helseid.ErrInvalidResponse, ""},
		"a page":             {answer(200, "<html>", "Content-Type", "text/html"), helseid.ErrInvalidResponse, ""},
		"a JWT":              {answer(200, "eyJ.eyJ.x", "Content-Type", "application/jwt"), helseid.ErrInvalidResponse, ""},
		"unavailable":        {answer(503, ""), helseid.ErrUnavailable, ""},
		"refused":            {answer(403, "", "WWW-Authenticate", `DPoP error="insufficient_scope", error_description="openid"`), nil, "insufficient_scope"},
		"a redirect":         {answer(302, "", "Location", "https://evil.example/"), helseid.ErrInvalidResponse, "redirects"},
		"cut":                {helseidtest.Fault{Endpoint: helseidtest.EndpointUserInfo, Cut: true, Times: -1}, helseid.ErrUnavailable, ""},
		"half":               {helseidtest.Fault{Endpoint: helseidtest.EndpointUserInfo, HalfBody: true, Times: -1}, helseid.ErrUnavailable, ""},
		"more than a MiB":    {answer(200, `{"sub":"`+string(make([]byte, 2<<20))+`"}`), helseid.ErrInvalidResponse, ""},
		"refused and silent": {answer(401, ""), helseid.ErrInvalidResponse, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{})
			session := w.logIn(t)
			w.server.Inject(test.fault)
			info, err := session.UserInfo(t.Context())
			require.Error(t, err)
			requireNoSecret(t, err)
			if test.err != nil {
				require.ErrorIs(t, err, test.err)
			}
			require.ErrorContains(t, err, test.text)
			require.Nil(t, info)
			require.NotErrorIs(t, err, helseid.ErrLoginRequired)
		})
	}
}

func TestUserInfoOfASessionThatEnded(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	session := w.logIn(t)
	_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
	require.NoError(t, err)
	_, err = session.UserInfo(t.Context())
	requireError(t, err, helseid.ErrLoginRequired)
	require.Empty(t, w.server.Requests(helseidtest.EndpointUserInfo))
}
