package helseid_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// Each of HelseID's own numbers has its advice. The numbers and their meanings
// are those of HelseID's page on errors with organisation numbers; the delegation
// in Altinn is described on Norsk helsenett's page "La din databehandler innhente
// helseopplysninger på dine vegne".
func TestAdviceForEachNumber(t *testing.T) {
	t.Parallel()
	advices := make(map[string]string)
	for number, words := range map[string][]string{
		"HID-1001": {"parent", "delegated", "Altinn", "main unit", "hour", "MinID", "La din databehandler"},
		"HID-1002": {"child", "whitelist"},
		"HID-1003": {"child", "whitelist", "remove"},
		"HID-1004": {"nine digits"},
		"HID-1005": {"parent", "multi-tenant"},
		"HID-1006": {"child"},
		"HID-1007": {"details", "specification"},
		"HID-1008": {"shared secret"},
		"HID-1009": {"refreshed"},
		"HID-1010": {"registration"},
	} {
		for _, description := range []string{number, number + ": no", "no (" + number + ")", "[" + number + "] no", "x " + number + "."} {
			t.Run(description, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				body, err := json.Marshal(map[string]string{"error": "invalid_request", "error_description": description})
				require.NoError(t, err)
				w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: string(body)})
				_, err = w.client.Token(t.Context(), helseid.TokenRequest{})
				refusal := refusalOf(t, err, "invalid_request")
				require.Equal(t, number, refusal.HID)
				require.Equal(t, http.StatusBadRequest, refusal.StatusCode)
				require.False(t, refusal.Temporary)
				for _, word := range words {
					require.Contains(t, refusal.Advice(), word)
				}
				require.Contains(t, err.Error(), refusal.Advice())
				require.Contains(t, err.Error(), number)
				advices[number] = refusal.Advice()
			})
		}
	}
	require.Len(t, advices, 10)
	distinct := make(map[string]bool)
	for _, advice := range advices {
		distinct[advice] = true
	}
	require.Len(t, distinct, 10, "two numbers have one advice")
}

func TestNumbersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, description := range []string{"", "HID-10010", "HID-100", "XHID-1001", "HID1001", "hid-1001", "HID-DOUBLE-STRUCTURE: twice"} {
		w := newWorld(t, worldOptions{})
		body, err := json.Marshal(map[string]string{"error": "invalid_scope", "error_description": description})
		require.NoError(t, err)
		w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: string(body)})
		_, err = w.client.Token(t.Context(), helseid.TokenRequest{})
		refusal := refusalOf(t, err, "invalid_scope")
		require.Empty(t, refusal.HID, description)
		require.Contains(t, refusal.Advice(), "spelling", "without a number the code's advice is given")
	}
	unknown := &helseid.TokenError{Code: "invalid_scope", HID: "HID-1999"}
	require.Contains(t, unknown.Advice(), "spelling", "as with a number that is not known")
}

// Each code that a token endpoint can answer (RFC 6749 section 5.2, RFC 8707
// section 2, RFC 9449 section 5 and 8, and HelseID's page on errors) has advice.
func TestAdviceForEachCode(t *testing.T) {
	t.Parallel()
	for code, words := range map[string][]string{
		"invalid_client":         {"client id", "public key", "clock", "20 seconds"},
		"invalid_scope":          {"spelling", "granted", "identity"},
		"invalid_dpop_proof":     {"clock"},
		"use_dpop_nonce":         {"try again"},
		"unauthorized_client":    {"grant type"},
		"unsupported_grant_type": {"grant type"},
		"invalid_target":         {"resource"},
		"invalid_grant":          {"expired", "log in"},
		"access_denied":          {"attest"},
		"invalid_request":        {"details"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			refusal := &helseid.TokenError{Code: code, StatusCode: http.StatusBadRequest}
			require.NotEmpty(t, refusal.Advice())
			for _, word := range words {
				require.Contains(t, refusal.Advice(), word)
			}
			require.Contains(t, refusal.Error(), refusal.Advice())
			require.Contains(t, refusal.Error(), code)
			require.Contains(t, refusal.Error(), "400")
		})
	}
	unknown := &helseid.TokenError{Code: "i_am_a_teapot", StatusCode: http.StatusTeapot}
	require.Empty(t, unknown.Advice())
	require.Equal(t, "HelseID refused the request: i_am_a_teapot (status 418)", unknown.Error())
}

