package middleware

import (
	"context"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/tokenvalidation"
)

// Decision says whether a request is let in. The zero value lets nobody in.
type Decision struct {
	// Claims is what the caller's access token says, or nil if the request is
	// refused.
	Claims *tokenvalidation.Claims

	// Problem says why the request is refused, or is nil if it is let in.
	Problem *Problem

	// Challenge is the value of the header WWW-Authenticate for a request that is
	// refused. It is empty if nothing that the caller could send would help, as with
	// status 503.
	Challenge string

	// Nonce is the value of the header DPoP-Nonce, or empty if the client needs no new
	// one. An answer that carries it must not be cached (RFC 9449 section 8.2).
	Nonce string

	// RetryAfter is how long a caller should wait who has got a 503, or zero.
	RetryAfter time.Duration

	caller *caller
}

// Allowed reports whether the request is let in.
func (d Decision) Allowed() bool { return d.caller != nil && d.Problem == nil }

// Context returns a context for the handler, in which [Claims] and [Token] find the
// caller. It is the same context if the request is refused.
func (d Decision) Context(ctx context.Context) context.Context {
	if !d.Allowed() || callerOf(ctx) == d.caller {
		return ctx
	}
	return context.WithValue(ctx, contextKey{}, d.caller)
}

// Decide is the way in for other protocols and frameworks than net/http, such as an
// interceptor of gRPC: it does what [Middleware.Guard] does, and leaves the answer to
// the caller. Whoever does not look at the decision lets everybody in. A request that
// an outer Decide or guard of the same Middleware has let in, as its context says, is
// checked against these requirements alone.
//
// It panics if a requirement is nil, and leaves an audit record if one panics.
func (m *Middleware) Decide(ctx context.Context, request Request, requirements ...Requirement) Decision {
	all := All(requirements...)
	if !request.asHTTP() {
		return m.conclude(ctx, &request, time.Now(), func(*caller) *Problem {
			return refused(http.StatusBadRequest, codeInvalidRequest, reasonOriginal, errNoOriginal.Error())
		})
	}
	return m.decide(ctx, &request, all)
}

// decide goes through all checks and records the outcome, also that of a panic.
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

// conclude makes a decision of what the checks find, and puts it on record. The checks
// write down whom they have found as soon as it is known.
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

// panicked is on record for a request of which nobody has been told anything.
var panicked = &Problem{Status: http.StatusInternalServerError, Reason: reasonPanicked}

// refusal says what is to be answered to a problem.
func (m *Middleware) refusal(problem *Problem) Decision {
	decision := Decision{Problem: problem}
	if problem.Status == http.StatusServiceUnavailable {
		decision.RetryAfter = retryAfter
	} else {
		decision.Challenge = m.challenge(problem)
	}
	if problem.Code == codeUseNonce {
		decision.Nonce = m.config.Proof.Nonces.Nonce()
	}
	return decision
}

// newerNonce is the newest nonce for a client that has an older one.
func (m *Middleware) newerNonce(found *caller) string {
	if nonces := m.config.Proof.Nonces; nonces != nil && found.proof != nil {
		if newest := nonces.Nonce(); newest != found.proof.Nonce {
			return newest
		}
	}
	return ""
}
