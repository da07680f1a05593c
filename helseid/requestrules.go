package helseid

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/httpx"
)

// preparedRequest is a token request that has been checked and normalised, with the
// cache key of its token.
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

// tokenOrigin is the source of a token: the client itself, a session or a caller's
// token.
type tokenOrigin struct {
	grant string
	owner string // the key of the session, or a hash of the caller's token

	// forIssuer says that the token is only sent to HelseID. Such a token may be for
	// any number of APIs.
	forIssuer bool

	// organized says that the tokens are for an organisation even if the request
	// names none.
	organized bool
}

// systemOrigin is the origin of the client's own tokens.
var systemOrigin = tokenOrigin{grant: grantClientCredentials}

// requestRules are what the configuration of a client says about its token requests.
type requestRules struct {
	issuer     string
	clientID   string
	tenancy    identity.Tenancy
	variants   clientassertion.Variants
	thumbprint string // of the DPoP key
}

// prepare checks a request and reports all its mistakes at once.
func (r *requestRules) prepare(request TokenRequest, origin tokenOrigin) (*preparedRequest, error) {
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
	details, err := r.details(request, origin == systemOrigin && !slices.Equal(prepared.scopes, []string{scopeSelvbetjening}))
	errs = append(errs, err)
	if request.RequireOrganization && err == nil && !namesOrganization(details) && !origin.organized {
		errs = append(errs, errors.New("field RequireOrganization: the call names no organisation, see ForOrganization"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: token request: %w", ErrConfig, err)
	}
	prepared.details = details
	prepared.attested = isAttested(details)
	prepared.key = r.cacheKey(prepared)
	return prepared, nil
}

// namesOrganization reports whether an organisation is among the details.
func namesOrganization(details []clientassertion.Detail) bool {
	return slices.ContainsFunc(details, func(d clientassertion.Detail) bool { return d.Type() == claims.OrganizationType })
}

// scopeSelvbetjening is the scope with which a client looks after its own registration.
// Norsk helsenett's libraries for .NET and Java name no organisation then, whatever the
// tenancy, and no document says that one is needed: HelseID decides.
const scopeSelvbetjening = "nhn:selvbetjening/client"

// details turns the typed parts of a request into the details of an assertion. A
// system of a multi-tenant client must name an organisation (forOthers), a user need not.
func (r *requestRules) details(request TokenRequest, forOthers bool) ([]clientassertion.Detail, error) {
	var (
		details []clientassertion.Detail
		errs    []error
	)
	add := func(field string, detail clientassertion.Detail, err error) {
		if err == nil && r.issuer == Production.Issuer() {
			err = detail.CheckDigits()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("field %s: %w", field, err))
			return
		}
		details = append(details, detail)
	}
	if !request.Organization.IsZero() {
		detail, err := clientassertion.OrganizationDetail(request.Organization, r.tenancy, r.variants)
		add("Organization", detail, err)
	} else if forOthers && r.tenancy == identity.MultiTenant {
		errs = append(errs, errors.New("field Organization: a multi-tenant client must name the organisation that it acts for, see ForOrganization"))
	}
	if request.JournalID != "" {
		detail, err := clientassertion.JournalIDDetail(request.JournalID)
		if err == nil && r.tenancy == identity.SingleTenant {
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

// validScope accepts scope-token of RFC 6749 section 3.3, and the backslash, which
// HelseID's older scope names contain.
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
