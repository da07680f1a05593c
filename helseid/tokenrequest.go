package helseid

import (
	"slices"

	"github.com/helseid-go/sdk/clientassertion"
)

// TokenRequest says which token is wanted, and where it may be sent. The zero value
// asks for a token with every API scope that the client has been granted. Printed,
// logged or marshalled it reads "[redacted]": its details may concern a patient.
type TokenRequest struct {
	unprintable

	// Scopes to ask for, such as "nhn:kjernejournal/api". Order and repetition
	// do not matter. Empty leaves the parameter out.
	Scopes []string

	// Resource is the short name of the one API that the token is for, such as
	// "nhn:kjernejournal" (RFC 8707). Empty leaves the parameter out.
	Resource string

	// Organization is the organisation that the token is for. [ForOrganization] sets
	// it for a single call, and takes precedence.
	Organization clientassertion.Organization

	// JournalID is the SFM journal, a UUID, that a multi-tenant client asks for.
	JournalID string

	// Attest is the trust framework's attest. A token with it is used for
	// 60 minutes at most (ATT-58); call [TokenSource.Forget] when the user changes to
	// another patient.
	Attest *clientassertion.Attest

	// Details are further structured details for the client assertion, as JSON
	// ([clientassertion.ParseDetail]).
	Details []clientassertion.Detail

	// UnboundBearerToken asks for a bearer token instead of one that is bound to the
	// client's key, for an API that has not moved to DPoP. Whoever steals such a
	// token can use it. It is never a fallback: without this option, a bearer token
	// is refused.
	//
	// For a session's call the refresh token is then sent without a proof. How
	// HelseID reacts to that is not documented: it may refuse the refresh token,
	// which ends the session ([ErrLoginRequired]). Try it in the test environment
	// first, with the client's own registration.
	UnboundBearerToken bool

	// AcceptMissingScopes accepts a token that was granted without some of Scopes. By
	// default that is an error ([ErrScopeNotGranted]), since the API would refuse the
	// call later and with a less helpful error. Without Scopes, none can be missing.
	AcceptMissingScopes bool

	// RequireSubjectToken makes a call whose context has no subject token
	// ([WithSubjectToken]) an error ([ErrConfig]). Without it, such a call carries
	// the client's own token, as a system, if HelseID grants one. Set it where
	// every call is on behalf of a caller.
	RequireSubjectToken bool

	// RequireOrganization makes a call that is for no organisation an error
	// ([ErrConfig]), before anything is sent. Set it where every call is for an
	// organisation, so that a forgotten one is noticed. A session whose login named
	// an organisation fulfils it.
	RequireOrganization bool

	// AllowedOrigins are the origins ("https://api.example.no") that requests with
	// the token may be sent to, also by redirect. Nil means any https origin, and
	// redirects only within the origin that was called; a list without an origin is
	// an error. [Config.AllowedOrigins] must allow the origin, too.
	AllowedOrigins []string
}

// clone copies everything that the caller could change later.
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
