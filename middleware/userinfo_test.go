package middleware_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

const registerScope = "helseid://scopes/hpr/hpr_number"

// userInfoWorld is a world whose HelseID accepts bound tokens at UserInfo without a
// proof, as in HelseID's documentation.
func userInfoWorld(t *testing.T) *world {
	return newWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.Relaxed(rule.UserInfoProof)}})
}

// A handler asks what HelseID knows about its caller beyond the token.
func TestUserInfoOfACaller(t *testing.T) {
	t.Parallel()
	w := userInfoWorld(t)
	response := w.serve(w.genuine(mint.Clinician(), mint.Scopes(testScope, "openid", registerScope)))
	require.Equal(t, http.StatusOK, response.StatusCode)
	info, err := w.auth.UserInfo(w.caller())
	require.NoError(t, err)
	require.Equal(t, middleware.Claims(w.caller()).User.Subject, info.User.Subject)
	require.Equal(t, "LE", info.HPRDetails.Approvals[0].Profession)
	sent := w.server.Requests(helseidtest.EndpointUserInfo)
	require.Len(t, sent, 1)
	require.Equal(t, "Bearer "+middleware.Token(w.caller()).Reveal(), sent[0].Authorization)
	require.Empty(t, sent[0].Proof, "an API does not have the client's key")
}

func TestUserInfoRefusals(t *testing.T) {
	t.Parallel()
	fault := func(status int, body string) helseidtest.Fault {
		return helseidtest.Fault{Endpoint: helseidtest.EndpointUserInfo, Status: status, Body: body, Times: -1}
	}
	user := []mint.TokenOption{mint.Clinician(), mint.Scopes(testScope, "openid")}
	for name, test := range map[string]struct {
		token []mint.TokenOption
		fault helseidtest.Fault
		want  error
		asked int
	}{
		"a system's token":   {[]mint.TokenOption{mint.Scopes(testScope, "openid")}, helseidtest.Fault{}, tokenvalidation.ErrInvalidToken, 0},
		"without openid":     {[]mint.TokenOption{mint.Clinician(), mint.Scopes(testScope)}, helseidtest.Fault{}, tokenvalidation.ErrUserInfoRefused, 1},
		"an expired session": {user, fault(401, ``), tokenvalidation.ErrUserInfoRefused, 1},
		"another person":     {user, fault(200, `{"sub":"another"}`), tokenvalidation.ErrUnavailable, 1},
		"nobody":             {user, fault(200, `{}`), tokenvalidation.ErrUnavailable, 1},
		"no JSON":            {user, fault(200, `<html>`), tokenvalidation.ErrUnavailable, 1},
		"in trouble":         {user, fault(503, ``), tokenvalidation.ErrUnavailable, 1},
		"a redirect elsewhere": {user, helseidtest.Fault{
			Endpoint: helseidtest.EndpointUserInfo, Status: 307, Times: -1, Header: http.Header{"Location": {"https://evil.example/"}},
		}, tokenvalidation.ErrUnavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := userInfoWorld(t)
			require.Equal(t, http.StatusOK, w.serve(w.genuine(test.token...)).StatusCode)
			if test.fault.Status != 0 {
				w.server.Inject(test.fault)
			}
			info, err := w.auth.UserInfo(w.caller())
			require.ErrorIs(t, err, test.want)
			require.Nil(t, info)
			require.NotContains(t, err.Error(), middleware.Token(w.caller()).Reveal())
			require.Len(t, w.server.Requests(helseidtest.EndpointUserInfo), test.asked)
			require.Empty(t, w.net.strayed())
		})
	}
}

// A request that was not accepted causes no request to UserInfo.
func TestUserInfoNeedsAGuard(t *testing.T) {
	t.Parallel()
	w := userInfoWorld(t)
	_, err := w.auth.UserInfo(context.Background())
	require.ErrorContains(t, err, "has accepted")
	require.Empty(t, w.server.Requests(helseidtest.EndpointUserInfo))
}
