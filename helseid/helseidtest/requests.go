package helseidtest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// unprintable makes the type that embeds it print as "[redacted]".
type unprintable = redact.Unprintable

// Request is one request that the server received. Printed it reads like
// "POST /connect/token 200"; logged or marshalled it reads "[redacted]".
type Request struct {
	unprintable

	Endpoint Endpoint
	Method   string

	// Status is the status of the response: 400 if a nonce was demanded (the error is
	// use_dpop_nonce), after which the client repeats the request. Zero means that
	// there was no response, or not yet.
	Status int

	// Form is the body of a POST request, and Query the URL's query.
	Form, Query url.Values

	// Authorization is the Authorization header.
	Authorization string

	// AssertionHeader and Assertion are the client assertion's header and claims as
	// JSON, without its signature. They are empty if there is no readable assertion.
	AssertionHeader, Assertion string

	// ProofHeader and Proof are the DPoP proof's header and claims as JSON.
	ProofHeader, Proof string

	// RequestObject are the claims of the request object as JSON.
	RequestObject string
}

// String returns the method, the endpoint and the status.
func (r Request) String() string {
	text := r.Method + " " + string(r.Endpoint)
	if r.Status == 0 {
		return text
	}
	return text + " " + strconv.Itoa(r.Status)
}

// Format prints the result of String for every verb.
func (r Request) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, r.String()) }

// Requests returns the requests so far, to the given endpoints or to all. They include
// those that were answered with a demand for a nonce: see [Request.Status].
func (s *Server) Requests(endpoints ...Endpoint) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Request
	for _, request := range s.requests {
		if len(endpoints) == 0 || slices.Contains(endpoints, EndpointAll) || slices.Contains(endpoints, request.Endpoint) {
			found = append(found, *request)
		}
	}
	return found
}

func (s *Server) record(request *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
	if s.remote && len(s.requests) > 2*maxRecorded {
		s.requests = slices.Clone(s.requests[len(s.requests)-maxRecorded:])
	}
}

// maxRecorded bounds the requests of a server that runs for days.
const maxRecorded = 1000

// maxForm bounds the body of a request, in bytes.
const maxForm = 256 << 10

// recordRequest parses the form and records the request before it is processed. The
// form stays available in r.PostForm. The function that is returned records the status of
// the response.
func (s *Server) recordRequest(endpoint Endpoint, r *http.Request) (answered func(status int) int) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	_ = r.ParseForm()
	request := &Request{
		Endpoint: endpoint, Method: r.Method, Form: r.PostForm, Query: r.URL.Query(),
		Authorization: r.Header.Get("Authorization"),
	}
	request.AssertionHeader, request.Assertion = peek(r.PostForm.Get("client_assertion"))
	request.ProofHeader, request.Proof = peek(r.Header.Get("DPoP"))
	_, request.RequestObject = peek(r.PostForm.Get("request"))
	s.record(request)
	return func(status int) int {
		s.mu.Lock()
		defer s.mu.Unlock()
		request.Status = status
		return status
	}
}

// peek decodes a JWS without verifying it.
func peek(token string) (header, claims string) {
	compact, err := jose.ParseCompact(token, maxForm)
	if err != nil {
		return "", ""
	}
	return compact.HeaderJSON, string(compact.Payload)
}
