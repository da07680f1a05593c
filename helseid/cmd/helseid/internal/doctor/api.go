package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/internal/wwwauth"
)

// maxAnswer bounds what is read of an API's answer, in bytes.
const maxAnswer = 16 << 10

// checkAPI calls the API with the token and a proof.
func checkAPI(ctx context.Context, s *state) result {
	switch {
	case s.target == nil:
		return skip("-url names no API")
	case s.token == nil:
		return skip("%s", s.whyNoScoped)
	case s.organization != s.asked().Organization:
		return skip("HelseID does not take the organisation")
	}
	request, err := http.NewRequestWithContext(ctx, s.options.method, s.target.String(), http.NoBody)
	if err != nil {
		return bad("the request cannot be made", "Look at -method and -url.") // unreachable: they have been checked
	}
	request.Header.Set("Accept", "application/json, */*;q=0.5")
	response, err := s.client.HTTPClient(s.request).Do(request)
	if err != nil {
		return s.noAnswer(err)
	}
	defer response.Body.Close()
	at := time.Now()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return s.judge(readAnswer(response, body, at))
}

// noAnswer explains a call without an answer.
func (s *state) noAnswer(err error) result {
	switch {
	case errors.Is(err, helseid.ErrInsecureURL):
		return bad("-url is plain http: the token is sent over https only, and over plain http to this machine itself", "Write https in -url.")
	case errors.Is(err, helseid.ErrOriginRefused):
		return bad("the API redirects to another origin, and the token is not sent there", "Name the address that the API has today in -url. A redirect to a login page means that the API wants browsers at this address.")
	case errors.Is(err, helseid.ErrNoToken):
		return s.failedRequest(err, "HelseID's token endpoint")
	}
	if strings.Contains(err.Error(), "stopped after 10 redirects") { // net/http has no type for it
		return bad("the API redirects again and again", "Name the address that the API has today in -url, and ask its owner which redirect leads back to itself.")
	}
	found := explain(err, s.target, s.proxyOf(s.target), reachedBy(err)).finding
	return bad("the API is not reached: "+found.problem, found.remedies...)
}

// answer is an API's answer as far as it says why it refuses a call.
type answer struct {
	status      int
	header      http.Header
	bearer, any bool   // its challenges are of Bearer alone, there is a challenge
	others      string // the schemes of its challenges, if they are for other credentials
	code        string
	description string
	scope       string
	acrValues   string
	maxAge      string
	reason      string // of a problem document (RFC 9457), as this library's middleware writes it
	form        bool   // it is a web page with a form
	ahead       time.Duration
}

func readAnswer(response *http.Response, body []byte, at time.Time) answer {
	a := answer{status: response.StatusCode, header: response.Header}
	a.ahead, _ = clockAhead(response.Header, at)
	schemes := map[string]bool{}
	for _, challenge := range wwwauth.Parse(response.Header.Values("WWW-Authenticate")) {
		schemes[strings.ToLower(challenge.Scheme)] = true
		for name, field := range map[string]*string{
			"error": &a.code, "error_description": &a.description, "scope": &a.scope, "acr_values": &a.acrValues, "max_age": &a.maxAge,
		} {
			if value := challenge.Parameters[name]; value != "" && *field == "" {
				*field = redact.Text(value)
			}
		}
	}
	a.any = len(schemes) > 0
	a.bearer = schemes["bearer"] && !schemes["dpop"]
	if a.any && !schemes["bearer"] && !schemes["dpop"] {
		a.others = names(slices.Sorted(maps.Keys(schemes)))
	}
	if document, err := jose.ParseObject(body); err == nil && httpx.IsJSON(response.Header) {
		for names, field := range map[string]*string{"reason": &a.reason, "error": &a.code, "detail": &a.description, "error_description": &a.description} {
			if value, ok := document.Get(names).Text(); ok && *field == "" {
				*field = redact.Text(value)
			}
		}
	}
	a.form = httpx.MediaType(response.Header) == "text/html" && strings.Contains(strings.ToLower(string(body)), "<form")
	return a
}

