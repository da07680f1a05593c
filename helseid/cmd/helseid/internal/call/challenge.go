package call

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/internal/wwwauth"
)

// advice says what to do about the error of a challenge (RFC 6750 section 3.1, RFC 9449
// section 7.1, RFC 9470).
var advice = map[string]string{
	"invalid_token": "the API does not accept the token: its audience is another API, it comes from another environment, or it has expired; " +
		"\"helseid token\" shows what is in it",
	"invalid_dpop_proof": "the API does not accept the proof: this machine's clock is off, or the API is known to itself under another URL than this one",
	"use_dpop_nonce":     "the API demands a nonce, and does not accept the one that it has just given",
	"insufficient_scope": "the token lacks a right: ask for the scope with -scope, and see that it is granted to the client; some APIs want a user or " +
		"an organisation (-parent, -child)",
	"insufficient_user_authentication": "the API wants a user who has logged in with a certain level or recently: this command calls as a system",
	"invalid_request":                  "the API cannot make sense of the request's credentials",
}

// explain says in words what a refusal means. It leaves the body to be read.
func explain(response *http.Response) []string {
	lines := []string{"the answer is " + response.Status}
	reason := reasonOf(response)
	challenges := wwwauth.Parse(response.Header.Values("WWW-Authenticate"))
	for _, challenge := range challenges {
		demand := []string{"the API demands " + schemeName(challenge.Scheme)}
		for _, name := range []string{"error", "error_description", "scope", "acr_values", "max_age"} {
			if value := challenge.Parameters[name]; value != "" {
				demand = append(demand, fmt.Sprintf("%s=%q", name, redact.Text(value)))
			}
		}
		lines = append(lines, strings.Join(demand, ", "))
		code := challenge.Parameters["error"]
		if text := cmp.Or(adviceByReason[code][reason], advice[code]); text != "" {
			lines = append(lines, text)
		}
	}
	dpop := func(challenge wwwauth.Challenge) bool { return challenge.Scheme == "dpop" }
	switch {
	case len(challenges) > 0 && !slices.ContainsFunc(challenges, dpop):
		lines = append(lines, "the API does not ask for DPoP: it may accept bearer tokens only")
	case len(challenges) == 0 && response.StatusCode == http.StatusUnauthorized:
		lines = append(lines, "the API does not say why (no WWW-Authenticate): something in front of it may have answered")
	case response.StatusCode/100 == 3:
		lines = append(lines, "the answer is a redirect without an address that can be followed")
	}
	return lines
}

func schemeName(scheme string) string {
	names := map[string]string{"dpop": "DPoP", "bearer": "Bearer", "basic": "Basic"}
	return cmp.Or(names[scheme], redact.Text(strings.ToLower(scheme)))
}
