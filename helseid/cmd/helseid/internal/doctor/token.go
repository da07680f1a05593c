package doctor

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// observe counts what APIs demand.
func (s *state) observe(_ context.Context, event helseid.Event) {
	if event.API && event.Kind == helseid.EventNonceChallenge {
		s.apiNonces.Add(1)
	}
}

// checkToken gets a token with all that the client has, so that it depends on no scope.
func checkToken(ctx context.Context, s *state) result {
	client := s.clientFor()
	switch {
	case client == nil:
		return s.noToken("the configuration cannot be used")
	case !s.metadata:
		return s.noToken("the metadata cannot be used")
	}
	s.organization = s.usableOrganization()
	token, err := client.Token(ctx, s.unscoped())
	if refused := s.organizationRefusal(err); refused != nil {
		named := !s.organization.IsZero()
		s.refused, s.organization = refused, clientassertion.Organization{}
		if named {
			token, err = client.Token(ctx, s.unscoped())
		}
		switch {
		case s.organizationRefusal(err) != nil: // it wants another one
			s.whyNoToken = "HelseID wants an organisation that it takes"
			return good("HelseID takes the client and its key")
		case err != nil && refused.HID == "":
			s.refused = nil // it was not the organisation
		}
	}
	if err != nil {
		return s.refusedToken(err)
	}
	s.base = token
	return good("a %s token for %s", token.Type, strings.Join(audiences(token), " "))
}

// noToken notes why there is no token, for the steps that need one.
func (s *state) noToken(reason string) result {
	s.whyNoToken = reason
	return skip("%s", reason)
}

// unscoped asks for all that the client has.
func (s *state) unscoped() helseid.TokenRequest {
	return helseid.TokenRequest{Organization: s.organization, JournalID: s.asked().JournalID, AcceptMissingScopes: true}
}

// organizationRefusal is a refusal of the organisation, and thereby no refusal of the
// client: HelseID authenticates it first. One without HelseID's number may be about
// something else.
func (s *state) organizationRefusal(err error) *helseid.TokenError {
	refused, ok := errors.AsType[*helseid.TokenError](err)
	if !ok || !strings.HasPrefix(refused.HID, "HID-100") && (refused.Code != "invalid_request" || s.organization.IsZero()) {
		return nil
	}
	return refused
}

// refusedToken explains why there is no token.
func (s *state) refusedToken(err error) result {
	s.whyNoToken = "there is no token"
	refused, ok := errors.AsType[*helseid.TokenError](err)
	if !ok {
		return s.failedRequest(err, "HelseID's token endpoint")
	}
	if refused.Code == "" {
		return paused(refused)
	}
	if s.ahead != 0 && (refused.Code == "invalid_client" || refused.Code == "invalid_dpop_proof") {
		return skip("the clock is off: HelseID refuses the client with it (%s). Run this again when the clock is right", refused.Code)
	}
	switch {
	case refused.Code == "invalid_client":
		return result{findings: []finding{s.unknownClient(refused)}}
	case refused.Code == "invalid_dpop_proof":
		return bad("HelseID refuses the DPoP proof: "+refusalText(refused), "If the clock is good, as the step before says, it is another cause: a gateway before the server may show it another URL than the token endpoint's in the metadata, or send a request twice: ask the owner of "+s.issuer.Host+".")
	case refused.Code == "unauthorized_client":
		return bad("HelseID does not let the client get tokens for a system: "+refusalText(refused), "In "+s.selvbetjeningPage()+", add the grant type client_credentials to the client "+
			plain(s.config.ClientID)+". A client that is for logins only needs another one beside it.")
	}
	remedies := []string{advice(refused)}
	if refused.Code == "invalid_request" && len(s.numbers()) == 0 {
		remedies = append([]string{"If the client serves several organisations, name the one that the call is for with -parent."}, remedies...)
	}
	return bad("HelseID issues no token: "+refusalText(refused), remedies...)
}

// paused explains an answer of 429, which has no code.
func paused(refused *helseid.TokenError) result {
	when := "in some minutes"
	if refused.RetryAfter > 0 {
		when = "in " + refused.RetryAfter.Round(time.Second).String()
	}
	return bad("HelseID's token endpoint asks for a pause: "+statusText(refused.StatusCode), "Try again "+when+". A program that makes one client and keeps it asks for a token once in its lifetime, and is not asked for a pause.")
}

// refusalText is what HelseID has answered.
func refusalText(refused *helseid.TokenError) string {
	text := refused.Code
	if refused.HID != "" && !strings.Contains(refused.Description, refused.HID) {
		text += " " + refused.HID
	}
	if refused.Description != "" {
		text += " (" + refused.Description + ")"
	}
	return text
}

