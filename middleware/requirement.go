package middleware

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Requirement is something that a caller must fulfil. It returns nil if the
// caller does, a *Denial if not, and an error that wraps ErrUnavailable if it
// cannot tell, which makes the answer a 503. So does an error that wraps one of this
// SDK's own for what is down, such as helseid.ErrUnavailable, or that of a context
// which has ended. Any other error is a refusal whose text nobody sees.
//
// Write your own as a function; [ForRequest] makes one that sees the request. The
// context is the request's, in which [Claims] and [Token] find the caller.
type Requirement func(ctx context.Context, claims *tokenvalidation.Claims) error

// ErrUnavailable is to be wrapped by a Requirement that cannot tell, because
// something that it asks is down.
var ErrUnavailable = outage("requirement cannot be checked")

// Denial is a requirement's refusal. Its texts go to the caller: keep what the
// token says out of them.
type Denial struct {
	// Reason is one word that does not change.
	Reason string

	// Detail tells the caller's developer what to do.
	Detail string

	// Scope is the scope that is missing, if that is the matter.
	Scope string

	// ACRValues and MaxAge ask for another login, as OpenID Connect writes it:
	// "Level4", and the age that the login may have. The answer is then 401
	// insufficient_user_authentication (RFC 9470) and otherwise 403
	// insufficient_scope.
	ACRValues string
	MaxAge    time.Duration
}

// Error returns the detail.
func (d *Denial) Error() string { return d.Detail }

func (d *Denial) problem() *Problem {
	problem := refused(http.StatusForbidden, codeScope, d.Reason, d.Detail)
	if d.ACRValues != "" || d.MaxAge > 0 {
		problem.Status, problem.Code = http.StatusUnauthorized, codeAuthentication
	}
	problem.Scope, problem.ACRValues, problem.MaxAge = d.Scope, d.ACRValues, d.MaxAge
	return problem
}

func checkRequirements(requirements []Requirement) {
	if slices.ContainsFunc(requirements, func(r Requirement) bool { return r == nil }) {
		panic("middleware: a requirement is nil")
	}
}

// All is met if each of the requirements is. The first that is not decides the
// answer. Without requirements it is always met. It panics if one is nil.
func All(requirements ...Requirement) Requirement {
	checkRequirements(requirements)
	return func(ctx context.Context, claims *tokenvalidation.Claims) error {
		for _, requirement := range requirements {
			if err := requirement(ctx, claims); err != nil {
				return err
			}
		}
		return nil
	}
}

// Any is met if one of the requirements is. If none is, the first decides the
// answer, or one that could not tell: put the one first that most callers should
// hear of. Without requirements it is never met. It panics if one is nil.
func Any(requirements ...Requirement) Requirement {
	checkRequirements(requirements)
	return func(ctx context.Context, claims *tokenvalidation.Claims) error {
		var first error = &Denial{Reason: ReasonRequirement, Detail: "nobody may do this"}
		for i, requirement := range requirements {
			err := requirement(ctx, claims)
			if err == nil {
				return nil
			}
			if i == 0 || isUnavailable(err) {
				first = err
			}
		}
		return first
	}
}

// ForRequest makes a requirement that sees the request: its method, its URL, and the
// values that a router has found in the path. It panics if check is nil. The error of
// check is as that of a Requirement. In a test that calls the requirement by itself
// there is no request, and nobody meets it.
func ForRequest(check func(ctx context.Context, request *Request, claims *tokenvalidation.Claims) error) Requirement {
	if check == nil {
		panic("middleware: ForRequest needs a function")
	}
	return func(ctx context.Context, claims *tokenvalidation.Claims) error {
		caller := callerOf(ctx)
		if caller == nil || caller.request == nil {
			return errNoRequest
		}
		return check(ctx, caller.request, claims)
	}
}

// errNoRequest is for a requirement that nobody has given a request.
var errNoRequest = redact.Words("middleware: ForRequest: the context is not that of a decision")

// checkScopes panics for what could never be met, or always.
func checkScopes(name string, scopes []string) {
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(scope string) bool { return scope == "" || strings.ContainsAny(scope, " \t\"") }) {
		panic("middleware: " + name + " needs scopes, each without spaces")
	}
}

// Scope demands all of the scopes. It panics without scopes, and if one is empty
// or holds a space.
func Scope(scopes ...string) Requirement {
	checkScopes("Scope", scopes)
	return func(_ context.Context, claims *tokenvalidation.Claims) error {
		for _, scope := range scopes {
			if !claims.HasScope(scope) {
				return missingScope(scopes, "the access token lacks one of the scopes that are needed")
			}
		}
		return nil
	}
}

// AnyScope demands one of the scopes. It panics as Scope does.
func AnyScope(scopes ...string) Requirement {
	checkScopes("AnyScope", scopes)
	return func(_ context.Context, claims *tokenvalidation.Claims) error {
		if slices.ContainsFunc(scopes, claims.HasScope) {
			return nil
		}
		return missingScope(scopes, "the access token has none of the scopes of which one is needed")
	}
}

