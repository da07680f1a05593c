package middleware

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/internal/verification"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Requirement is a condition that a caller must meet. It returns nil if the caller
// meets it and a [*Denial] if not. It returns an error that wraps [ErrUnavailable] if
// it cannot tell, and the response is then a 503. The same holds for an error that
// wraps one of this SDK's errors for an outage, such as helseid.ErrUnavailable, or the
// error of a context that has ended. Any other error is a refusal whose text is not
// shown to anybody.
//
// Write your own requirement as a function; [ForRequest] makes one that sees the
// request. The context is the request's; [Claims] and [Token] find the caller in it.
type Requirement func(ctx context.Context, claims *tokenvalidation.Claims) error

// ErrUnavailable is wrapped by the error of a [Requirement] that cannot tell whether it
// is met, because a service that it needs is down.
var ErrUnavailable = outage("requirement cannot be checked")

// Denial is a requirement's refusal. Its texts are sent to the caller, so they must not
// contain anything from the token.
type Denial struct {
	// Reason is a single word that does not change.
	Reason string

	// Detail tells the developer of the client what to do.
	Detail string

	// Scope is the missing scope, if a scope is missing.
	Scope string

	// ACRValues and MaxAge request another login, in the terms of OpenID Connect:
	// "Level4", and the maximum age of the login. If one is set, the response is 401
	// insufficient_user_authentication (RFC 9470), otherwise 403 insufficient_scope.
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

// All is met if every requirement is met. The first one that is not met decides the
// response. Without requirements it is always met, and a valid token is enough. It
// panics if a requirement is nil.
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

// Any is met if one of the requirements is met. If none is, a requirement that could
// not tell decides the response, or else the first one: put first the requirement that
// most callers should be told about. Without requirements it is never met. It panics if
// a requirement is nil.
func Any(requirements ...Requirement) Requirement {
	checkRequirements(requirements)
	return func(ctx context.Context, claims *tokenvalidation.Claims) error {
		var first error = &Denial{Reason: ReasonRequirement, Detail: "nobody may do this"}
		for i, requirement := range requirements {
			err := requirement(ctx, claims)
			if err == nil {
				return nil
			}
			if i == 0 || isUndecided(err) {
				first = err
			}
		}
		return first
	}
}

// ForRequest makes a requirement that sees the request: its method, its URL and its
// path parameters. The error of check has the same meaning as that of a [Requirement].
// If a test calls the requirement directly there is no request, and it is never met. It
// panics if check is nil.
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

// errMisconfigured is wrapped by the error of a requirement that no caller can meet
// because of how the API is set up. The operator must learn about it, and the caller
// cannot mend it.
var errMisconfigured = redact.Words("the API is not set up correctly")

// errNoRequest means that the requirement was called outside of a decision.
var errNoRequest = redact.Words("middleware: ForRequest: the context does not belong to a decision")

// checkScopes panics for scopes with which a requirement would be met never or always.
func checkScopes(name string, scopes []string) {
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(scope string) bool { return scope == "" || strings.ContainsAny(scope, " \t\"") }) {
		panic("middleware: " + name + " needs scopes, each without spaces")
	}
}

// Scope requires all of the scopes. It panics without scopes, and if one is empty or
// holds a space.
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

// AnyScope requires one of the scopes. It panics in the same cases as [Scope].
func AnyScope(scopes ...string) Requirement {
	checkScopes("AnyScope", scopes)
	return func(_ context.Context, claims *tokenvalidation.Claims) error {
		if slices.ContainsFunc(scopes, claims.HasScope) {
			return nil
		}
		return missingScope(scopes, "the access token has none of the scopes that this API accepts here")
	}
}

func missingScope(scopes []string, detail string) error {
	return &Denial{Reason: ReasonScope, Detail: detail, Scope: strings.Join(scopes, " ")}
}

// User requires a token of a user who has logged in, and says who it is: by subject,
// national identity number, its pseudonym or HPR number.
func User() Requirement {
	return func(_ context.Context, claims *tokenvalidation.Claims) error {
		user := claims.User
		switch {
		case user == nil:
			return &Denial{Reason: ReasonUser, Detail: "this is for logged-in users only, and the access token is a system's"}
		case user.Subject == "" && user.PersonalIdentityNumber.IsZero() && user.Pseudonym == "" && user.HPRNumber == "":
			return &Denial{Reason: ReasonUser, Detail: "the access token does not say in a readable form who the user is"}
		}
		return nil
	}
}

// System requires a token without a user.
func System() Requirement {
	return func(_ context.Context, claims *tokenvalidation.Claims) error {
		if claims.User != nil {
			return &Denial{Reason: ReasonSystem, Detail: "this is for systems only, and the access token is a user's"}
		}
		return nil
	}
}

// SecurityLevel requires a user at this level or above: 2, 3 or 4. It panics for any
// other level.
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

// acrValues are HelseID's names for the levels in a login request.
var acrValues = map[identity.AssuranceLevel]string{
	identity.AssuranceLow:         "Level2",
	identity.AssuranceSubstantial: "Level3",
	identity.AssuranceHigh:        "High",
}

// AssuranceLevel requires a user at this eIDAS level or above: [identity.AssuranceLow],
// [identity.AssuranceSubstantial] or [identity.AssuranceHigh]. It panics for any other
// level, which every user would meet, or none.
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

