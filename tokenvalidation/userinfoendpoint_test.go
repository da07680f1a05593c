package tokenvalidation_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Each answer of the UserInfo endpoint, and what it means.
func TestUserInfoAnswers(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) helseidtest.Fault {
		return helseidtest.Fault{Endpoint: helseidtest.EndpointUserInfo, Status: status, Body: body, Times: -1}
	}
	for name, test := range map[string]struct {
		fault helseidtest.Fault
		want  error
	}{
		"genuine":            {},
		"not authenticated":  {answer(401, ``), tokenvalidation.ErrUserInfoRefused},
		"not allowed":        {answer(403, ``), tokenvalidation.ErrUserInfoRefused},
		"another refusal":    {answer(400, `{"sub":"THE USER"}`), tokenvalidation.ErrUnavailable},
		"created":            {answer(201, `{"sub":"THE USER"}`), tokenvalidation.ErrUnavailable},
		"in trouble":         {answer(503, ``), tokenvalidation.ErrUnavailable},
		"another person":     {answer(200, `{"sub":"another"}`), tokenvalidation.ErrUnavailable},
		"nobody":             {answer(200, `{}`), tokenvalidation.ErrUnavailable},
		"a page":             {answer(200, `<html>`), tokenvalidation.ErrUnavailable},
		"a page that is one": {withType(answer(200, `{"sub":"THE USER"}`), "text/html"), tokenvalidation.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.UserInfoProof))
			validator := newValidator(t, server, nil)
			token := server.Token(mint.Clinician(), mint.Scopes("openid"))
			claims, err := validator.Validate(t.Context(), token)
			require.NoError(t, err)
			if test.want != nil {
				test.fault.Body = strings.ReplaceAll(test.fault.Body, "THE USER", claims.User.Subject)
				server.Inject(test.fault)
			}
			info, err := validator.UserInfo(t.Context(), token)
			if test.want == nil {
				require.NoError(t, err)
				require.Equal(t, claims.User.Subject, info.User.Subject)
				return
			}
			require.ErrorIs(t, err, test.want)
			require.Nil(t, info)
			require.NotContains(t, err.Error(), token)
		})
	}
}

func withType(fault helseidtest.Fault, contentType string) helseidtest.Fault {
	fault.Header = http.Header{"Content-Type": {contentType}}
	return fault
}

// What is not a user's valid token is not sent.
func TestUserInfoSendsNoOtherToken(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	validator := newValidator(t, server, nil)
	_, err := validator.UserInfo(t.Context(), server.Token(mint.Expired()))
	requireReason(t, err, tokenvalidation.ReasonExpired)
	_, err = validator.UserInfo(t.Context(), server.Token(mint.Scopes("openid")))
	requireReason(t, err, tokenvalidation.ReasonSubject)
	require.Empty(t, server.Requests(helseidtest.EndpointUserInfo))
}

// A silent endpoint is waited for ten seconds.
func TestUserInfoWaitsForTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		validator := newValidator(t, server, nil)
		defer validator.Close()
		server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointUserInfo, Times: -1, Delay: time.Hour})
		start := time.Now()
		_, err := validator.UserInfo(t.Context(), server.Token(mint.Clinician(), mint.Scopes("openid")))
		require.ErrorIs(t, err, tokenvalidation.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 10*time.Second, time.Since(start))
	})
}
