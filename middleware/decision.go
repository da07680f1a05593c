package middleware

import (
	"context"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/tokenvalidation"
)

// Decision says whether a request is accepted. The zero value refuses the request.
type Decision struct {
	// Claims are the claims of the caller's access token, or nil if the request is
	// refused.
	Claims *tokenvalidation.Claims

	// Problem is the reason why the request is refused, or nil if it is accepted.
	Problem *Problem

	// Challenge is the value of the WWW-Authenticate header for a refused request. It
	// is empty if no other credentials would help, as with status 500 or 503.
	Challenge string

	// Nonce is the value of the DPoP-Nonce header, or empty if the client needs no new
	// nonce. A response that carries it must not be cached (RFC 9449 section 8.2).
	Nonce string

	// RetryAfter is how long the caller should wait after a 503, or zero.
	RetryAfter time.Duration

	caller *caller
}

// Allowed reports whether the request is accepted.
func (d Decision) Allowed() bool { return d.caller != nil && d.Problem == nil }

// Context returns a context for the handler, in which [Claims] and [Token] find the
// caller. It returns ctx unchanged if the request is refused.
func (d Decision) Context(ctx context.Context) context.Context {
	if !d.Allowed() || callerOf(ctx) == d.caller {
		return ctx
	}
	return context.WithValue(ctx, contextKey{}, d.caller)
}

// Decide makes the decision of [Middleware.Guard] for protocols and frameworks other
// than net/http, such as a gRPC interceptor, and leaves the response to the caller.
// Nothing is protected unless the caller obeys the decision. A request that an outer
// Decide or guard of the same [Middleware] has already accepted, as its context shows,
// is checked against these requirements only.
//
// It panics if a requirement is nil. If a requirement panics, the panic is passed on
// after an audit record is written.
func (m *Middleware) Decide(ctx context.Context, request Request, requirements ...Requirement) Decision {
	all := All(requirements...)
	if !request.asHTTP(ctx) {
		return m.conclude(ctx, &request, time.Now(), func(*caller) *Problem {
			return refused(http.StatusBadRequest, codeInvalidRequest, reasonOriginal, errNoOriginal.Error())
		})
	}
	return m.decide(ctx, &request, all)
}

// decide runs all checks and records the outcome, also that of a panic.
func (m *Middleware) decide(ctx context.Context, request *Request, requirement Requirement) Decision {
	return m.conclude(ctx, request, time.Now(), func(found *caller) *Problem {
		if outer := m.recognise(ctx, request); outer != nil {
			found.admitAgain(outer)
		} else if problem := m.authenticate(ctx, request, found); problem != nil {
			return problem
		}
		if err := request.ofOriginal(&m.location); err != nil {
			return refused(http.StatusBadRequest, codeInvalidRequest, reasonOriginal, err.Error())
		}
		return requirementProblem(requirement(context.WithValue(ctx, contextKey{}, found), found.claims))
	})
}

// conclude makes a decision from the result of the checks and records it. The checks
// store the caller in their argument as soon as it is known.
func (m *Middleware) conclude(ctx context.Context, request *Request, start time.Time, checks func(*caller) *Problem) Decision {
	found := &caller{request: request, outer: callerOf(ctx)}
	problem := panicked
	defer func() { m.audit(ctx, found, problem, start) }()
	problem = checks(found)
	if problem != nil {
		return m.refusal(problem)
	}
	return Decision{Claims: found.claims, Nonce: m.newerNonce(found), caller: found}
}

// panicked is recorded for a request that got no response because of a panic.
var panicked = &Problem{Status: http.StatusInternalServerError, Reason: reasonPanicked}

// refusal turns a problem into a decision.
func (m *Middleware) refusal(problem *Problem) Decision {
	decision := Decision{Problem: problem}
	switch {
	case problem.Status == http.StatusServiceUnavailable:
		decision.RetryAfter = retryAfter
	case problem.Status < http.StatusInternalServerError:
		decision.Challenge = m.challenge(problem)
	}
	if problem.Code == codeUseNonce {
		decision.Nonce = m.config.Proof.Nonces.Nonce()
	}
	return decision
}

// newerNonce returns the newest nonce if the client used an older one, or "".
func (m *Middleware) newerNonce(found *caller) string {
	if nonces := m.config.Proof.Nonces; nonces != nil && found.proof != nil {
		if newest := nonces.Nonce(); newest != found.proof.Nonce {
			return newest
		}
	}
	return ""
}