// HPRNumber requires a user with a number in the register of health personnel.
func HPRNumber() Requirement {
	return All(User(), func(_ context.Context, claims *tokenvalidation.Claims) error {
		if claims.User.HPRNumber == "" {
			return &Denial{Reason: ReasonHPRNumber, Detail: "the user must be health personnel: the access token has no HPR number"}
		}
		return nil
	})
}

// Profession requires an attest of the trust framework with one of these
// authorisations, given as codes of code system 9060, such as "LE" for a physician. It
// panics without codes. An empty code is never met.
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

const attestLifetime = claims.AttestLifetime

// isWithin reports whether a time is at most this long ago. A time in the future,
// beyond the permitted clock difference, is not.
func isWithin(at time.Time, age time.Duration) bool {
	since := time.Since(at)
	return !at.IsZero() && since <= age && since >= -verification.DefaultLeeway
}

// AuthenticatedWithin requires a login that is at most this old, rounded down to whole
// seconds, with a minimum of one second.
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

// FreshAttest requires an attest of the trust framework that is at most an hour old
// (ATT-58 of the framework's business rules).
func FreshAttest() Requirement {
	return func(_ context.Context, claims *tokenvalidation.Claims) error {
		switch {
		case claims.Attest == nil:
			return &Denial{Reason: ReasonAttestMissing, Detail: "the access token has no attest of the trust framework"}
		case !isWithin(claims.Attest.AttestedAt, attestLifetime):
			return &Denial{Reason: ReasonAttestExpired, Detail: "attestation_has_expired: make a new attest and get a new token with it"}
		}
		return nil
	}
}

// ParentOrganization requires one of these legal entities. For an exchanged token, it
// checks the legal entity that the first client acted for; Actor of
// [tokenvalidation.Claims] has the others. It panics without numbers, so that a list
// that is empty by mistake does not accept every organisation, and if a number does not
// have nine digits.
func ParentOrganization(numbers ...identity.OrganizationNumber) Requirement {
	checkNumbers("ParentOrganization", numbers)
	return organization(ReasonParentOrganization, numbers, parentOf)
}

// AnyParentOrganization requires a legal entity, no matter which.
func AnyParentOrganization() Requirement {
	return organization(ReasonParentOrganization, nil, parentOf)
}

// ChildOrganization requires one of these sub-units. It panics in the same cases as
// [ParentOrganization].
func ChildOrganization(numbers ...identity.OrganizationNumber) Requirement {
	checkNumbers("ChildOrganization", numbers)
	return organization(ReasonChildOrganization, numbers, childOf)
}

// AnyChildOrganization requires a sub-unit, no matter which.
func AnyChildOrganization() Requirement { return organization(ReasonChildOrganization, nil, childOf) }

// SupplierOrganization requires one of these suppliers. It panics in the same cases as
// [ParentOrganization].
func SupplierOrganization(numbers ...identity.OrganizationNumber) Requirement {
	checkNumbers("SupplierOrganization", numbers)
	return organization(ReasonSupplierOrganization, numbers, supplierOf)
}

// AnySupplierOrganization requires a supplier, no matter which.
func AnySupplierOrganization() Requirement {
	return organization(ReasonSupplierOrganization, nil, supplierOf)
}

func parentOf(o identity.Organization) identity.OrganizationNumber   { return o.Parent }
func childOf(o identity.Organization) identity.OrganizationNumber    { return o.Child }
func supplierOf(o identity.Organization) identity.OrganizationNumber { return o.Supplier }

// ParentOrganizationInPath requires that a path parameter equals the token's parent
// organisation: the parameter "parent" of the route "GET /journals/{parent}". The
// router must run before the guard (see [Request.PathValue]). If the route has no such
// parameter, or the guard wraps the router, every caller is answered 500 with the
// reason misconfigured, and Cause of the audit [Record] says why. It panics without a
// name.
func ParentOrganizationInPath(name string) Requirement {
	return organizationInPath("ParentOrganizationInPath", ReasonParentOrganization, name, parentOf)
}

// ChildOrganizationInPath requires that a path parameter equals the token's child
// organisation, in the same way as [ParentOrganizationInPath].
func ChildOrganizationInPath(name string) Requirement {
	return organizationInPath("ChildOrganizationInPath", ReasonChildOrganization, name, childOf)
}

func organizationInPath(function, reason, name string, part func(identity.Organization) identity.OrganizationNumber) Requirement {
	if name == "" {
		panic("middleware: " + function + " needs the name of a part of the path")
	}
	// As net/http and chi write it in a route ({name}, {name...}, {name:regexp}), or gin
	// and echo (:name, *name).
	inRoute := regexp.MustCompile(`[{:*]` + regexp.QuoteMeta(name) + `(?:[}:.]|/|$)`)
	missing := fmt.Errorf("%w: %s: the route has no path parameter %q, or the guard wraps the router", errMisconfigured, function, name)
	return ForRequest(func(_ context.Context, request *Request, claims *tokenvalidation.Claims) error {
		asked := request.PathValue(name)
		if asked == "" && (request.PathValues == nil || !inRoute.MatchString(request.Route)) {
			return missing
		}
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

// OrganizationLookup requires that allowed returns true for the token's organisation. A
// token without an organisation is refused without calling allowed. If allowed returns
// an error, the response is a 503. It panics if allowed is nil.
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
