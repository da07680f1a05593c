package middleware

import (
	"context"
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/redact"
)

// pass describes a request that a Middleware has found genuine. Its proof is now used
// up, so an inner guard of the same Middleware must recognise the request by other
// means.
type pass struct {
	by   *Middleware
	what redact.Hidden[requestIdentity]
	path string          // as the handlers see it
	over <-chan struct{} // closed when the request has been answered
}

// requestIdentity holds the credentials of a request and what they are for.
type requestIdentity struct {
	authorization, proof string
	method, host, target string
	original             string // the request that a forward-auth proxy asks about
}

// identityOf is not ok for a request without credentials, or with more than one.
func (m *Middleware) identityOf(r *http.Request) (found requestIdentity, ok bool) {
	authorization, proofs := r.Header.Values("Authorization"), r.Header.Values(dpop.HeaderName)
	if len(authorization) != 1 || len(proofs) > 1 || r.URL == nil {
		return requestIdentity{}, false
	}
	found = requestIdentity{authorization: authorization[0], proof: strings.Join(proofs, ""), method: r.Method, host: r.Host, target: r.RequestURI}
	if found.target == "" { // no server has read the request
		found.target = r.URL.RequestURI()
	}
	if auth := m.location.auth; auth != nil {
		found.original = strings.Join(append(r.Header.Values(auth.method), r.Header.Values(auth.uri)...), "\n")
	}
	return found, true
}

// passFor returns the pass by which inner guards recognise the request.
func (m *Middleware) passFor(ctx context.Context, r *http.Request) pass {
	found, ok := m.identityOf(r)
	if !ok {
		return pass{}
	}
	return pass{by: m, what: redact.Hide(found), path: r.URL.Path, over: ctx.Done()}
}

// recognise returns the caller whom an outer guard of this Middleware has accepted, or
// nil if this is not the request that it has checked: a handler may pass another
// request on with the same context, even with the same credentials.
func (m *Middleware) recognise(ctx context.Context, request *Request) *caller {
	outer := m.callerOf(ctx)
	if outer == nil {
		return nil
	}
	if now, ok := m.identityOf(request.http); ok && outer.pass.isOf(ctx, now, request.http.URL.Path) {
		return outer
	}
	return nil
}

// callerOf returns the innermost caller that this Middleware has accepted. Guards of
// other Middlewares may lie in between.
func (m *Middleware) callerOf(ctx context.Context) *caller {
	found := callerOf(ctx)
	for found != nil && found.pass.by != m {
		found = found.outer
	}
	return found
}

// isOf reports whether the pass is for this request. A path that has lost a prefix
// counts as the same, since [http.StripPrefix] removes it. A context that is used after
// the request has been answered belongs to another request.
func (p *pass) isOf(ctx context.Context, now requestIdentity, path string) bool {
	select {
	case <-p.over:
		if ctx.Err() == nil {
			return false
		}
	default:
	}
	return p.what.Reveal() == now && strings.HasSuffix(p.path, path)
}

// admitAgain takes over what an outer guard has found. There is no new proof, and the
// outer guard sends the nonce.
func (c *caller) admitAgain(outer *caller) {
	c.claims, c.token, c.pass = outer.claims, outer.token, outer.pass
	c.proven, c.nested = true, true
}
