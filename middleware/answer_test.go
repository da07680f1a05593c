package middleware_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/testkit"
)

// challenge is one challenge of WWW-Authenticate, parsed by the grammar of RFC 9110
// section 11.6.1.
type challenge struct {
	scheme     string
	parameters map[string]string
}

const tokenCharacters = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// parseChallenge reads a header that must hold exactly one challenge, in which
// every parameter is a quoted-string of printable ASCII and occurs once.
func parseChallenge(t testing.TB, header string) challenge {
	t.Helper()
	scheme, rest, _ := strings.Cut(header, " ")
	require.NotEmpty(t, scheme)
	require.Empty(t, strings.Trim(scheme, tokenCharacters), "the scheme is not a token: %q", header)
	found := challenge{scheme: scheme, parameters: make(map[string]string)}
	for rest != "" {
		name, after, ok := strings.Cut(rest, `="`)
		require.True(t, ok, "a parameter is not a quoted-string: %q", rest)
		require.NotEmpty(t, name)
		require.Empty(t, strings.Trim(name, tokenCharacters), "%q is not a token", name)
		value, after, ok := strings.Cut(after, `"`)
		require.True(t, ok, "a quoted-string does not end: %q", rest)
		for _, r := range value {
			require.True(t, r >= ' ' && r <= '~' && r != '\\', "%q is not allowed in error_description", r)
		}
		require.NotContains(t, found.parameters, name, "a parameter occurs twice")
		found.parameters[name] = value
		if after != "" {
			after, ok = strings.CutPrefix(after, ", ")
			require.True(t, ok, "no comma between parameters: %q", rest)
			require.NotEmpty(t, after)
		}
		rest = after
	}
	return found
}

// problemDocument is the body of a refusal.
type problemDocument struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Reason string `json:"reason"`
	Error  string `json:"error"`

	Scope     string `json:"scope"`
	ACRValues string `json:"acr_values"`
	MaxAge    int64  `json:"max_age"`
}

// refusal checks what every refusal has in common, and returns its parts.
func refusal(t testing.TB, request *http.Request, response *http.Response) (problemDocument, challenge) {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	var document problemDocument
	require.NoError(t, decoder.Decode(&document), string(body))
	require.Equal(t, response.StatusCode, document.Status)
	require.Equal(t, http.StatusText(response.StatusCode), document.Title)
	require.NotEmpty(t, document.Reason)
	require.NotEmpty(t, document.Detail)
	require.Equal(t, document.Reason == "misconfigured", response.StatusCode == http.StatusInternalServerError)

	var found challenge
	challenges := response.Header.Values("WWW-Authenticate")
	switch response.StatusCode {
	case http.StatusServiceUnavailable:
		require.Empty(t, challenges)
		require.NotEmpty(t, response.Header.Get("Retry-After"))
	case http.StatusInternalServerError:
		require.Empty(t, challenges)
		require.Empty(t, response.Header.Get("Retry-After"))
	default:
		require.Empty(t, response.Header.Get("Retry-After"))
		require.Len(t, challenges, 1)
		found = parseChallenge(t, challenges[0])
		require.Equal(t, document.Error, found.parameters["error"])
		if document.Error == "" {
			require.NotContains(t, found.parameters, "error_description")
		} else {
			require.Equal(t, document.Detail, found.parameters["error_description"])
		}
	}
	require.Equal(t, document.Error == "use_dpop_nonce", response.Header.Get(dpop.NonceHeaderName) != "")

	answer := string(body)
	for name, values := range response.Header {
		if name != dpop.NonceHeaderName && name != "Dpop-Nonce" {
			answer += fmt.Sprint("\n", name, values)
		}
	}
	// The API's own name is in the scopes that it requires.
	requireNoEcho(t, request, strings.ReplaceAll(answer, mint.DefaultAudience, ""))
	require.NotRegexp(t, testkit.IdentityNumber, answer)
	return document, found
}

// requireNoEcho fails if a text contains any part of the request: twelve consecutive
// characters of its two headers or of its path, or a value inside the token or the
// proof.
func requireNoEcho(t testing.TB, request *http.Request, answer string) {
	t.Helper()
	const run = 12
	inputs := append(request.Header.Values("Authorization"), request.Header.Values("Dpop")...)
	for _, input := range inputs {
		for i := 0; i+run <= len(input); i++ {
			if strings.Contains(answer, input[i:i+run]) {
				require.FailNow(t, "the answer repeats a part of the request's headers")
			}
		}
		for part := range strings.FieldsFuncSeq(input, func(r rune) bool { return r == ' ' || r == '.' || r == ',' }) {
			var value any
			if data, err := base64.RawURLEncoding.DecodeString(part); err == nil && json.Unmarshal(data, &value) == nil {
				requireNoValue(t, value, answer)
			}
		}
	}
}

// known are the values that the middleware writes itself and that tokens and proofs
// contain, too.
var known = map[string]bool{
	"dpop+jwt": true, "at+jwt": true, "GET": true, testScope: true, "RS256": true, "PS256": true, "PS384": true,
	"ES256": true, "ES384": true, "ES512": true, "RS384": true, "RS512": true, "PS512": true,
}

func requireNoValue(t testing.TB, value any, answer string) {
	t.Helper()
	switch value := value.(type) {
	case string:
		if len(value) >= 6 && !known[strings.TrimSpace(value)] && strings.Contains(answer, value) {
			require.FailNow(t, "the answer repeats a value of the token or the proof")
		}
	case []any:
		for _, element := range value {
			requireNoValue(t, element, answer)
		}
	case map[string]any:
		for _, element := range value {
			requireNoValue(t, element, answer)
		}
	}
}