// advice is the library's, as a sentence.
func advice(refused *helseid.TokenError) string {
	text := refused.Advice()
	switch {
	case text != "":
	case refused.Temporary, refused.Code == "server_error", refused.Code == "temporarily_unavailable":
		return "Try again in some minutes, and look at Norsk helsenett's operating messages."
	default:
		return "HelseID's page on error messages in Utviklerportalen may say more of " + redact.Text(refused.Code) + "."
	}
	return sentence(text)
}

func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// unknownClient lists what invalid_client can mean, since HelseID says no more, in the
// order of what is quickest to rule out and likeliest.
func (s *state) unknownClient(refused *helseid.TokenError) finding {
	key := s.config.Key
	page := s.selvbetjeningPage()
	remedies := []string{
		"Open " + page + " and look for a client with the id " + plain(s.config.ClientID) + ". If there is none, the configuration is of another client or environment: " + s.otherEnvironment(),
		"Look at the client's keys there. If none has the " + kidOrThumbprint(key) + ", register this key's public half: helseid key public prints it.",
		"If the key is there, look at its expiry. If it has passed, register a new key, and put it into " + s.file() + ".",
		"If it has not, compare the alg: this machine signs with " + key.Algorithm() + ".",
		"If the client or the key is younger than 20 seconds, run this again.",
	}
	if refused.ClockDifference != 0 {
		remedies = append([]string{advice(refused)}, remedies...)
	}
	return finding{"HelseID does not know the client or its key: " + refusalText(refused) + ". It does not say which of the two", remedies}
}

func kidOrThumbprint(key *clientassertion.Key) string {
	if key.ID() == key.Thumbprint() {
		return "kid or thumbprint " + key.ID()
	}
	return "kid " + plain(key.ID()) + " or the thumbprint " + key.Thumbprint()
}

func (s *state) otherEnvironment() string {
	switch s.issuerText() {
	case helseid.Production.Issuer():
		return "a client of the test environment needs the authority " + helseid.Test.Issuer() + "."
	case helseid.Test.Issuer():
		return "a client of production needs the authority " + helseid.Production.Issuer() + "."
	}
	return "the issuer here is " + s.issuerText() + "; HelseID's are " + choices() + "."
}

// failedRequest explains a request that got no answer, or one that is not HelseID's.
func (s *state) failedRequest(err error, server string) result {
	target := s.issuer
	if isTransportError(err) || isTimeout(err) {
		failed := explain(err, target, s.proxyOf(target), reachedBy(err))
		return result{findings: []finding{failed.finding}}
	}
	switch {
	case errors.Is(err, helseid.ErrUnavailable):
		return bad(server+" is in trouble: "+text(err), "Try again in some minutes.")
	case errors.Is(err, helseid.ErrInvalidResponse):
		return bad("what answers is not "+server+": "+text(err),
			"A proxy or a network with a login page may be in the way: open "+s.issuerText()+" in a browser on this machine.")
	}
	return bad(text(err), "Mend what the text names in "+s.file()+" or in the flags.")
}

// text is the text of an error of the library's, which quotes no credential.
func text(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// isTransportError reports that net/http has got no answer.
func isTransportError(err error) bool {
	_, ok := errors.AsType[*url.Error](err)
	return ok
}

// reachedBy guesses how far a request has got, if nobody has traced it.
func reachedBy(err error) stage {
	if strings.Contains(err.Error(), "dial tcp") {
		return atConnect
	}
	if strings.Contains(err.Error(), "TLS handshake") {
		return atTLS
	}
	return atAnswer
}

// proxyOf is the proxy for a target, or nil.
func (s *state) proxyOf(target *url.URL) *url.URL {
	proxy, err := proxyFor(&http.Request{URL: target})
	if err != nil {
		return nil
	}
	return proxy
}

// claims are those of a token, which are shown and decide nothing.
func claims(token *helseid.Token) jose.Object {
	compact, err := jose.ParseCompact(token.Access.Reveal(), 64<<10)
	if err != nil {
		return jose.Object{}
	}
	claims, err := compact.Claims()
	if err != nil {
		return jose.Object{}
	}
	return claims
}

// claim is one claim that is a string, made safe to be shown.
func claim(token *helseid.Token, name string) string {
	value, _ := claims(token).Get(name).Text()
	return redact.Text(value)
}

// audiences are the APIs that a token is for.
func audiences(token *helseid.Token) []string {
	value := claims(token).Get("aud")
	if text, ok := value.Text(); ok {
		return []string{redact.Text(text)}
	}
	values, _ := value.Array()
	var names []string
	for _, value := range values {
		if name, ok := value.Text(); ok {
			names = append(names, redact.Text(name))
		}
	}
	if len(names) == 0 {
		names = []string{"no API that it names"}
	}
	return names
}