func missingScope(scopes []string, detail string) error {
	return &Denial{Reason: ReasonScope, Detail: detail, Scope: strings.Join(scopes, " ")}
}

// User demands a person who has logged in.
func User() Requirement {
	return func(_ context.Context, claims *tokenvalidation.Claims) error {
		if claims.User == nil {
			return &Denial{Reason: ReasonUser, Detail: "this is for logged-in users only, and the access token is a system's"}
		}
		return nil
	}
}

// System demands a token without a user.
func System() Requirement {
	return func(_ context.Context, claims *tokenvalidation.Claims) error {
		if claims.User != nil {
			return &Denial{Reason: ReasonSystem, Detail: "this is for systems only, and the access token is a user's"}
		}
		return nil
	}
}

// SecurityLevel demands a user at this level or above: 2, 3 or 4. It panics for
// any other.
func SecurityLevel(least identity.SecurityLevel) Requirement {
	if least < identity.SecurityLevel2 || least > identity.SecurityLevel4 {
		panic("middleware: SecurityLevel is 2, 3 or 4")
	}
	return All(User(), func(_ context.Context, claims *tokenvalidation.Claims) error {
		if claims.User.SecurityLevel >= least {
			return nil
		}
		return &Denial{
			Reason:    ReasonSecurityLevel,
			Detail:    fmt.Sprintf("the user must log in at security level %d", least),
			ACRValues: fmt.Sprintf("Level%d", least),
		}
	})
}

// acrValues are HelseID's names for levels in a login request.
var acrValues = map[identity.AssuranceLevel]string{
	identity.AssuranceLow:         "Level2",
	identity.AssuranceSubstantial: "Level3",
	identity.AssuranceHigh:        "High",
}

// AssuranceLevel demands a user at this eIDAS level or above:
// identity.AssuranceLow, AssuranceSubstantial or AssuranceHigh. It panics for
// any other, which would let everybody in or nobody.
func AssuranceLevel(least identity.AssuranceLevel) Requirement {
	if least < identity.AssuranceLow || least > identity.AssuranceHigh {
		panic("middleware: AssuranceLevel is AssuranceLow, AssuranceSubstantial or AssuranceHigh")
	}
	return All(User(), func(_ context.Context, claims *tokenvalidation.Claims) error {
		if claims.User.AssuranceLevel >= least {
			return nil
		}
		return &Denial{
			Reason:    ReasonAssuranceLevel,
			Detail:    "the user must log in at assurance level " + least.String(),
			ACRValues: acrValues[least],
		}
	})
}

// HPRNumber demands a user with a number in the register of health personnel.
func HPRNumber() Requirement {
	return All(User(), func(_ context.Context, claims *tokenvalidation.Claims) error {
		if claims.User.HPRNumber == "" {
			return &Denial{Reason: ReasonHPRNumber, Detail: "the user must be health personnel: the access token has no HPR number"}
		}
		return nil
	})
}

// Profession demands an attest of the trust framework with one of these
// authorisations, by their codes in code system 9060, such as "LE" for a
// physician. It panics without codes, and an empty code is met by nobody.
func Profession(codes ...string) Requirement {
	if len(codes) == 0 {
		panic("middleware: Profession needs a code")
	}
	const codeSystem = "urn:oid:2.16.578.1.12.4.1.1.9060"
	return All(User(), func(_ context.Context, claims *tokenvalidation.Claims) error {
		if claims.Attest != nil {
			authorization := claims.Attest.Practitioner.Authorization
			if authorization.System == codeSystem && authorization.Code != "" && slices.Contains(codes, authorization.Code) {
				return nil
			}
		}
		return &Denial{Reason: ReasonProfession, Detail: "the attest in the access token does not show an authorisation that this API accepts"}
	})
}

// isWithin reports whether a time is at most so long ago. One in the future is
// not, beyond what clocks may differ.
func isWithin(at time.Time, age time.Duration) bool {
	since := time.Since(at)
	return !at.IsZero() && since <= age && since >= -tokenvalidation.DefaultLeeway
}

// AuthenticatedWithin demands a login that is not older than this, in whole
// seconds and one at least.
func AuthenticatedWithin(age time.Duration) Requirement {
	age = max(age.Truncate(time.Second), time.Second)
	return All(User(), func(_ context.Context, claims *tokenvalidation.Claims) error {
		if isWithin(claims.User.AuthenticatedAt, age) {
			return nil
		}
		return &Denial{
			Reason: ReasonAuthenticationAge,
			Detail: "the user must log in again",
			MaxAge: age,
		}
	})
}

// FreshAttest demands an attest of the trust framework that is at most an hour
// old (ATT-58 of the framework's business rules).
func FreshAttest() Requirement {
	return func(_ context.Context, claims *tokenvalidation.Claims) error {
		switch {
		case claims.Attest == nil:
			return &Denial{Reason: ReasonAttestMissing, Detail: "the access token has no attest of the trust framework"}
		case !isWithin(claims.Attest.AttestedAt, tokenvalidation.AttestLifetime):
			return &Denial{Reason: ReasonAttestExpired, Detail: "attestation_has_expired: make a new attest and get a new token with it"}
		}
		return nil
	}
}

