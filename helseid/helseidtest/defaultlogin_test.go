package helseidtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

type loginVisit struct {
	testing.TB
	server *helseidtest.Server
	http   *http.Client
	page   string // URL of the login page
}

func openLogin(t *testing.T, request helseid.LoginRequest) *loginVisit {
	t.Helper()
	server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce), helseidtest.LoginPage(helseidtest.DefaultLoginPage))
	config := server.NewClient(helseidtest.RedirectURI("https://ehr.example.no/callback"))
	client, err := helseid.New(config)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	login, err := client.StartLogin(t.Context(), request)
	require.NoError(t, err)
	v := &loginVisit{TB: t, server: server, http: server.HTTPClient()}
	v.http.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := v.http.Get(login.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	v.page = response.Header.Get("Location")
	return v
}

func (v *loginVisit) do(method string, form url.Values) (*http.Response, string) {
	v.Helper()
	request, err := http.NewRequestWithContext(v.Context(), method, v.page, strings.NewReader(form.Encode()))
	require.NoError(v, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := v.http.Do(request)
	require.NoError(v, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(v, err)
	return response, string(body)
}

func TestDefaultLoginPage(t *testing.T) {
	t.Parallel()
	v := openLogin(t, helseid.LoginRequest{SecurityLevel: 4, Scopes: []string{helseid.ScopeHPRNumber}})
	response, body := v.do("GET", nil)
	require.Equal(t, http.StatusOK, response.StatusCode)
	for _, text := range []string{"KVART GREVLING", "STILLE BLÅ ELG", "Ikke helsepersonell", "sikkerhetsnivå <strong>4</strong>", helseid.ScopeHPRNumber, `lang="nb"`} {
		require.Contains(t, body, text)
	}
	require.NotContains(t, body, "<script")
	_, style, _ := strings.Cut(body, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	require.Contains(t, response.Header.Get("Content-Security-Policy"), "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	response, _ = v.do("DELETE", nil)
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
}

func TestDefaultLoginPageEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		form   url.Values
		answer string // parameter of the callback, or the text of a page
		status int
	}{
		"a user":          {url.Values{"user": {helseidtest.ClinicianAtLevel3}, "level": {"4"}, "provider": {"idporten-oidc"}}, "code", 302},
		"nothing chosen":  {url.Values{}, "code", 302},
		"cancelled":       {url.Values{"action": {"cancel"}}, "error", 302},
		"an unknown user": {url.Values{"user": {"1"}}, "Velg en av brukerne", 400},
		"a wrong level":   {url.Values{"level": {"5"}}, "Velg en av brukerne", 400},
		"no number":       {url.Values{"level": {"x"}}, "Velg en av brukerne", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := openLogin(t, helseid.LoginRequest{})
			response, body := v.do("POST", test.form)
			require.Equal(t, test.status, response.StatusCode)
			if test.status != http.StatusFound {
				require.Contains(t, body, test.answer)
				return
			}
			target, err := response.Location()
			require.NoError(t, err)
			require.Equal(t, "ehr.example.no", target.Host)
			require.True(t, target.Query().Has(test.answer), target)
		})
	}
}
