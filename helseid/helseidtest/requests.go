package helseidtest

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// unprintable gives a type the methods that make it read "[redacted]".
type unprintable = redact.Unprintable

// Request is one request that the server received. Printed, logged or marshalled
// it reads "[redacted]".
type Request struct {
	unprintable

	Endpoint Endpoint
	Method   string

	// Form is the body of a POST request, and Query the URL's query.
	Form, Query url.Values

	// Authorization is the header of that name.
	Authorization string

	// AssertionHeader and Assertion are the client assertion's header and claims
	// as JSON, without its signature; empty if there is none to read.
	AssertionHeader, Assertion string

	// ProofHeader and Proof are the DPoP proof's header and claims as JSON.
	ProofHeader, Proof string

	// RequestObject are the claims of the request object as JSON.
	RequestObject string
}

// Requests returns the requests so far, of the given endpoints or of all.
func (s *Server) Requests(endpoints ...Endpoint) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Request
	for _, request := range s.requests {
		if len(endpoints) == 0 || slices.Contains(endpoints, request.Endpoint) {
			found = append(found, request)
		}
	}
	return found
}

func (s *Server) record(request Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
}

// maxForm bounds the body of a request, in bytes.
const maxForm = 256 << 10

// recordRequest reads the form and writes down what came, before anything is
// made of it. The form can be read again from r.PostForm.
func (s *Server) recordRequest(endpoint Endpoint, r *http.Request) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	_ = r.ParseForm()
	request := Request{
		Endpoint: endpoint, Method: r.Method, Form: r.PostForm, Query: r.URL.Query(),
		Authorization: r.Header.Get("Authorization"),
	}
	request.AssertionHeader, request.Assertion = peek(r.PostForm.Get("client_assertion"))
	request.ProofHeader, request.Proof = peek(r.Header.Get("DPoP"))
	_, request.RequestObject = peek(r.PostForm.Get("request"))
	s.record(request)
}

// peek decodes a JWS without believing it.
func peek(token string) (header, claims string) {
	compact, err := jose.ParseCompact(token, maxForm)
	if err != nil {
		return "", ""
	}
	return compact.HeaderJSON, string(compact.Payload)
}