// ParentOrganization demands one of these legal entities. Of an exchanged token it
// is the one that the first client acted for; Claims.Actor has the others. It panics
// without numbers, and if one has not nine digits: a list that is empty by mistake
// must not let everybody in.
func ParentOrganization(numbers ...identity.OrganizationNumber) Requirement {
	checkNumbers("ParentOrganization", numbers)
	return organization(ReasonParentOrganization, numbers, parentOf)
}

// AnyParentOrganization demands a legal entity, whichever.
func AnyParentOrganization() Requirement {
	return organization(ReasonParentOrganization, nil, parentOf)
}

// ChildOrganization demands one of these sub-units. It panics without numbers, and
// if one has not nine digits: a list that is empty by mistake must not let
// everybody in.
func ChildOrganization(numbers ...identity.OrganizationNumber) Requirement {
	checkNumbers("ChildOrganization", numbers)
	return organization(ReasonChildOrganization, numbers, childOf)
}

// AnyChildOrganization demands a sub-unit, whichever.
func AnyChildOrganization() Requirement { return organization(ReasonChildOrganization, nil, childOf) }

// SupplierOrganization demands one of these suppliers. It panics without numbers, and
// if one has not nine digits: a list that is empty by mistake must not let
// everybody in.
func SupplierOrganization(numbers ...identity.OrganizationNumber) Requirement {
	checkNumbers("SupplierOrganization", numbers)
	return organization(ReasonSupplierOrganization, numbers, supplierOf)
}

// AnySupplierOrganization demands a supplier, whichever.
func AnySupplierOrganization() Requirement {
	return organization(ReasonSupplierOrganization, nil, supplierOf)
}

func parentOf(o identity.Organization) identity.OrganizationNumber   { return o.Parent }
func childOf(o identity.Organization) identity.OrganizationNumber    { return o.Child }
func supplierOf(o identity.Organization) identity.OrganizationNumber { return o.Supplier }

// ParentOrganizationInPath demands that a part of the path is the token's parent
// organisation: "parent" for the route "GET /journals/{parent}". It needs the router to
// be before the guard (see [Request.PathValue]), or nobody meets it. It panics without
// a name.
func ParentOrganizationInPath(name string) Requirement {
	return organizationInPath("ParentOrganizationInPath", ReasonParentOrganization, name, parentOf)
}

// ChildOrganizationInPath demands the same of the token's child organisation.
func ChildOrganizationInPath(name string) Requirement {
	return organizationInPath("ChildOrganizationInPath", ReasonChildOrganization, name, childOf)
}

func organizationInPath(function, reason, name string, part func(identity.Organization) identity.OrganizationNumber) Requirement {
	if name == "" {
		panic("middleware: " + function + " needs the name of a part of the path")
	}
	return ForRequest(func(_ context.Context, request *Request, claims *tokenvalidation.Claims) error {
		asked := request.PathValue(name)
		if asked != "" && asked == string(part(claims.Organization)) {
			return nil
		}
		return &Denial{Reason: reason, Detail: "the access token is not for the organisation in the path"}
	})
}

func checkNumbers(name string, numbers []identity.OrganizationNumber) {
	if len(numbers) == 0 {
		panic("middleware: " + name + " needs a number; Any" + name + " takes all")
	}
	for i, number := range numbers {
		if !number.Valid() {
			panic(fmt.Sprintf("middleware: %s: number %d, %q: an organisation number has nine digits and nothing else", name, i+1, string(number)))
		}
	}
}

func organization(reason string, numbers []identity.OrganizationNumber, part func(identity.Organization) identity.OrganizationNumber) Requirement {
	return func(_ context.Context, claims *tokenvalidation.Claims) error {
		number := part(claims.Organization)
		if number != "" && (len(numbers) == 0 || slices.Contains(numbers, number)) {
			return nil
		}
		return &Denial{Reason: reason, Detail: "the access token is not for an organisation that this API accepts"}
	}
}

// OrganizationLookup demands that allowed says yes to the token's organisation. A
// token for none is refused without asking. An error of allowed makes the answer a
// 503. It panics if allowed is nil.
func OrganizationLookup(allowed func(context.Context, identity.Organization) (bool, error)) Requirement {
	if allowed == nil {
		panic("middleware: OrganizationLookup needs a function")
	}
	return func(ctx context.Context, claims *tokenvalidation.Claims) error {
		denial := &Denial{Reason: ReasonOrganization, Detail: "the access token is not for an organisation that this API accepts"}
		if claims.Organization.IsZero() {
			return denial
		}
		ok, err := allowed(ctx, claims.Organization)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %v", ErrUnavailable, err) //nolint:errorlint // not %w: the error may be a Denial
		case !ok:
			return denial
		}
		return nil
	}
}
