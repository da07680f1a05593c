package helseidtest

import (
	"net/http"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/selvbetjening"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/testtoken"
	"github.com/helseid-go/sdk/internal/httpx"
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(endpoint Endpoint, handler http.HandlerFunc) {
		mux.Handle(s.base+string(endpoint), s.observed(endpoint, handler))
	}
	handle(EndpointMetadata, s.serveMetadata)
	handle(EndpointJWKS, s.serveJWKS)
	handle(EndpointToken, s.serveToken)
	handle(EndpointPAR, s.servePAR)
	handle(EndpointAuthorize, s.serveAuthorize)
	handle(EndpointUserInfo, s.serveUserInfo)
	handle(EndpointRevocation, s.serveRevocation)
	handle(EndpointEndSession, s.serveEndSession)
	handle(endpointAvailableIDPs, s.serveAvailableIDPs)
	if s.options.loginPage != nil {
		handle(endpointLogin, s.serveLogin)
	}
	if s.options.testTokens {
		handle(testtoken.Path, s.testTokens().ServeHTTP)
	}
	if s.self != nil {
		handlers := s.self.Handlers()
		for path, handler := range handlers {
			handle(Endpoint(path), handler)
		}
		for older, path := range selvbetjening.OlderPaths {
			mux.Handle(s.base+older, s.observed(Endpoint(path), handlers[path]))
		}
	}
	if s.options.startPage != nil {
		mux.Handle(s.base+"/", s.options.startPage)
	}
	return mux
}

// observed records requests, and adds the server's date and the injected faults to a
// handler.
func (s *Server) observed(endpoint Endpoint, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("Cache-Control", "no-store")
		// The body is read first, so that a fault occurs after the server has received
		// the credentials, which is the dangerous case.
		answer := httpx.BeforeHeader(w, s.recordRequest(endpoint, r))
		if fault := s.takeFault(endpoint); fault != nil {
			fault.serve(answer, r, next)
		} else {
			next(answer, r)
		}
		answer.Close()
	})
}
