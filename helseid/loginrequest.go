package helseid

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/orgnr"
)

// LoginRequest says how a user shall log in, and for what. The zero value asks for
// the ID token only, at the registered redirect URI. Printed, logged or marshalled it
// reads "[redacted]".
//
// Source: HelseID's pages on pushed authorization requests and on controlling the
// login.
type LoginRequest struct {
	unprintable

	// RedirectURI is where HelseID sends the browser back to, exactly as registered:
	// https, or http on a loopback host. Empty means the one in
	// Config.Registered.RedirectURIs, if there is exactly one.
	RedirectURI string

	// Scopes to ask for: identity scopes such as [ScopeHPRNumber], API scopes, and
	// [ScopeOfflineAccess] for a session that outlives its first access token.
	// [ScopeOpenID] is always asked for, and [ScopeSecurityLevel] and
	// [ScopeAssuranceLevel] if the field of that name is set.
	Scopes []string

	// Resources are the short names of the APIs that the session is for, such as
	// "nhn:kjernejournal" (RFC 8707). The session gets a separate token for each,
	// without another login. The first token is for the first of them.
	Resources []string

	// SecurityLevel is the lowest level that the user may be authenticated at. The ID
	// token is checked for it. Level 4 makes HelseID offer only identity providers of
	// that level (acr_values Level4). Zero means any.
	SecurityLevel identity.SecurityLevel

	// AssuranceLevel is the lowest eIDAS level that the user's identity may have. The
	// ID token is checked for it. [identity.AssuranceHigh] makes HelseID offer only
	// identity providers of that level (acr_values High). Zero means any. HelseID
	// will phase the claim out; some APIs, such as SFM's, still require it.
	AssuranceLevel identity.AssuranceLevel

	// IdentityProvider sends the user directly to one identity provider, by its name
	// in HelseID's metadata, such as "idporten-oidc" (acr_values idp:...).
	IdentityProvider string

	// EID chooses an electronic identity inside ID-porten: "bankid", "buypass",
	// "commfides" or "minid" (acr_values amr:...). IdentityProvider must then be
	// "idporten-oidc" or empty, which means the same.
	EID string

	// ACRValues are further values of acr_values, such as "bp:amr:sc" for Buypass's
	// smart card.
	ACRValues []string

	// OnBehalfOf is the number of the organisation that the user acts for in
	// ID-porten.
	OnBehalfOf string

	// Prompt is PromptLogin, PromptNone, PromptSelectAccount or empty.
	Prompt Prompt

	// MaxAge is how old an earlier login at HelseID may be to be used again, in whole
	// seconds. The ID token is checked for it. Zero means any age; to force a new
	// login use [PromptLogin].
	MaxAge time.Duration

	// MaxSessionAge is how long after the user's authentication (auth_time) the
	// session ends, no matter how much it is used, in whole seconds. HelseID is asked
	// not to use an older login. Zero means that the session ends with its refresh
	// token.
	MaxSessionAge time.Duration

	// IdleTimeout is how long the session may be unused before it ends, in whole
	// seconds. Looking it up and asking it for a token are uses. Uses are written to
	// the session store at most once in a tenth of that time, so after a crash a
	// session may end that much too early. Zero means no limit.
	IdleTimeout time.Duration

	// TestUser logs a synthetic person in without showing a page. It works only in
	// HelseID's test environment, and is refused for production.
	TestUser *TestUser

	// Organization, JournalID, Attest and Details are structured details that apply
	// to the whole session, in a signed request object. A session with them accepts
	// none in its token requests; to change them the user must log in again. Prefer
	// to name them in each [TokenRequest] instead. A session with an attest ends
	// after 60 minutes (ATT-58).
	Organization clientassertion.Organization
	JournalID    string
	Attest       *clientassertion.Attest
	Details      []clientassertion.Detail

	// CodeExchange are structured details for the first access token only. They
	// cannot be combined with the details for the whole session above: HelseID
	// refuses both together.
	CodeExchange CodeExchange

	// Application names the application that the login is for, if several share the
	// client: see [Session.Application]. It must be the same in all processes and
	// after every deployment: up to 512 printable ASCII characters. It is not sent to
	// HelseID.
	Application string

	// BindCode sends a DPoP proof with the pushed authorization request, so that the
	// code is useless without the client's key (RFC 9449 section 10.1). It requires
	// [Config.DPoPKey]. HelseID is not known to require it.
	BindCode bool
}

