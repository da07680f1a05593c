package helseidtest

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/middleware"
)

// The endpoints of HelseID Selvbetjening, by their paths below the issuer, with
// the option Selvbetjening.
const (
	EndpointClientSecret  Endpoint = selvbetjeningPath + "/v1/client-secret"
	EndpointClientConfig  Endpoint = selvbetjeningPath + "/v1/client"
	EndpointClientDrafts  Endpoint = selvbetjeningPath + "/v1/client-drafts"
	EndpointDelegations   Endpoint = selvbetjeningPath + "/v1/multi-tenant-delegations"
	EndpointConfirmClient Endpoint = selvbetjeningPath + "/confirm-client/"
)

const (
	selvbetjeningPath     = "/selvbetjening"
	selvbetjeningAudience = "nhn:selvbetjening"
)

// olderPaths are other names of endpoints, which HelseID still answers to.
var olderPaths = map[string]Endpoint{
	selvbetjeningPath + "/v1/client-status":   EndpointClientConfig,
	selvbetjeningPath + "/v0.1/client-drafts": EndpointClientDrafts,
}

// What HelseID Selvbetjening's API goes by.
const (
	// SelvbetjeningScope is the scope that a client needs for it, among its
	// Scopes.
	SelvbetjeningScope = selvbetjeningAudience + "/client"

	// DraftAPIKey is what the header api-key must be to make client drafts.
	DraftAPIKey = "helseidtest-api-key"
)

// DefaultKeyLifetime is how long clients' keys live with Selvbetjening. HelseID
// does not publish its own.
const DefaultKeyLifetime = 365 * 24 * time.Hour

// Selvbetjening mounts the API of HelseID Selvbetjening at
// Server.SelvbetjeningURL: a client's keys, its configuration, the delegations to
// it, and client drafts. It takes tokens of this server with SelvbetjeningScope
// and proofs, and nothing else. With it, clients' keys expire.
//
// Source: Norsk helsenett, Selvbetjening, Client API. It does not publish the
// shape of a delegation in the answer: here it is an object with the parent's
// organizationNumber.
func Selvbetjening() Option { return func(o *options) { o.selvbetjening = true } }

// KeyLifetime sets how long a client's key lives from its registration, with
// Selvbetjening. The default is DefaultKeyLifetime.
func KeyLifetime(lifetime time.Duration) Option { return func(o *options) { o.keyLifetime = lifetime } }

// KeyDelay makes a key that is registered through Selvbetjening work only after
// a while, as HelseID's caches do: 10 to 20 seconds. The default is at once.
func KeyDelay(delay time.Duration) Option { return func(o *options) { o.keyDelay = delay } }

// ManualApproval makes scopes and claims that a client asks for through
// Selvbetjening wait for Server.Approve. Otherwise they are granted at once.
func ManualApproval() Option { return func(o *options) { o.manualApproval = true } }

// SelvbetjeningURL is the base URL of Selvbetjening's API, which the paths of
// HelseID's documentation, such as /v1/client, follow. It is empty without the
// option Selvbetjening.
func (s *Server) SelvbetjeningURL() string {
	if !s.options.selvbetjening {
		return ""
	}
	return s.issuer + selvbetjeningPath
}

// Approve grants what a client waits for, in place of the APIs' owners.
func (s *Server) Approve(clientID string) error {
	return s.changeClient(clientID, func(client *Client) {
		client.Scopes = append(slices.Clip(client.Scopes), client.pendingScopes...)
		client.AudienceClaims = merged(client.AudienceClaims, client.pendingClaims)
		client.pendingScopes, client.pendingClaims = nil, nil
	})
}

// guardSelvbetjening makes the way in to the API. It reads the server's keys
// without a request, so that neither faults nor records have to do with it.
func (s *Server) guardSelvbetjening() error {
	issuer, err := url.Parse(s.issuer)
	if err != nil {
		return err
	}
	config := middleware.Config{
		Issuer: s.issuer, Audience: selvbetjeningAudience, PublicURL: issuer.Scheme + "://" + issuer.Host,
		WriteProblem: func(w http.ResponseWriter, r *http.Request, refused middleware.Problem) {
			problem{status: refused.Status, detail: refused.Detail}.write(w, r)
		},
	}
	config.Token.HTTPClient = &http.Client{Transport: ownKeys{s}}
	config.Token.Time, config.Proof.Time = s.Now, s.Now
	s.guard, err = middleware.New(config)
	return err
}

// ownKeys answers the server's metadata and keys to itself.
type ownKeys struct{ server *Server }

// RoundTrip implements http.RoundTripper.
func (o ownKeys) RoundTrip(request *http.Request) (*http.Response, error) {
	handlers := map[Endpoint]http.HandlerFunc{EndpointMetadata: o.server.serveMetadata, EndpointJWKS: o.server.serveJWKS}
	for endpoint, handler := range handlers {
		if request.URL.Path == o.server.base+string(endpoint) {
			return serveInMemory(handler, request)
		}
	}
	return nil, errors.New("helseidtest: the server asks itself for its keys only")
}

// selvbetjeningRoutes are the handlers, by endpoint.
func (s *Server) selvbetjeningRoutes() map[Endpoint]http.HandlerFunc {
	guarded := func(methods map[string]func(*http.Request, *Client) (any, *problem)) http.HandlerFunc {
		return s.guard.Require(func(w http.ResponseWriter, r *http.Request) {
			serve, known := methods[r.Method]
			client := s.client(middleware.Claims(r.Context()).ClientID)
			switch {
			case !known:
				problem{http.StatusMethodNotAllowed, "the endpoint does not take this method"}.write(w, r)
			case client == nil:
				problem{http.StatusForbidden, "the token's client is not registered any more"}.write(w, r)
			default:
				answerProblemOrJSON(w, r, func(r *http.Request) (any, *problem) { return serve(r, client) })
			}
		}, middleware.Scope(SelvbetjeningScope)).ServeHTTP
	}
	type methods = map[string]func(*http.Request, *Client) (any, *problem)
	return map[Endpoint]http.HandlerFunc{
		EndpointClientSecret:  guarded(methods{http.MethodGet: s.listSecrets, http.MethodPost: s.addSecret}),
		EndpointClientConfig:  guarded(methods{http.MethodGet: s.showClient, http.MethodPut: s.replaceClient}),
		EndpointDelegations:   guarded(methods{http.MethodGet: s.listDelegations}),
		EndpointClientDrafts:  func(w http.ResponseWriter, r *http.Request) { answerProblemOrJSON(w, r, s.addDraft) },
		EndpointConfirmClient: s.serveConfirmClient,
	}
}

// problem is an error answer (RFC 9457).
type problem struct {
	status int
	detail string
}

func badRequest(detail string) *problem { return &problem{http.StatusBadRequest, detail} }

func (p problem) write(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(p.status), "status": p.status, "detail": p.detail, "instance": r.URL.Path,
	})
}

func answerProblemOrJSON(w http.ResponseWriter, r *http.Request, serve func(*http.Request) (any, *problem)) {
	answer, refused := serve(r)
	switch {
	case refused != nil:
		refused.write(w, r)
	case answer == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

// isJSON reports that the request's body is said to be JSON.
func isJSON(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}