// A wrong clock is named, by how much and to which side, if it explains the
// error and is more than five seconds off.
func TestClockDifference(t *testing.T) {
	t.Parallel()
	const second = time.Second
	tests := []struct {
		skew  time.Duration // of HelseID
		code  string
		fault bool // by injection; else the server's own refusal
		want  time.Duration
	}{
		{30 * second, "invalid_client", false, -30 * second},
		{-30 * second, "invalid_client", false, 30 * second},
		{30 * second, "invalid_dpop_proof", true, -30 * second},
		{-30 * second, "invalid_dpop_proof", true, 30 * second},
		{6 * second, "invalid_client", true, -6 * second},
		{-6 * second, "invalid_client", true, 6 * second},
		{4 * second, "invalid_client", true, 0},
		{-4 * second, "invalid_client", true, 0},
		{5 * second, "invalid_client", true, 0},
		{-5 * second, "invalid_client", true, 0},
		{4 * second, "invalid_dpop_proof", true, 0},
		{0, "invalid_client", true, 0},
		{30 * second, "invalid_scope", true, 0},
		{30 * second, "invalid_request", true, 0},
		{-30 * second, "unauthorized_client", true, 0},
		{48 * time.Hour, "invalid_client", true, -48 * time.Hour},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.skew, " ", test.code, " ", test.fault), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{})
				w.server.SetClockSkew(test.skew)
				if test.fault {
					w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"` + test.code + `","error_description":"HID-1004"}`})
				}
				_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
				refusal := refusalOf(t, err, test.code)
				require.Equal(t, test.want, refusal.ClockDifference)
				switch {
				case test.want == 0:
					require.NotContains(t, err.Error(), "ahead")
					require.NotContains(t, err.Error(), "behind")
				case test.want > 0:
					require.Contains(t, refusal.Advice(), "clock is "+test.want.String()+" ahead of HelseID's")
					require.Contains(t, err.Error(), refusal.Advice())
				default:
					require.Contains(t, refusal.Advice(), "clock is "+(-test.want).String()+" behind HelseID's")
				}
			})
		})
	}
	t.Run("four seconds do no harm", func(t *testing.T) {
		t.Parallel()
		for _, skew := range []time.Duration{4 * second, -4 * second} {
			w := newWorld(t, worldOptions{})
			w.server.SetClockSkew(skew)
			w.token(t)
		}
	})
	t.Run("a Date that is none tells nothing", func(t *testing.T) {
		t.Parallel()
		for _, date := range []string{"", "yesterday", "2026-01-01T00:00:00Z", "0"} {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"invalid_client"}`, Header: http.Header{"Date": {date}}})
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			require.Zero(t, refusalOf(t, err, "invalid_client").ClockDifference, date)
		}
	})
}

// Whatever a server writes into its error, no secret and no identity number
// comes out.
func TestTokenErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	token := w.boundToken()
	w.token(t) // so that an assertion and a proof are known
	sent := w.server.Requests(helseidtest.EndpointToken)[0].Form.Get("client_assertion")
	require.Equal(t, "a part of a client assertion", secrets.findPart(sent), "the helper finds what it should")
	for name, members := range map[string]map[string]string{
		"assertion":        {"error": "invalid_client", "error_description": "bad assertion " + sent + " of yours"},
		"token":            {"error": "invalid_grant", "error_description": token},
		"identity number":  {"error": "invalid_request", "error_description": "the person 06828399789 is unknown"},
		"in the code":      {"error": "06828399789"},
		"assertion a code": {"error": sent},
		"in other members": {"error": "invalid_client", "error_uri": "https://x.example.no/" + token, "debug": sent},
		"behind noise":     {"error": "invalid_client", "error_description": strings.Repeat("x ", 140) + token},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			body, err := json.Marshal(members)
			require.NoError(t, err)
			w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: string(body)})
			_, err = w.client.Token(t.Context(), helseid.TokenRequest{})
			require.Error(t, err)
			requireNoSecret(t, err)
			require.LessOrEqual(t, len(err.Error()), 1000)
		})
	}
}

// A scope that was not granted is told by name, and why.
func TestScopeError(t *testing.T) {
	t.Parallel()
	token := &helseid.Token{Scopes: []string{"a", "b"}, RejectedScopes: []string{"c"}}
	require.NoError(t, token.RequireScopes("a", "b"))
	require.NoError(t, token.RequireScopes())
	err := token.RequireScopes("a", "c", "d")
	require.ErrorIs(t, err, helseid.ErrScopeNotGranted)
	var failure *helseid.ScopeError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, []string{"c"}, failure.Rejected)
	require.Equal(t, []string{"d"}, failure.Missing)
	require.ErrorContains(t, err, "terms")
	require.ErrorContains(t, token.RequireScopes("d"), "scope not granted: d: ask the API's owner")
}