// Prompt says what HelseID must show the user (OpenID Connect Core section
// 3.1.2.1).
type Prompt string

// The values of prompt.
const (
	// PromptLogin makes the user log in even if there is a session at HelseID. The ID
	// token is checked for it.
	PromptLogin Prompt = "login"

	// PromptNone shows no page: without a session at HelseID the answer is the error
	// login_required.
	PromptNone Prompt = "none"

	// PromptSelectAccount lets the user choose an account.
	PromptSelectAccount Prompt = "select_account"
)

// TestUser is a synthetic person of HelseID's test environment.
type TestUser struct {
	unprintable

	// PersonalIdentityNumber is the synthetic identity number, eleven digits.
	PersonalIdentityNumber string

	// SecurityLevel of the login. Zero means 4.
	SecurityLevel identity.SecurityLevel
}

const (
	idPorten            = "idporten-oidc"
	testIdentity        = "testidp-oidc"
	acrLevel4           = "Level4"
	acrHigh             = "High"
	identityDigits      = 11
	maxLoginResources   = 50
	maxApplication      = 512 // bytes
	defaultTestSecurity = identity.SecurityLevel4
)

// preparedLogin is a login request that has been checked.
type preparedLogin struct {
	redirectURI string
	scopes      []string
	resources   []string
	details     []clientassertion.Detail
	attested    bool
	codeDetails []clientassertion.Detail
	parameters  url.Values
}

// loginRules are what a client's configuration says about its login requests.
type loginRules struct {
	issuer       string
	redirectURIs []string // as registered
	keyStays     bool     // Config.DPoPKey is set
	details      detailsOf
}

// detailsOf turns the typed parts of a token request into the details of an
// assertion. For a system's request an organisation may be mandatory.
type detailsOf func(request TokenRequest, system bool) ([]clientassertion.Detail, error)

