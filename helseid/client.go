package helseid

import (
	"context"
	"fmt"
	"net/http"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/internal/apicall"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/metadata"
)

// Client is one client of HelseID, with its keys, tokens and nonces. Make one for
// each registered client and keep it: it holds the tokens, and is safe for concurrent
// use. Printed, logged or marshalled it reads "[redacted]".
type Client struct {
	unprintable

	config   Config
	work     *lifecycle.Lifecycle
	report   *reporter
	exchange tokenRequester
	standing *standing
	tokens   *tokenSupply
	calls    *apiCaller

	idTokens *idtoken.Validator
	sessions *Sessions
	logins   *logins

	ownTransport *http.Transport // nil if the caller has supplied a client
}

// New checks the configuration, reports all its mistakes at once (they wrap
// [ErrConfig]) and returns the client. It makes no network call.
func New(config Config) (*Client, error) {
	config, err := config.checked()
	if err != nil {
		return nil, err
	}
	var ownTransport *http.Transport
	if config.HTTPClient, ownTransport = httpx.OrNew(config.HTTPClient); ownTransport != nil {
		ownTransport.ResponseHeaderTimeout = 0 // RequestTimeout and APIHeaderTimeout decide
	}
	assertions, err := clientassertion.New(clientassertion.Config{
		ClientID:  config.ClientID,
		Audience:  config.Issuer,
		Key:       config.Key,
		KeySource: config.KeySource,
		Lifetime:  config.AssertionLifetime,
		Variants:  config.Variants,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	dpopKey := config.DPoPKey
	if dpopKey == nil {
		if dpopKey, err = dpop.GenerateKey(dpop.KeyOptions{}); err != nil {
			return nil, err
		}
	}
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: dpopKey})
	if err != nil {
		return nil, fmt.Errorf("%w: field DPoPKey: %w", ErrConfig, err)
	}
	store := config.Store
	if store == nil {
		store = &MemoryStore{}
	}
	backChannel := httpx.NoRedirect(config.HTTPClient)
	source := metadata.NewSource(config.Issuer, backChannel, exchange.TokenEndpoint).Allow(config.EndpointOrigins)
	work := lifecycle.New()
	report := &reporter{logger: config.Logger, onEvent: config.OnEvent, tracer: config.Tracer, clientID: config.ClientID, environment: environmentText(config.Issuer), keyID: assertions.KeyID}
	if source, ok := config.KeySource.(clientassertion.ExpiringKeySource); ok {
		report.expiries.source = source.KeyExpiry
	}
	report.inUse.current = currentKeyID(assertions)
	regarded := &standing{keyID: report.inUse.current}
	requester := tokenRequester{&exchange.Exchange{
		ClientID:   config.ClientID,
		Assertions: assertions,
		Prover:     prover,
		Nonces:     &dpop.Nonces{},
		Metadata:   source,
		HTTP:       backChannel,
		Timeout:    config.RequestTimeout,
		Budgets:    exchange.NewBudgets(config.TokenRetries),
		Signing:    &exchange.Signing{Timeout: config.RequestTimeout, Retries: config.TokenRetries, Work: work, Failed: report.keyFailed},
		Work:       work,
		Observer:   report,
		Refused:    refuser{issuer: config.Issuer, clientID: config.ClientID}.tokenError,
	}}
	client := &Client{
		config:   config,
		work:     work,
		report:   report,
		exchange: requester,
		standing: regarded,
		tokens: &tokenSupply{
			rules: requestRules{
				issuer:     config.Issuer,
				clientID:   config.ClientID,
				tenancy:    config.Tenancy,
				variants:   config.Variants,
				thumbprint: prover.Thumbprint(),
			},
			memory:   memoryCache{capacity: config.MaxTokens},
			shared:   sharedCache{cache: config.TokenCache, report: report},
			standing: regarded,
			fetch:    requester.fetchToken,
			work:     work,
			report:   report,
		},
		calls: &apiCaller{
			Caller:         apicall.Caller{HeaderTimeout: config.APIHeaderTimeout, Nonces: requester.Nonces, Report: apiReporter{report}},
			http:           config.HTTPClient,
			allowedOrigins: config.AllowedOrigins,
			unverified:     httpx.TransportSkipsVerification(config.HTTPClient.Transport),
			prover:         prover,
			signing:        requester.Signing,
			report:         report,
		},
		idTokens: idtoken.New(source, config.ClientID, backChannel),

		ownTransport: ownTransport,
	}
	identity := clientIdentity{issuer: config.Issuer, clientID: config.ClientID, thumbprint: prover.Thumbprint()}
	client.sessions = newSessions(config, identity, store, client.exchange, client.idTokens, client.tokens, client.calls)
	client.logins = newLogins(config, identity, client.exchange, client.standing, report, client.tokens.rules.details, client.sessions)
	return client, nil
}

// Sessions returns the sessions of the users who have logged in with this client, in
// all its processes that share [Config.Store].
func (c *Client) Sessions() *Sessions { return c.sessions }

// Close ends the client's background work and waits for it. Tokens in memory can
// still be used, but no new ones are fetched. A login or a session refresh whose code
// or token has already been sent is not interrupted, since the user would have to log
// in again: Close waits until the answer has come and has been stored.
func (c *Client) Close() {
	c.work.Close()
	c.idTokens.Close()
	if c.ownTransport != nil {
		c.ownTransport.CloseIdleConnections()
	}
}

// Token returns a token for the request, from memory or from HelseID. It is short for
// [Client.TokenSource] and [TokenSource.Token].
func (c *Client) Token(ctx context.Context, request TokenRequest) (*Token, error) {
	unprepared := &TokenSource{tokens: c.tokens, calls: c.calls, original: request}
	source := unprepared.inContext(ctx)
	if source == unprepared { // prepared once, independently of the context
		source = unprepared.with(request)
	}
	return source.token(ctx)
}

// Issuer returns [Config.Issuer].
func (c *Client) Issuer() string { return c.config.Issuer }

// ID returns [Config.ClientID].
func (c *Client) ID() string { return c.config.ClientID }

// Validate reports the mistakes in a token request without a network call. They wrap
// [ErrConfig].
func (c *Client) Validate(request TokenRequest) error {
	_, err := c.tokens.rules.prepare(request, systemOrigin)
	return err
}
