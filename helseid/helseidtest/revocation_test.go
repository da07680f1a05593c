package helseidtest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

func (a *asker) revocation(t testing.TB, token string) *attempt {
	r := a.build(t, "")
	r.path, r.proofs = "/connect/revocation", []string{}
	r.form.Del("grant_type")
	r.form.Del("scope")
	r.form.Set("token", token)
	r.form.Set("token_type_hint", "refresh_token")
	return r
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	first := a.tokens(t, a.push(t))
	second := a.send(t, a.refresh(t, first.RefreshToken))

	other := a.revocation(t, second.RefreshToken)
	other.as(a.addClient(t, loginClient()))
	require.Equal(t, "invalid_grant", a.send(t, other).Error)
	unknown := a.send(t, a.revocation(t, "unknown"))
	require.Equal(t, http.StatusOK, unknown.status)
	require.Equal(t, "invalid_request", a.send(t, a.revocation(t, "")).Error)
	require.Equal(t, "unsupported_token_type", a.send(t, a.revocation(t, second.AccessToken)).Error)
	stranger := a.revocation(t, second.RefreshToken)
	stranger.assertionKey = newKey(t)
	require.Equal(t, "invalid_client", a.send(t, stranger).Error)
	get := a.revocation(t, second.RefreshToken)
	get.method = "GET"
	require.Equal(t, "invalid_request", a.send(t, get).Error)
	third := a.send(t, a.refresh(t, second.RefreshToken))
	require.Empty(t, third.Error, "nothing of that revokes")

	require.Equal(t, http.StatusOK, a.send(t, a.revocation(t, first.RefreshToken)).status, "a used one revokes all")
	require.Contains(t, a.send(t, a.refresh(t, third.RefreshToken)).Description, "revoked")
	require.Equal(t, http.StatusOK, a.send(t, a.revocation(t, first.RefreshToken)).status, "again")
	recorded := a.server.Requests(helseidtest.EndpointRevocation)
	require.Equal(t, second.RefreshToken, recorded[0].Form.Get("token"))
	require.Contains(t, recorded[0].Assertion, `"another-client"`)

	relaxed := newLoginAsker(t, helseidtest.Relaxed(rule.SameClient))
	r := relaxed.revocation(t, relaxed.tokens(t, relaxed.push(t)).RefreshToken)
	r.as(relaxed.addClient(t, loginClient()))
	require.Equal(t, http.StatusOK, relaxed.send(t, r).status)
}
