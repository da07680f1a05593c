package middleware

import (
	"context"
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/redact"
)

// pass is what a request was like when a Middleware found it to be genuine. Its proof
// has been used up by that, so a second guard of the same Middleware must know the
// request again.
type pass struct {
	by   *Middleware
	what redact.Hidden[requestIdentity]
	path string          // that handlers were given
	over <-chan struct{} // closed when the request has been answered
}

// requestIdentity is what the credentials of a request are for, and they themselves.
type requestIdentity struct {
	authorization, proof string
	method, host, target string
	original             string // what a forward-auth proxy asks about
}

// identityOf is not ok for a request without credentials, or with several.
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

// passFor is to be known again by.
func (m *Middleware) passFor(ctx context.Context, r *http.Request) pass {
	found, ok := m.identityOf(r)
	if !ok {
		return pass{}
	}
	return pass{by: m, what: redact.Hide(found), path: r.URL.Path, over: ctx.Done()}
}

// recognise returns the caller whom an outer guard of this Middleware has found, or
// nil if the request is not the one that it has looked at: a handler may send another
// one on its way with the same context, also with the same credentials.
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

// callerOf is the nearest caller whom this Middleware has found, perhaps outside of
// another one.
func (m *Middleware) callerOf(ctx context.Context) *caller {
	found := callerOf(ctx)
	for found != nil && found.pass.by != m {
		found = found.outer
	}
	return found
}

// isOf takes a path for the same that has lost its beginning: http.StripPrefix cuts
// it off. A context that goes on although the request has been answered is somebody
// else's.
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

// admitAgain takes over what is known from an outer guard. There is no new proof, and
// the outer guard hands out the nonce.
func (c *caller) admitAgain(outer *caller) {
	c.claims, c.token, c.pass = outer.claims, outer.token, outer.pass
	c.proven, c.nested = true, true
}
