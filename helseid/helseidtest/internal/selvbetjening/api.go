// Package selvbetjening plays the API of HelseID Selvbetjening: a client's keys, its
// configuration, the delegations to it, and client drafts.
//
// Source: Norsk helsenett, Selvbetjening, Client API. It does not publish the
// shape of a delegation in the answer: here it is an object with the parent's
// organizationNumber.
package selvbetjening

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/clientkey"
	"github.com/helseid-go/sdk/middleware"
)

// The endpoints, by their paths below the issuer.
const (
	Path              = "/selvbetjening"
	PathClientSecret  = Path + "/v1/client-secret"
	PathClientConfig  = Path + "/v1/client"
	PathClientDrafts  = Path + "/v1/client-drafts"
	PathDelegations   = Path + "/v1/multi-tenant-delegations"
	PathConfirmClient = Path + "/confirm-client/"
)

// OlderPaths are other names of endpoints, which HelseID still answers to.
var OlderPaths = map[string]string{
	Path + "/v1/client-status":   PathClientConfig,
	Path + "/v0.1/client-drafts": PathClientDrafts,
}

const audience = "nhn:selvbetjening"

// Client is what the API shows and changes of a client's registration.
type Client struct {
	ID                                                               string
	Scopes, RedirectURIs, PostLogoutRedirectURIs, ChildOrganizations []string
	Claims                                                           map[string]string // about the client, for APIs
	Keys                                                             []clientkey.Key
	Delegations                                                      []string // in force; the API changes none

	PendingScopes []string // which wait for an approval
	PendingClaims map[string]string
}

// Draft is a client that a person has confirmed whom it is for.
type Draft struct {
	Organization string
	Client       Client
}

// Registry holds the clients' registrations.
type Registry interface {
	Now() time.Time
	Client(id string) (client Client, known bool)
	ChangeClient(id string, change func(*Client)) (known bool)
	AddClient(Draft)
}

// Options change what the API does.
type Options struct {
	// KeyLifetime is how long keys live, and KeyDelay how long it takes until one
	// works.
	KeyLifetime time.Duration
	KeyDelay    time.Duration

	// OldKeysDie ends the keys before when one is registered through the API.
	OldKeysDie bool

	// ManualApproval makes new scopes and claims wait.
	ManualApproval bool
}

// Config is what the API is made of. All fields but Options are required.
type Config struct {
	Options

	// Issuer is whose tokens the API takes, and Keys reaches its metadata and keys.
	Issuer string
	Keys   *http.Client

	// Registry holds the clients.
	Registry Registry

	// Scope is what a token must have, and DraftAPIKey what the header api-key must
	// be to make client drafts.
	Scope, DraftAPIKey string
}

// API is the API. Close it.
type API struct {
	Config
	guard *middleware.Middleware

	mu     sync.Mutex
	drafts map[string]Draft // that wait for a person to confirm them
}

// New makes the API.
func New(config Config) (*API, error) {
	issuer, err := url.Parse(config.Issuer)
	if err != nil {
		return nil, err
	}
	guard := middleware.Config{
		Issuer: config.Issuer, Audience: audience, PublicURL: issuer.Scheme + "://" + issuer.Host,
		WriteProblem: func(w http.ResponseWriter, r *http.Request, refused middleware.Problem) {
			problem{status: refused.Status, detail: refused.Detail}.write(w, r)
		},
	}
	guard.Token.HTTPClient = config.Keys
	guard.Token.Time, guard.Proof.Time = config.Registry.Now, config.Registry.Now
	api := &API{Config: config, drafts: make(map[string]Draft)}
	if api.guard, err = middleware.New(guard); err != nil {
		return nil, err
	}
	return api, nil
}

// Close ends what the API does in the background.
func (a *API) Close() { a.guard.Close() }

type methods = map[string]func(*http.Request, Client) (any, *problem)

// Handlers are the handlers, by endpoint.
func (a *API) Handlers() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		PathClientSecret:  a.guarded(methods{http.MethodGet: a.listSecrets, http.MethodPost: a.addSecret}),
		PathClientConfig:  a.guarded(methods{http.MethodGet: a.showClient, http.MethodPut: a.replaceClient}),
		PathDelegations:   a.guarded(methods{http.MethodGet: a.listDelegations}),
		PathClientDrafts:  func(w http.ResponseWriter, r *http.Request) { answerProblemOrJSON(w, r, a.addDraft) },
		PathConfirmClient: a.serveConfirmClient,
	}
}

// guarded lets in clients with a token for the API and a proof.
func (a *API) guarded(methods methods) http.HandlerFunc {
	return a.guard.Require(func(w http.ResponseWriter, r *http.Request) {
		serve, known := methods[r.Method]
		client, registered := a.Registry.Client(middleware.Claims(r.Context()).ClientID)
		switch {
		case !known:
			problem{http.StatusMethodNotAllowed, "the endpoint does not take this method"}.write(w, r)
		case !registered:
			errNotRegistered.write(w, r)
		default:
			answerProblemOrJSON(w, r, func(r *http.Request) (any, *problem) { return serve(r, client) })
		}
	}, middleware.Scope(a.Scope)).ServeHTTP
}

func (a *API) listDelegations(_ *http.Request, client Client) (any, *problem) {
	delegations := []map[string]any{}
	for _, parent := range client.Delegations {
		delegations = append(delegations, map[string]any{"organizationNumber": parent})
	}
	return delegations, nil
}

// Approve grants what the client waits for.
func (c *Client) Approve() {
	c.Scopes = append(slices.Clip(c.Scopes), c.PendingScopes...)
	c.Claims = merged(c.Claims, c.PendingClaims)
	c.PendingScopes, c.PendingClaims = nil, nil
}