// prepare checks a request and reports all its mistakes at once.
func (r *loginRules) prepare(request LoginRequest) (*preparedLogin, error) {
	prepared := &preparedLogin{
		scopes:    loginScopes(request),
		resources: distinct(request.Resources),
	}
	errs := append([]error{r.redirectURI(request.RedirectURI, prepared)}, request.mistakes()...)
	if request.TestUser != nil {
		if r.issuer == Production.Issuer() {
			errs = append(errs, errors.New("field TestUser: there are no test users in production"))
		}
		errs = append(errs, request.TestUser.mistake())
	}
	if r.issuer == Production.Issuer() && orgnr.IsNumber(request.OnBehalfOf) && !orgnr.HasValidCheckDigit(request.OnBehalfOf) {
		errs = append(errs, errors.New("field OnBehalfOf: the check digit is wrong: is there a typing error?"))
	}
	if request.BindCode && !r.keyStays {
		errs = append(errs, errors.New("field BindCode needs Config.DPoPKey: the code is bound to the key, which must be there when it is redeemed, also after a restart"))
	}
	details, err := r.details(TokenRequest{
		Organization: request.Organization, JournalID: request.JournalID, Attest: request.Attest, Details: request.Details,
	}, false)
	codeDetails, codeErr := request.CodeExchange.details(r.details)
	errs = append(errs, err, codeErr)
	if len(details) > 0 && len(codeDetails) > 0 {
		errs = append(errs, errors.New("field CodeExchange: the request has details for the whole session too, and HelseID takes one or the other"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: login request: %w", ErrConfig, err)
	}
	prepared.details, prepared.codeDetails = details, codeDetails
	prepared.attested = isAttested(details)
	prepared.parameters = request.parameters()
	prepared.parameters.Set("redirect_uri", prepared.redirectURI)
	prepared.parameters.Set("scope", strings.Join(prepared.scopes, " "))
	if len(prepared.resources) > 0 {
		prepared.parameters["resource"] = prepared.resources
	}
	return prepared, nil
}

// isAttested reports whether an attest is among the details.
func isAttested(details []clientassertion.Detail) bool {
	return slices.ContainsFunc(details, func(d clientassertion.Detail) bool { return d.Type() == claims.AttestType })
}

// loginScopes are the scopes asked for, in the caller's order and each once.
func loginScopes(request LoginRequest) []string {
	scopes := append([]string{ScopeOpenID}, request.Scopes...)
	if !slices.Contains(scopes, ScopeAllIdentity) {
		if request.SecurityLevel > 0 {
			scopes = append(scopes, ScopeSecurityLevel)
		}
		if request.AssuranceLevel > 0 {
			scopes = append(scopes, ScopeAssuranceLevel)
		}
	}
	return distinct(scopes)
}

// distinct leaves out repetitions and keeps the order.
func distinct(list []string) []string {
	var found []string
	for _, element := range list {
		if !slices.Contains(found, element) {
			found = append(found, element)
		}
	}
	return found
}

func (r *loginRules) redirectURI(wanted string, prepared *preparedLogin) error {
	if wanted == "" {
		if len(r.redirectURIs) != 1 {
			return fmt.Errorf("field RedirectURI is required: the configuration names %d of them", len(r.redirectURIs))
		}
		wanted = r.redirectURIs[0]
	}
	u, err := url.Parse(wanted)
	if err == nil {
		err = httpx.CheckSecure(u)
	}
	switch {
	case err != nil:
		return fmt.Errorf("field RedirectURI: it must be https, or http on a loopback host")
	case u.User != nil || strings.Contains(wanted, "#"):
		return errors.New("field RedirectURI: it must have no user and no fragment")
	}
	prepared.redirectURI = wanted
	return nil
}

// mistakes returns those that can be found without the client's configuration.
func (r *LoginRequest) mistakes() []error {
	var errs []error
	fail := func(format string, values ...any) { errs = append(errs, fmt.Errorf(format, values...)) }
	for _, scope := range r.Scopes {
		if !validScope(scope) {
			fail("field Scopes: %q is not one scope: each element is one name without spaces or quotes", scope)
		}
	}
	if len(distinct(r.Resources)) > 1 && !slices.Contains(r.Scopes, ScopeOfflineAccess) {
		fail("field Resources names several APIs: the tokens after the first take a refresh token, so Scopes needs ScopeOfflineAccess")
	}
	if len(r.Resources) > maxLoginResources {
		fail("field Resources has more than %d elements", maxLoginResources)
	}
	for _, resource := range r.Resources {
		if !validResource(resource) || resource == "" {
			fail("field Resources: %q is not the short name of an API", resource)
		}
	}
	if !validLevel(r.SecurityLevel) {
		fail("field SecurityLevel is %d: the levels are 2, 3 and 4", r.SecurityLevel)
	}
	if r.AssuranceLevel != 0 && (r.AssuranceLevel < identity.AssuranceLow || r.AssuranceLevel > identity.AssuranceHigh) {
		fail("field AssuranceLevel is %d: use AssuranceLow, AssuranceSubstantial or AssuranceHigh", int(r.AssuranceLevel))
	}
	if len(r.Application) > maxApplication || strings.ContainsFunc(r.Application, func(c rune) bool { return c < ' ' || c > '~' }) {
		fail("field Application has more than %d bytes, or other characters than printable ASCII", maxApplication)
	}
	if r.EID != "" && r.IdentityProvider != "" && r.IdentityProvider != idPorten {
		fail("field EID chooses inside ID-porten: IdentityProvider must be %q or empty", idPorten)
	}
	for _, value := range append([]string{r.IdentityProvider, r.EID}, r.ACRValues...) {
		if value != "" && !validScope(value) {
			fail("fields IdentityProvider, EID and ACRValues: %q is not one value without spaces", value)
		}
	}
	if r.OnBehalfOf != "" && !orgnr.IsNumber(r.OnBehalfOf) {
		fail("field OnBehalfOf is not an organisation number of nine digits")
	}
	switch r.Prompt {
	case "", PromptLogin, PromptNone, PromptSelectAccount:
	default:
		fail("field Prompt: %q is none of login, none and select_account", r.Prompt)
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{{"MaxAge", r.MaxAge}, {"MaxSessionAge", r.MaxSessionAge}, {"IdleTimeout", r.IdleTimeout}} {
		if field.value < 0 || field.value%time.Second != 0 {
			fail("field %s is %v: it must be whole seconds", field.name, field.value)
		}
	}
	return errs
}

func (u *TestUser) mistake() error {
	number := u.PersonalIdentityNumber
	if len(number) != identityDigits || strings.Trim(number, "0123456789") != "" {
		return errors.New("field TestUser: the PersonalIdentityNumber must have eleven digits")
	}
	if !validLevel(u.SecurityLevel) {
		return errors.New("field TestUser: the SecurityLevel must be 2, 3 or 4")
	}
	return nil
}

// validLevel accepts the existing levels, and zero for none.
func validLevel(level identity.SecurityLevel) bool {
	return level == 0 || level >= identity.SecurityLevel2 && level <= identity.SecurityLevel4
}

// parameters returns the parameters of the pushed authorization request that are the
// same for each login.
func (r *LoginRequest) parameters() url.Values {
	parameters := url.Values{"response_type": {"code"}, "code_challenge_method": {"S256"}}
	if acr := r.acrValues(); len(acr) > 0 {
		parameters.Set("acr_values", strings.Join(acr, " "))
	}
	if r.OnBehalfOf != "" {
		parameters.Set("on_behalf_of", r.OnBehalfOf)
	}
	if r.Prompt != "" {
		parameters.Set("prompt", string(r.Prompt))
	}
	switch {
	case r.Prompt == PromptLogin:
		parameters.Set("max_age", "0") // makes HelseID state the time of the login
	case r.MaxAge > 0 && (r.MaxSessionAge == 0 || r.MaxAge < r.MaxSessionAge):
		parameters.Set("max_age", strconv.FormatInt(int64(r.MaxAge/time.Second), 10))
	case r.MaxSessionAge > 0:
		parameters.Set("max_age", strconv.FormatInt(int64(r.MaxSessionAge/time.Second), 10))
	}
	if user := r.TestUser; user != nil {
		level := user.SecurityLevel
		if level == 0 {
			level = defaultTestSecurity
		}
		parameters.Set("test_pid", user.PersonalIdentityNumber)
		parameters.Set("test_security_level", strconv.Itoa(int(level)))
	}
	return parameters
}

func (r *LoginRequest) acrValues() []string {
	var values []string
	provider := r.IdentityProvider
	switch {
	case provider == "" && r.EID != "":
		provider = idPorten
	case provider == "" && r.TestUser != nil:
		provider = testIdentity
	}
	if provider != "" {
		values = append(values, "idp:"+provider)
	}
	if r.EID != "" {
		values = append(values, "amr:"+r.EID)
	}
	switch {
	case r.TestUser != nil:
	case r.SecurityLevel == identity.SecurityLevel4:
		values = append(values, acrLevel4)
	case r.AssuranceLevel == identity.AssuranceHigh:
		values = append(values, acrHigh) // offers the same identity providers
	}
	return append(values, r.ACRValues...)
}
