package helseid

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/httpx"
)

// TokenRequest says which token is wanted, and where it may be sent. The zero
// value asks for a token with every API scope that the client has been granted.
// Printed, logged or marshalled it reads "[redacted]": its details may tell of a
// patient.
type TokenRequest struct {
	unprintable

	// Scopes to ask for, such as "nhn:kjernejournal/api". Order and repetition
	// do not matter. Empty leaves the parameter out.
	Scopes []string

	// Resource is the short name of the one API that the token is for, such as
	// "nhn:kjernejournal" (RFC 8707). Empty leaves the parameter out.
	Resource string

	// Organization is the organisation that the token is for. ForOrganization
	// sets it for a single call, and wins.
	Organization clientassertion.Organization

	// JournalID is the SFM journal, a UUID, that a multi-tenant client asks for.
	JournalID string

	// Attest is the trust framework's attest. No token with it is used for
	// longer than clientassertion.AttestLifetime; call Client.Forget with the
	// context and request when the user changes to another patient.
	Attest *clientassertion.Attest

	// Details are further structured details for the client assertion, as JSON
	// (clientassertion.ParseDetail).
	Details []clientassertion.Detail

	// UnboundBearerToken asks for a bearer token in place of one that is bound to
	// the client's key, for an API that has not moved to DPoP. Whoever steals
	// such a token can use it. It is never a fallback: without it, a bearer token
	// is refused.
	//
	// For a session's call the refresh token is then sent without a proof. What
	// HelseID makes of that is not documented: it may refuse the token, and with
	// that end the session (ErrLoginRequired). Try it in the test environment
	// first, with the client's own registration.
	UnboundBearerToken bool

	// AcceptMissingScopes accepts a token that was granted without some of
	// Scopes. By default that is an error (ErrScopeNotGranted), since the API
	// would refuse the call later and with less to go by.
	AcceptMissingScopes bool

	// RequireSubjectToken makes a call whose context has no subject token
	// (WithSubjectToken) an error (ErrConfig). Without it, such a call carries
	// the client's own token, as a system, if HelseID grants one. Set it where
	// every call is on behalf of a caller.
	RequireSubjectToken bool

	// RequireOrganization makes a call that is for no organisation an error
	// (ErrConfig), before anything is sent. Set it where every call is for one, so
	// that one that was forgotten is noticed. A session whose login named an
	// organisation has one.
	RequireOrganization bool

	// AllowedOrigins are the origins ("https://api.example.no") that requests
	// with the token may go to, also by redirect. Nil means any https origin, and
	// redirects within the origin that was called only; a list without an origin is
	// an error. Config.AllowedOrigins holds besides.
	AllowedOrigins []string
}

// clone copies what the caller could change later.
func (r TokenRequest) clone() TokenRequest {
	r.Scopes = slices.Clone(r.Scopes)
	r.Details = slices.Clone(r.Details)
	r.AllowedOrigins = slices.Clone(r.AllowedOrigins)
	if r.Attest != nil {
		attest := *r.Attest
		attest.Patients = slices.Clone(attest.Patients)
		r.Attest = &attest
	}
	return r
}

// preparedRequest is a token request that has been checked and brought into one
// form, with the key of its token in the cache.
type preparedRequest struct {
	tokenOrigin
	scopes         []string // sorted, without repetition
	scope          string   // the same as one parameter
	resource       string
	tokenType      string
	details        []clientassertion.Detail
	attested       bool
	acceptMissing  bool
	allowedOrigins []string
	key            cacheKey
}

// tokenOrigin is what a token is got from: the client itself, a session or a
// caller's token.
type tokenOrigin struct {
	grant string
	owner string // the key of the session, or a hash of the caller's token

	// forIssuer is a token that goes to HelseID alone: it may be for any number
	// of APIs.
	forIssuer bool

	// organized says that the tokens are for an organisation although the request
	// names none.
	organized bool
}

// systemOrigin is the client itself.
var systemOrigin = tokenOrigin{grant: grantClientCredentials}

