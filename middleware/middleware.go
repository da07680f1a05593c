package middleware

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/internal/verification"
	"github.com/helseid-go/sdk/tokenvalidation"
)

const (
	schemeDPoP   = "DPoP"
	schemeBearer = "Bearer"

	// maxTarget is the longest request target, in bytes, path and query together. It is
	// four times the default limit of nginx, Apache and Kestrel. All of the target is
	// compared with the proof or searched for a token.
	maxTarget = 32 << 10

	// maxAuthorization has room for a scheme before a token that is too long by itself,
	// so that such a request is refused with the reason token_too_long.
	maxAuthorization = verification.MaxToken + 64
)

// Require guards a handler function: only requests with a valid token and proof that
// meet all requirements reach it. Without requirements a valid token and proof are
// enough. It panics if the handler or a requirement is nil.
func (m *Middleware) Require(handler http.HandlerFunc, requirements ...Requirement) http.Handler {
	if handler == nil { // a nil function in an interface is not nil
		panic("middleware: Require needs a handler")
	}
	return m.Guard(requirements...)(handler)
}

// Guard returns the same as a function from handler to handler, the form that routers
// accept as middleware. It panics if a requirement is nil, and the function that it
// returns panics if the handler is.
//
// A request that another guard of the same [Middleware] has already accepted is checked
// against these requirements only.
func (m *Middleware) Guard(requirements ...Requirement) func(http.Handler) http.Handler {
	all := All(requirements...)
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("middleware: Guard needs a handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			decision := m.decide(r.Context(), ofHTTP(r), all)
			if !decision.Allowed() {
				m.answer(w, r, decision)
				return
			}
			withNonce(w, decision.Nonce, func(w http.ResponseWriter) {
				httpx.ServeContext(next, w, r, decision.Context(r.Context()))
			})
		})
	}
}

// withNonce sets the newest nonce, if there is one, on the response that serve writes.
// No cache may keep such a response, whatever the handler sets: a nonce from a cache is
// outdated. So the headers are set when the header is sent, and a router's adapter that
// bypasses this writer sends no nonce.
func withNonce(w http.ResponseWriter, nonce string, serve func(http.ResponseWriter)) {
	if nonce == "" {
		serve(w)
		return
	}
	set := func() {
		w.Header().Set(dpop.NonceHeaderName, nonce)
		w.Header().Set("Cache-Control", "no-store")
	}
	serve(httpx.BeforeHeader(w, func(status int) int {
		set()
		return status
	}))
	set() // if serve has written nothing, the header is not sent yet
}

// authenticate runs the checks, cheapest first, and sends no request on behalf of a
// caller who has not passed the earlier checks. It stores the caller in found as soon
// as the token is known to be genuine, so that a later refusal can be recorded with the
// caller's name.
func (m *Middleware) authenticate(ctx context.Context, request *Request, found *caller) *Problem {
	r := request.http
	token, problem := m.credentials(r)
	if problem != nil {
		return problem
	}
	claims, err := m.validator.Validate(ctx, token)
	if err != nil {
		return tokenProblem(err)
	}
	found.claims, found.token = claims, identity.NewSecret(token)
	if problem := m.checkBinding(claims.Confirmation); problem != nil {
		return problem
	}
	if !m.config.BearerOnly {
		target, err := m.location.target(r)
		if err != nil {
			return refused(http.StatusBadRequest, codeInvalidRequest, reasonOriginal, err.Error())
		}
		found.proof, err = m.verifier.Verify(ctx, r.Header.Get(dpop.HeaderName), dpop.Expectation{
			Method:      target.method,
			URI:         target.uri(),
			AccessToken: token,
			Thumbprint:  claims.Confirmation.Thumbprint,
			Client:      claims.ClientID,
		})
		if err != nil {
			return m.proofProblem(err).expecting(target)
		}
	}
	found.proven, found.pass = true, m.passFor(ctx, r)
	return nil
}