// said is what the API says of its refusal, for a problem.
func (a answer) said() string {
	parts := []string{statusText(a.status)}
	for _, part := range []string{a.code, a.reason, a.description} {
		if part != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// mentions reports that the API's own words are about one of these.
func (a answer) mentions(words ...string) bool {
	text := strings.ToLower(a.reason + " " + a.description)
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

func (s *state) judge(a answer) result {
	at := address(s.target)
	switch {
	case a.status >= 200 && a.status < 300 && a.form:
		return bad("the API answers "+statusText(a.status)+" with a web page that has a form, such as a login page",
			"Open "+at+" in a browser on this machine: if a proxy or the network asks for a login there, have "+s.target.Host+" let pass without.", "If it is a page of the API's, name the address of the API itself in -url.")
	case a.status >= 200 && a.status < 300:
		return good("%s: the token and the proof are accepted%s", statusText(a.status), s.nonceNote())
	case a.status == http.StatusUnauthorized || a.code == "use_dpop_nonce" || a.code == "invalid_dpop_proof":
		return result{findings: []finding{s.unauthorized(a)}}
	case a.status == http.StatusForbidden:
		return result{findings: []finding{s.forbidden(a)}}
	case a.status == http.StatusNotFound:
		return bad("the API does not know "+at+": "+a.said(), "Compare the path in -url with the API's documentation. An API may answer so to what it does not let this client see.")
	case a.status == http.StatusMethodNotAllowed, a.status == http.StatusNotImplemented:
		return bad("the API does not take "+s.options.method+" at "+at+": "+a.said(), "Name another method with -method"+allowed(a.header)+". Upper case counts: GET, not get.")
	case a.status == http.StatusTooManyRequests:
		return bad("the API asks for a pause: "+a.said(), "Try again in some minutes.")
	case a.status >= http.StatusInternalServerError:
		return bad("the API is in trouble, or a gateway before it: "+a.said(), "Try again in some minutes, and ask its owner. HelseID and this client are not to blame.")
	case a.status >= 300 && a.status < 400:
		return bad("the API redirects: "+a.said(), "Name the address that the API has today in -url.")
	}
	return bad("the API refuses the request, not the token: "+a.said(), "Compare -url and -method with the API's documentation: this call has no body and no headers of the API's own.")
}

func (s *state) nonceNote() string {
	if s.apiNonces.Load() > 0 {
		return ", with a nonce that it has demanded"
	}
	return ""
}

func allowed(header http.Header) string {
	if methods := header.Get("Allow"); methods != "" {
		return " (it takes " + redact.Text(methods) + ")"
	}
	return ""
}

// unauthorized explains a refusal of the token or the proof.
func (s *state) unauthorized(a answer) finding {
	switch {
	case a.code == "use_dpop_nonce" && a.header.Get("DPoP-Nonce") == "":
		return finding{"the API demands a DPoP nonce and gives none: " + a.said(), []string{"Ask its owner: an answer with use_dpop_nonce needs the header DPoP-Nonce, which a gateway before the API may remove."}}
	case a.code == "use_dpop_nonce":
		return finding{"the API demands a DPoP nonce, and refuses the one that it has just given: " + a.said(), []string{
			"Ask its owner: all processes of the API must take each other's nonces, and a gateway must pass the header DPoP-Nonce on unchanged."}}
	case a.code == "insufficient_user_authentication":
		return finding{"the API wants a user who has logged in more strongly, or later: " + a.said() + login(a), []string{
			"Call it with the token of a user's session. At the login, ask for what the API names" + login(a) + ", and send the user there again if a level is too low (LoginRequest of the program).",
			"A system's token, which this call has, cannot meet that: if the program calls as a system, ask the API's owner whether systems may."}}
	case a.mentions("audience", "aud "):
		return finding{"the API is not the one that the token is for: " + a.said(), s.audienceRemedies()}
	case a.bearer && a.code != "invalid_dpop_proof":
		return finding{"the API does not take a token with DPoP: " + a.said() + ", and its challenge is for Bearer alone", append([]string{
			"If the API takes bearer tokens only, ask its owner for its address for DPoP. Until it has one, TokenRequest.UnboundBearerToken gets such a token, if HelseID gives the client any; helseid does not call with one.",
		}, s.tokenRemedies(a)...)}
	case a.code == "invalid_dpop_proof" || a.mentions("proof_", "htu", "dpop"):
		return finding{"the API refuses the DPoP proof: " + a.said(), s.proofRemedies(a)}
	case a.others != "":
		return finding{"the API wants other credentials: " + a.said() + ", its challenge is for " + a.others, []string{
			"Ask the API's owner, or look into its documentation: it does not take HelseID's tokens at this address, or a gateway before it asks for a login of its own."}}
	case a.any:
		return finding{"the API refuses the token: " + a.said(), s.tokenRemedies(a)}
	}
	return finding{"the API wants other credentials: " + a.said() + ", without a challenge that names them", append([]string{
		"Ask the API's owner, or look into its documentation: it may want an API key or a client certificate, and a gateway before it may remove the header Authorization.",
	}, s.tokenRemedies(a)...)}
}

func login(a answer) string {
	var parts []string
	if a.acrValues != "" {
		parts = append(parts, "acr_values "+a.acrValues)
	}
	if a.maxAge != "" {
		parts = append(parts, "max_age "+a.maxAge)
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (s *state) audienceRemedies() []string {
	if several := audiences(s.token); len(several) > 1 {
		return []string{
			"The token is for several APIs, " + strings.Join(several, " ") + ", and APIs refuse a token that is for others too. If this one is among them, choose it with -resource, or ask for its scopes alone with -scope: their names begin with the API's, before the slash.",
			"If it is not, ask for a scope of this API with -scope.",
			"If it is the right API, its owner must set its audience to that name, letter by letter.",
		}
	}
	return []string{
		"The token is for " + strings.Join(audiences(s.token), " ") + ". Ask for a scope of this API with -scope: its name begins with the API's, before the slash.",
		"If the token is for several APIs, choose this one with -resource: APIs refuse a token that is for others too.",
		"If it is the right API, its owner must set its audience to that name, letter by letter.",
	}
}

// tokenRemedies are for an API that does not say what is wrong with the token.
func (s *state) tokenRemedies(a answer) []string {
	var remedies []string
	if host := s.target.Hostname(); s.isPublic() && isTest(host) != (s.issuerText() == helseid.Test.Issuer()) && isNHN(host) {
		remedies = append(remedies, "The API at "+host+" seems to be of another environment than the issuer "+s.issuerText()+": name the API of the same one in -url.")
	}
	remedies = append(remedies, s.audienceRemedies()...)
	return append(remedies, "The API must trust the issuer "+s.issuerText()+": one that trusts another environment refuses the token.", s.clocks(a))
}

// proofRemedies are the usual causes of a proof that is refused.
func (s *state) proofRemedies(a answer) []string {
	url := "The proof is for " + address(s.target) + " (htu) and " + s.options.method + " (htm). Behind a proxy or gateway the API sees another URL: its owner must tell it its public address (with this library: PublicURL of middleware.Config)."
	replayed := "A gateway that sends a request twice, or an API that checks the proof twice, refuses it as used before: ask its owner."
	clock := s.clocks(a)
	switch {
	case a.mentions("proof_before_start"):
		return []string{"The API has just been started, and refuses proofs from before: run this again."}
	case a.mentions("htu"):
		return []string{url}
	case a.ahead.Abs() > tolerance || a.mentions("iat", "clock", "expired"):
		return []string{clock, url, replayed}
	}
	return []string{url, clock, replayed}
}

// clocks says whether a clock can be to blame.
func (s *state) clocks(a answer) string {
	switch {
	case s.ahead != 0:
		return "This machine's clock is off: mend that first."
	case a.ahead.Abs() > tolerance:
		return fmt.Sprintf("This machine's clock is as HelseID's, and %v %s the API's: its owner must synchronise the API's clock.", seconds(a.ahead), side(a.ahead))
	}
	return "Clocks are not to blame: this machine's is as HelseID's, and the API's is not seen to differ."
}

// forbidden explains a refusal of what the token may do.
func (s *state) forbidden(a answer) finding {
	problem := "the API takes the token, and does not let its holder do this: " + a.said()
	switch {
	case a.scope != "":
		return finding{problem + ", it wants the scope " + a.scope, []string{"Ask for it with -scope \"" + a.scope + "\". If the client does not have it, the API's owner must grant it in HelseID Selvbetjening."}}
	case a.reason == "user" || a.reason == "hpr_number" || a.mentions("security_level", "hpr", "a user"):
		return finding{problem, []string{"The API wants the token of a logged-in user, and this call is a system's: call it with a user's session, which helseid does not make."}}
	case a.mentions("organization", "organisation"):
		return finding{problem, []string{"Name the organisation that the API wants with -parent and -child. The token is for: " + s.describeOrganization() + "."}}
	case !a.any && httpx.MediaType(a.header) == "text/html":
		return finding{"a web page refuses the call: " + a.said(), []string{
			"It may be a firewall or a gateway before the API: ask the owner of " + s.target.Host + " which addresses are let in.", "Compare -url with the API's documentation."}}
	}
	return finding{problem, []string{
		"Compare the token's scopes, " + names(s.token.Scopes) + ", with those that the API's documentation asks for.",
		"The API may want a certain organisation (-parent, -child; the token is for: " + s.describeOrganization() + ") or a logged-in user.",
		"Ask its owner whether the client " + plain(s.config.ClientID) + " must be let in by name.",
	}}
}
