package helseidtest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// Clients with the same jar are one browser, with the application's cookies and with the
// single sign-on.
func TestOneBrowser(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	a.server.Mount("app.example.no", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("app"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "app", Value: "1", Path: "/", Secure: true})
			w.WriteHeader(http.StatusCreated)
		}
	}))
	visit := func(client *http.Client) int {
		response, err := client.Get("https://app.example.no/")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	subject := func(client *http.Client) any {
		r := a.push(t)
		noFurther := *client
		noFurther.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		response, err := noFurther.Get(a.authorizeURL(a.send(t, r).RequestURI))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		callback, err := response.Location()
		require.NoError(t, err)
		return claimsOf(t, a.send(t, a.redeem(t, callback.Query().Get("code"))).IDToken)["helseid://claims/identity/pid"]
	}

	first := a.server.Browser()
	require.Equal(t, http.StatusCreated, visit(first))
	require.Equal(t, mint.DefaultPersonalIdentityNumber, subject(first))

	byOption := a.server.Browser(helseidtest.InBrowser(first.Jar), helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
	byField := a.server.Browser(helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
	byField.Jar = first.Jar
	for name, same := range map[string]*http.Client{"InBrowser": byOption, "Jar": byField} {
		require.Equal(t, http.StatusOK, visit(same), name)
		require.Equal(t, mint.DefaultPersonalIdentityNumber, subject(same), "%s: who has logged in stays logged in", name)
	}

	other := a.server.Browser(helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
	require.Equal(t, http.StatusCreated, visit(other))
	require.Equal(t, helseidtest.ClinicianAtLevel3, subject(other))
}