// credentials checks the headers and the URL, and returns the token.
func (m *Middleware) credentials(r *http.Request) (string, *Problem) {
	authorization, proofs := r.Header.Values("Authorization"), r.Header.Values(dpop.HeaderName)
	switch {
	case len(authorization) == 0:
		return "", refused(http.StatusUnauthorized, "", reasonNoCredentials, "the Authorization header is missing")
	case len(authorization) > 1:
		return "", refused(http.StatusUnauthorized, codeInvalidRequest, "authorization_repeated", "there is more than one Authorization header")
	case len(authorization[0]) > maxAuthorization:
		return "", tokenProblem(&tokenvalidation.Error{Reason: tokenvalidation.ReasonTooLong})
	case m.location.isTooLong(r):
		return "", refused(http.StatusRequestURITooLong, codeInvalidRequest, "target_too_long", "the path and the query of the URL are too long")
	case hasParameter(m.location.queries(r), "access_token"): // RFC 6750 section 2
		return "", refused(http.StatusBadRequest, codeInvalidRequest, "token_in_query", "send the access token in the Authorization header only, never in the URL")
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	token = strings.TrimLeft(token, " ")
	want := schemeDPoP
	if m.config.BearerOnly {
		want = schemeBearer
	}
	switch {
	case strings.EqualFold(scheme, want):
	case strings.EqualFold(scheme, schemeDPoP), strings.EqualFold(scheme, schemeBearer):
		return "", refused(http.StatusUnauthorized, codeInvalidToken, "authorization_scheme", "this API takes tokens with the scheme "+want+" only")
	default:
		return "", refused(http.StatusUnauthorized, "", reasonNoCredentials, "the Authorization header does not have the scheme "+want)
	}
	switch {
	case token == "":
		return "", refused(http.StatusUnauthorized, codeInvalidToken, string(tokenvalidation.ReasonMalformed), "the Authorization header holds no token")
	case m.config.BearerOnly && len(proofs) > 0:
		return "", refused(http.StatusUnauthorized, codeInvalidRequest, "proof_unexpected", "this API takes no DPoP proofs")
	case m.config.BearerOnly:
		return token, nil
	case len(proofs) == 0:
		return "", refused(http.StatusUnauthorized, codeInvalidRequest, "proof_missing", "the DPoP header is missing")
	case len(proofs) > 1:
		return "", refused(http.StatusUnauthorized, codeInvalidRequest, "proof_repeated", "there is more than one DPoP header")
	case len(proofs[0]) > jose.MaxProof:
		return "", m.proofProblem(&dpop.ProofError{Reason: dpop.ReasonTooLong})
	}
	return token, nil
}

// hasParameter reports whether a query has a parameter of this name, escaped or not.
func hasParameter(query, name string) bool {
	for start := 0; start <= len(query); {
		end := start
		for end < len(query) && query[end] != '&' && query[end] != ';' {
			end++
		}
		key, _, _ := strings.Cut(query[start:end], "=")
		if isEscaped(key, name) {
			return true
		}
		start = end + 1
	}
	return false
}

// isEscaped reports whether text, as it is written in a query, stands for name.
func isEscaped(text, name string) bool {
	if len(text) < len(name) || len(text) > 3*len(name) {
		return false
	}
	if text == name {
		return true
	}
	decoded, err := url.QueryUnescape(text)
	return err == nil && decoded == name
}

// checkBinding refuses a token whose binding (cnf) this API cannot check or does not
// accept.
func (m *Middleware) checkBinding(confirmation tokenvalidation.Confirmation) *Problem {
	invalid := func(detail string) *Problem {
		return refused(http.StatusUnauthorized, codeInvalidToken, "token_binding", detail)
	}
	switch {
	case confirmation.Unsupported:
		return invalid("the access token is bound in a way that this API cannot check (cnf)")
	case m.config.BearerOnly && confirmation.Present:
		return invalid("the access token is bound to a key, and this API takes bearer tokens only")
	case !m.config.BearerOnly && !confirmation.Present:
		return invalid("the access token is not bound to a DPoP key (cnf.jkt)")
	}
	return nil
}

// requirementProblem turns a requirement's error into a problem.
func requirementProblem(err error) *Problem {
	var denial *Denial
	switch {
	case err == nil:
		return nil
	case errors.As(err, &denial):
		return denial.problem()
	}
	if errors.Is(err, errMisconfigured) {
		problem := refused(http.StatusInternalServerError, "", reasonMisconfigured, "this API is not set up correctly: tell its owner")
		problem.cause = err
		return problem
	}
	problem := refused(http.StatusForbidden, codeScope, ReasonRequirement, detailRequirement)
	if isUnavailable(err) {
		problem = refused(http.StatusServiceUnavailable, "", "lookup_unavailable", "it cannot be determined at the moment whether the caller may do this: try again later")
	}
	problem.cause = redact.Foreign(err)
	return problem
}

const detailRequirement = "the caller does not meet a requirement of this API"

// isUnavailable reports that a requirement could not be checked: a service that it
// asked is down, here or at HelseID, or has not answered in time.
func isUnavailable(err error) bool {
	return redact.IsOutage(err) || errors.Is(err, tokenvalidation.ErrUnavailable) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// isUndecided reports that a requirement could not be checked, now or ever.
func isUndecided(err error) bool { return isUnavailable(err) || errors.Is(err, errMisconfigured) }
