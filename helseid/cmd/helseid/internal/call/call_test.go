package call

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/testkit"
)

// Credentials are the client's, and what belongs to the connection is net/http's.
func TestOwnHeaders(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"Authorization: hidden", "authorization:hidden", "AUTHORIZATION : hidden", "dpop: hidden", "DPoP: hidden", "Cookie: hidden", "cookie:hidden", "Proxy-Authorization: hidden", "Host: hidden",
		"Connection: hidden", "Content-Length: 1", "Transfer-Encoding: chunked", "Upgrade: hidden", "no header", "",
	} {
		opts := options{headers: http.Header{}, lines: []string{line}}
		_, err := opts.request(t.Context(), nil, []string{"https://api.example"})
		require.Error(t, err, line)
		require.NotContains(t, err.Error(), "hidden")
	}
	opts := options{headers: http.Header{}, lines: []string{"Accept: a", "x-own: b:c", "X-Own:d"}}
	request, err := opts.request(t.Context(), nil, []string{"https://api.example"})
	require.NoError(t, err)
	require.Equal(t, http.Header{"Accept": {"a"}, "X-Own": {"b:c", "d"}}, request.Header)
}

// What is shown of headers lets nobody in, and names nobody.
func TestShownHeaders(t *testing.T) {
	t.Parallel()
	token := "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln"
	header := http.Header{
		"Authorization": {"DPoP " + token}, "Dpop": {token}, "Cookie": {"a=" + token}, "Set-Cookie": {"a=" + token}, "X-Api-Key": {token},
		"X-Csrf-Token": {token}, "Proxy-Authenticate": {token}, "Client-Secret": {token}, "X-Session": {token}, "X-Password": {token},
		"Location": {"https://user:" + token + "@a.example/b?token=" + token + "#" + token}, "X-Patient": {mint.DefaultPersonalIdentityNumber},
		"Content-Type": {"text/plain"}, "Www-Authenticate": {`DPoP error="invalid_token"`}, "Dpop-Nonce": {"nonce"},
	}
	shown := shownHeaders(header)
	require.Len(t, shown, len(header))
	for name, values := range shown {
		require.Empty(t, testkit.FindCredential(strings.Join(values, " ")), name)
	}
	require.Equal(t, []string{"DPoP [redacted]"}, shown["Authorization"])
	require.Equal(t, []string{"https://a.example/b"}, shown["Location"])
	for _, name := range []string{"Content-Type", "Www-Authenticate", "Dpop-Nonce"} {
		require.Equal(t, header[name], shown[name])
	}
	require.Equal(t, "[redacted]", shownHeader("Location", "http://["))
	u, err := url.Parse("https://a.example/" + mint.DefaultPersonalIdentityNumber)
	require.NoError(t, err)
	require.Equal(t, "https://a.example/***********", shownURL(u))
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status    int
		challenge []string
		want      []string // parts
		without   string
		reason    string
	}{
		"a token":           {401, []string{`DPoP error="invalid_token", error_description="expired", algs="ES256"`}, []string{`DPoP, error="invalid_token", error_description="expired"`, "its audience is another API"}, "algs", ""},
		"a proof":           {401, []string{`DPoP error="invalid_dpop_proof"`}, []string{"this machine's clock is off"}, "bearer", ""},
		"a nonce":           {401, []string{`DPoP error="use_dpop_nonce"`}, []string{"demands a nonce"}, "", ""},
		"a right":           {403, []string{`DPoP error="insufficient_scope", scope="nhn:a/b"`}, []string{`scope="nhn:a/b"`, "-scope"}, "", ""},
		"a user":            {401, []string{`DPoP error="insufficient_user_authentication", acr_values="Level4"`}, []string{"calls as a system", `acr_values="Level4"`}, "", ""},
		"a bearer token":    {401, []string{"Bearer"}, []string{"demands Bearer", "bearer tokens only"}, "", ""},
		"both schemes":      {401, []string{"Bearer", "DPoP"}, []string{"demands Bearer", "demands DPoP"}, "bearer tokens only", ""},
		"nothing":           {401, nil, []string{"does not say why"}, "", ""},
		"a redirect":        {304, nil, []string{"Not Modified", "can be followed"}, "", ""},
		"a number in words": {401, []string{`DPoP error="invalid_token", error_description="06828399789"`}, []string{"[redacted]"}, "06828399789", ""},
		"another URL":       {401, []string{`DPoP error="invalid_dpop_proof"`}, []string{"known to itself under another"}, "clock", "proof_htu"},
		"another time":      {401, []string{`DPoP error="invalid_dpop_proof"`}, []string{"clock"}, "another URL", "proof_iat"},
		"another audience":  {401, []string{`DPoP error="invalid_token"`}, []string{"for this API's scopes"}, "expired", "token_audience"},
		"an unknown reason": {401, []string{`DPoP error="invalid_token"`}, []string{"or it has expired"}, "", "token_new"},
		"another's reason":  {401, []string{`DPoP error="invalid_token"`}, []string{"or it has expired"}, "another URL", "proof_htu"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := &http.Response{
				StatusCode: test.status, Status: http.StatusText(test.status), Header: http.Header{"Www-Authenticate": test.challenge},
			}
			body := `{"reason":"` + test.reason + `"}`
			if test.reason != "" {
				response.Header.Set("Content-Type", "application/problem+json")
				response.Body = io.NopCloser(strings.NewReader(body))
			}
			text := strings.Join(explain(response), "\n")
			if test.reason != "" {
				left, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				require.Equal(t, body, string(left))
			}
			for _, part := range test.want {
				require.Contains(t, text, part)
			}
			if test.without != "" {
				require.NotContains(t, text, test.without)
			}
		})
	}
}

// A body that is longer than what is looked at, or breaks off, stays as it is.
func TestReasonLeavesBody(t *testing.T) {
	t.Parallel()
	long := `{"reason":"proof_htu","x":"` + strings.Repeat("x", 2*maxProblem) + `"}`
	for name, test := range map[string]struct {
		body io.Reader
		left string
		err  error
	}{
		"long":   {strings.NewReader(long), long, nil},
		"broken": {io.MultiReader(strings.NewReader("{"), iotest.ErrReader(io.ErrUnexpectedEOF)), "{", io.ErrUnexpectedEOF},
	} {
		response := &http.Response{Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(test.body)}
		require.Empty(t, reasonOf(response), name)
		left, err := io.ReadAll(response.Body)
		require.Equal(t, test.left, string(left), name)
		require.ErrorIs(t, err, test.err, name)
	}
}