// prepare checks a request and reports all its mistakes at once.
func (c *Client) prepare(request TokenRequest, origin tokenOrigin) (*preparedRequest, error) {
	prepared := &preparedRequest{
		tokenOrigin:   origin,
		scopes:        slices.Clone(request.Scopes),
		resource:      request.Resource,
		tokenType:     tokenTypeDPoP,
		acceptMissing: request.AcceptMissingScopes,
	}
	slices.Sort(prepared.scopes)
	prepared.scopes = slices.Compact(prepared.scopes)
	if request.UnboundBearerToken {
		prepared.tokenType = tokenTypeBearer
	}
	prepared.scope = strings.Join(prepared.scopes, " ")
	var errs []error
	for _, scope := range prepared.scopes {
		if !validScope(scope) {
			errs = append(errs, fmt.Errorf("field Scopes: %q is not one scope: each element is one name without spaces or quotes", scope))
		}
	}
	if !validResource(request.Resource) {
		errs = append(errs, errors.New("field Resource holds a space or control character"))
	}
	origins, err := httpx.ParseOrigins("AllowedOrigins", request.AllowedOrigins)
	if err != nil {
		errs = append(errs, err)
	}
	prepared.allowedOrigins = origins
	if request.RequireSubjectToken && origin.grant != grantTokenExchange {
		errs = append(errs, errors.New("field RequireSubjectToken: the call's context has no subject token, see WithSubjectToken"))
	}
	details, err := c.details(request, origin == systemOrigin)
	errs = append(errs, err)
	if request.RequireOrganization && err == nil && !namesOrganization(details) && !origin.organized {
		errs = append(errs, errors.New("field RequireOrganization: the call names no organisation, see ForOrganization"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: token request: %w", ErrConfig, err)
	}
	prepared.details = details
	prepared.attested = isAttested(details)
	prepared.key = c.cacheKey(prepared)
	return prepared, nil
}

// namesOrganization reports whether an organisation is among the details.
func namesOrganization(details []clientassertion.Detail) bool {
	return slices.ContainsFunc(details, func(d clientassertion.Detail) bool { return d.Type() == clientassertion.OrganizationType })
}

// details turns the typed parts of a request into the details of an assertion. A
// system of a multi-tenant client acts for an organisation always, a user need
// not.
func (c *Client) details(request TokenRequest, system bool) ([]clientassertion.Detail, error) {
	var (
		details []clientassertion.Detail
		errs    []error
	)
	add := func(field string, detail clientassertion.Detail, err error) {
		if err == nil && c.config.Issuer == Production.Issuer {
			err = detail.CheckDigits()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("field %s: %w", field, err))
			return
		}
		details = append(details, detail)
	}
	if !request.Organization.IsZero() {
		detail, err := clientassertion.OrganizationDetail(request.Organization, c.config.Tenancy, c.config.Variants)
		add("Organization", detail, err)
	} else if system && c.config.Tenancy == clientassertion.MultiTenant {
		errs = append(errs, errors.New("field Organization: a multi-tenant client must name the organisation that it acts for, see ForOrganization"))
	}
	if request.JournalID != "" {
		detail, err := clientassertion.JournalIDDetail(request.JournalID)
		if err == nil && c.config.Tenancy == clientassertion.SingleTenant {
			err = errors.New("a single-tenant client names no journal, HelseID knows it from the registration")
		}
		add("JournalID", detail, err)
	}
	if request.Attest != nil {
		detail, err := request.Attest.Detail()
		add("Attest", detail, err)
	}
	for i, detail := range request.Details {
		var err error
		if detail.Type() == "" {
			err = errors.New("it is empty: make it with clientassertion.ParseDetail")
		}
		add(fmt.Sprintf("Details[%d]", i), detail, err)
	}
	return details, errors.Join(errs...)
}

func validResource(resource string) bool {
	return !strings.ContainsFunc(resource, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// validScope is scope-token of RFC 6749 section 3.3 and the backslash, which
// HelseID's older scope names hold.
func validScope(scope string) bool {
	if scope == "" || len(scope) > 1024 {
		return false
	}
	for i := range len(scope) {
		if c := scope[i]; c <= ' ' || c > '~' || c == '"' {
			return false
		}
	}
	return true
}
