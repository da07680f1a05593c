package middleware

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Problem describes the refusal of a request. Nothing in it comes from the request.
type Problem struct {
	// Status is the HTTP status.
	Status int

	// Code is the OAuth error code of the challenge, or "".
	Code string

	// Reason is a code for the rule that was broken, which does not change, such as
	// "token_expired", "proof_htu", "scope" or "security_level".
	Reason string

	// Detail tells the developer of the client what to do.
	Detail string

	// Scope is the scope that is required, for insufficient_scope.
	Scope string

	// ACRValues and MaxAge describe the login that is required, for
	// insufficient_user_authentication (RFC 9470).
	ACRValues string
	MaxAge    time.Duration

	// For the audit record.
	cause    error
	expected string
}

// The error codes of RFC 6750, 9449 and 9470.
const (
	codeInvalidRequest  = "invalid_request"
	codeInvalidToken    = "invalid_token"
	codeInvalidProof    = "invalid_dpop_proof"
	codeUseNonce        = "use_dpop_nonce"
	codeScope           = "insufficient_scope"
	codeAuthentication  = "insufficient_user_authentication"
	reasonUnavailable   = "keys_unavailable"
	reasonReplayStore   = "replay_store_unavailable"
	reasonNoCredentials = "no_credentials"
	reasonOriginal      = "original_request"
	reasonPanicked      = "panicked"
	reasonMisconfigured = "misconfigured"
)

func refused(status int, code, reason, detail string) *Problem {
	return &Problem{Status: status, Code: code, Reason: reason, Detail: detail}
}

// tokenProblem turns an error of the validator into a problem.
func tokenProblem(err error) *Problem {
	if invalid, ok := errors.AsType[*tokenvalidation.Error](err); ok {
		status := http.StatusUnauthorized
		code := codeInvalidToken
		if invalid.Reason == tokenvalidation.ReasonTooLong {
			status, code = http.StatusRequestHeaderFieldsTooLarge, codeInvalidRequest
		}
		return refused(status, code, string(invalid.Reason), invalid.Error())
	}
	problem := refused(http.StatusServiceUnavailable, "", reasonUnavailable, "it cannot be determined at the moment whether the token's key is one of HelseID's: try again later")
	problem.cause = err
	return problem
}

// proofProblem turns an error of the verifier into a problem.
func (m *Middleware) proofProblem(err error) *Problem {
	if invalid, ok := errors.AsType[*dpop.ProofError](err); ok {
		problem := refused(http.StatusUnauthorized, codeInvalidProof, string(invalid.Reason), invalid.Error())
		switch invalid.Reason {
		case dpop.ReasonNonce, dpop.ReasonBeforeStart: // the client succeeds with a new proof
			if m.config.Proof.Nonces != nil {
				problem.Code = codeUseNonce
			}
		case dpop.ReasonBinding:
			problem.Code = codeInvalidToken
		case dpop.ReasonTooLong:
			problem.Status, problem.Code = http.StatusRequestHeaderFieldsTooLarge, codeInvalidRequest
		}
		return problem
	}
	problem := refused(http.StatusServiceUnavailable, "", reasonReplayStore, "it cannot be determined whether the proof has been used before: try again later")
	problem.cause = err
	return problem
}

// expecting stores, for the audit record only, the URL that a proof should have been
// for, without its path. The caller may have invented the host.
func (p *Problem) expecting(target target) *Problem {
	if p.Reason == string(dpop.ReasonURI) {
		p.cause = target.doubt
		if p.expected = target.base; !target.configured {
			p.expected = redact.Text(target.base)
		}
	}
	return p
}

// retryAfter is how long callers should wait after a 503. By then HelseID has been
// asked about an unknown key (see package tokenvalidation).
const retryAfter = 5 * time.Second

// answer writes the refusal. It stays a refusal, whatever WriteProblem writes.
func (m *Middleware) answer(w http.ResponseWriter, r *http.Request, refusal Decision) {
	problem, header := *refusal.Problem, w.Header()
	header.Set("Cache-Control", "no-store")
	if refusal.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64(refusal.RetryAfter/time.Second), 10))
	}
	if refusal.Challenge != "" {
		header.Set("WWW-Authenticate", refusal.Challenge)
	}
	if refusal.Nonce != "" {
		header.Set(dpop.NonceHeaderName, refusal.Nonce)
	}
	if m.config.WriteProblem == nil {
		writeProblem(w, problem)
		return
	}
	body := httpx.Refuse(w, problem.Status)
	m.config.WriteProblem(body, r, problem)
	body.Close()
}

// problemDocument is the body of a refusal.
type problemDocument struct {
	ACRValues string `json:"acr_values,omitempty"`
	Detail    string `json:"detail"`
	Error     string `json:"error,omitempty"`
	MaxAge    int64  `json:"max_age,omitempty"`
	Reason    string `json:"reason"`
	Scope     string `json:"scope,omitempty"`
	Status    int    `json:"status"`
	Title     string `json:"title"`
}

// writeProblem writes the document of RFC 9457.
func writeProblem(w http.ResponseWriter, problem Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.Status)
	_ = json.NewEncoder(w).Encode(problemDocument{
		ACRValues: problem.ACRValues,
		Detail:    problem.Detail,
		Error:     problem.Code,
		MaxAge:    int64(problem.MaxAge / time.Second),
		Reason:    problem.Reason,
		Scope:     problem.Scope,
		Status:    problem.Status,
		Title:     http.StatusText(problem.Status),
	})
}

// challenge returns the single challenge, with the endpoint's scheme (RFC 6750 section
// 3, RFC 9449 section 7.1, RFC 9470 section 3). A request without credentials gets no
// error code. Every value is a constant of this package or comes from the API's
// configuration.
func (m *Middleware) challenge(problem *Problem) string {
	var parameters []string
	add := func(name, value string) {
		if value != "" {
			parameters = append(parameters, name+`="`+quoted(value)+`"`)
		}
	}
	add("realm", m.config.Realm)
	if problem.Code != "" {
		add("error", problem.Code)
		add("error_description", problem.Detail)
		add("scope", problem.Scope)
		add("acr_values", problem.ACRValues)
		if problem.MaxAge > 0 {
			add("max_age", strconv.FormatInt(int64(problem.MaxAge/time.Second), 10))
		}
	}
	scheme := schemeBearer
	if !m.config.BearerOnly {
		scheme = schemeDPoP
		add("algs", m.algs)
	}
	if len(parameters) == 0 {
		return scheme
	}
	return scheme + " " + strings.Join(parameters, ", ")
}

// quoted makes a text valid in a quoted-string of printable ASCII (RFC 9110 section
// 5.6.4), with the characters replaced that error_description must not have.
func quoted(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, text)
}
