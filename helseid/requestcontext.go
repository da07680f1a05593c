package helseid

import (
	"context"
	"fmt"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/internal/callcontext"
)

// WithTokenRequest returns a context whose API calls use this token request in place of
// the one that was given to [Client.HTTPClient]. The demands of that one stay: its
// RequireSubjectToken and RequireOrganization, and its AllowedOrigins unless this one has
// its own. An organisation that [ForOrganization] has set stays too.
func WithTokenRequest(ctx context.Context, request TokenRequest) context.Context {
	return context.WithValue(ctx, callcontext.TokenRequest, request.clone())
}

// ForOrganization returns a context whose API calls, and tokens, are for this
// organisation: with a parent for a multi-tenant client, where the child may be
// empty; with a child alone for a single-tenant one. One *http.Client so serves
// all the organisations of a vendor.
//
// With neither, the calls are errors that wrap [ErrConfig]: an organisation that got lost
// on the way must not turn a call for it into a call for none.
func ForOrganization(ctx context.Context, parent, child identity.OrganizationNumber) context.Context {
	return context.WithValue(ctx, callcontext.Organization, clientassertion.Organization{Parent: parent, Child: child})
}

var errNoOrganization = fmt.Errorf("%w: ForOrganization was given no organisation: "+
	"leave it out for calls that are for none", ErrConfig)

func isBlank(organization clientassertion.Organization) bool {
	return strings.TrimSpace(string(organization.Parent)) == "" && strings.TrimSpace(string(organization.Child)) == ""
}

// demanding adds what another request demands.
func (r TokenRequest) demanding(other TokenRequest) TokenRequest {
	r.RequireSubjectToken = r.RequireSubjectToken || other.RequireSubjectToken
	r.RequireOrganization = r.RequireOrganization || other.RequireOrganization
	if r.AllowedOrigins == nil {
		r.AllowedOrigins = other.AllowedOrigins
	}
	return r
}

// inContext returns the token source that a context asks for, which is this one unless
// the context says otherwise. What comes from the context is resolved here: a shared
// token request carries nobody's context.
func (s *TokenSource) inContext(ctx context.Context) *TokenSource {
	request, replaced := ctx.Value(callcontext.TokenRequest).(TokenRequest)
	organization, composed := ctx.Value(callcontext.Organization).(clientassertion.Organization)
	subject, exchanged := ctx.Value(callcontext.SubjectToken).(*subjectToken)
	if composed && isBlank(organization) {
		return &TokenSource{tokens: s.tokens, calls: s.calls, err: errNoOrganization}
	}
	if !replaced {
		if !exchanged && (!composed || s.original.Organization == organization) {
			return s
		}
		request = s.original
	} else {
		request = request.demanding(s.original)
		if s.session != nil {
			request = s.session.withResource(request)
		}
	}
	if composed {
		request.Organization = organization
	}
	if exchanged {
		s = &TokenSource{tokens: s.tokens, calls: s.calls, session: s.session, subject: subject}
	}
	return s.with(request)
}
