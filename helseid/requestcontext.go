package helseid

import (
	"context"
	"fmt"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/internal/callcontext"
)

// WithTokenRequest returns a context whose API calls use this token request instead
// of the one that was given to [Client.HTTPClient]. RequireSubjectToken and
// RequireOrganization of the replaced request remain in force, and so does its
// AllowedOrigins unless the new request has its own. An organisation that
// [ForOrganization] has set remains, too.
func WithTokenRequest(ctx context.Context, request TokenRequest) context.Context {
	return context.WithValue(ctx, callcontext.TokenRequest, request.clone())
}

// ForOrganization returns a context whose API calls, and tokens, are for this
// organisation. A multi-tenant client names a parent, and may leave the child empty;
// a single-tenant client names a child only. So one [*http.Client] serves all the
// organisations of a vendor.
//
// If both are empty, the calls fail with an error that wraps [ErrConfig]: a call
// whose organisation was lost by mistake must not be made for no organisation.
func ForOrganization(ctx context.Context, parent, child identity.OrganizationNumber) context.Context {
	return context.WithValue(ctx, callcontext.Organization, clientassertion.Organization{Parent: parent, Child: child})
}

var errNoOrganization = fmt.Errorf("%w: ForOrganization was given no organisation: "+
	"name one; a call that is for none goes without ForOrganization, which a multi-tenant client's own calls never do", ErrConfig)

func isBlank(organization clientassertion.Organization) bool {
	return strings.TrimSpace(string(organization.Parent)) == "" && strings.TrimSpace(string(organization.Child)) == ""
}

// demanding adds the requirements of another request.
func (r TokenRequest) demanding(other TokenRequest) TokenRequest {
	r.RequireSubjectToken = r.RequireSubjectToken || other.RequireSubjectToken
	r.RequireOrganization = r.RequireOrganization || other.RequireOrganization
	if r.AllowedOrigins == nil {
		r.AllowedOrigins = other.AllowedOrigins
	}
	return r
}

// inContext returns the token source for a context: this one, unless the context says
// otherwise. Values of the context are read here and not later, since a shared token
// request has no caller's context.
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
