package helseidtest

import (
	"errors"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/jose"
)

// checkProof requires a valid proof for an endpoint with POST, with a nonce of this
// server.
func (s *Server) checkProof(w http.ResponseWriter, r *http.Request, endpoint Endpoint) (*dpop.Proof, *refusal) {
	proof, refused := s.checkProofFor(r, dpop.Expectation{Method: http.MethodPost, URI: s.issuer + string(endpoint)})
	if refused != nil {
		return nil, refused
	}
	if !s.acceptNonce(w, proof.Nonce) {
		return nil, &refusal{http.StatusBadRequest, "use_dpop_nonce", "a DPoP nonce of this server is required"}
	}
	return proof, nil
}

func (s *Server) checkProofFor(r *http.Request, expected dpop.Expectation) (*dpop.Proof, *refusal) {
	invalidProof := func(description string) *refusal {
		return &refusal{http.StatusBadRequest, "invalid_dpop_proof", description}
	}
	headers := r.Header.Values(dpop.HeaderName)
	if len(headers) != 1 {
		return nil, invalidProof("exactly one DPoP header is needed")
	}
	proof, err := s.verifier.Verify(r.Context(), headers[0], expected)
	if err != nil {
		if reason, ok := errors.AsType[*dpop.ProofError](err); ok {
			return nil, invalidProof(reason.Error())
		}
		return nil, &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "the replay store is full"}
	}
	return proof, nil
}

// nonceLifetime is how long a nonce can be reused. HelseID does not publish its own
// lifetime.
const nonceLifetime = 2 * time.Minute

// acceptNonce checks a nonce. It sends a new one if the nonce is refused, or with each
// response if that is required.
func (s *Server) acceptNonce(w http.ResponseWriter, nonce string) bool {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	expiry, known := s.nonces[nonce]
	accepted := known && now.Before(expiry)
	if s.nonceEach {
		accepted = nonce != "" && nonce == s.lastNonce
	}
	if !s.demands(rule.Nonce) && !s.nonceEach && nonce == "" {
		accepted = true
	}
	if !accepted || s.nonceEach {
		s.lastNonce = jose.NewID()
		s.nonces[s.lastNonce] = now.Add(nonceLifetime)
		w.Header().Set(dpop.NonceHeaderName, s.lastNonce)
	}
	for old, expiry := range s.nonces {
		if now.After(expiry) {
			delete(s.nonces, old)
		}
	}
	return accepted
}
