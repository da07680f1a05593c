package helseid

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
)

// Client is one client of HelseID, with its keys, its tokens and its nonces.
// Make one per registered client and keep it: it is safe for concurrent use,
// and the tokens are in it.
type Client struct {
	config      Config
	assertions  *clientassertion.Signer
	prover      *dpop.Prover
	nonces      dpop.Nonces
	protocols   protocols
	metadata    *metadata.Source
	backChannel *http.Client // to HelseID
	tokens      tokenCache
	refused     holdOff

	lifetime context.Context // ends with Close
	end      context.CancelFunc
	running  sync.WaitGroup
	closing  sync.Mutex
}

// New checks the configuration, reports all its mistakes at once (they wrap
// ErrConfig) and returns the client. It makes no network call.
func New(config Config) (*Client, error) {
	config, err := config.checked()
	if err != nil {
		return nil, err
	}
	assertions, err := clientassertion.New(clientassertion.Config{
		ClientID: config.ClientID,
		Audience: config.Issuer,
		Key:      config.Key,
		Lifetime: config.AssertionLifetime,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	dpopKey := config.DPoPKey
	if dpopKey == nil {
		if dpopKey, err = dpop.GenerateKey(); err != nil {
			return nil, err
		}
	}
	prover, err := dpop.NewProver(dpopKey)
	if err != nil {
		return nil, fmt.Errorf("%w: field DPoPKey: %w", ErrConfig, err)
	}
	backChannel := httpx.NoRedirect(config.HTTPClient)
	lifetime, end := context.WithCancel(context.Background())
	return &Client{
		config:      config,
		assertions:  assertions,
		prover:      prover,
		metadata:    metadata.NewSource(config.Issuer, backChannel),
		backChannel: backChannel,
		lifetime:    lifetime,
		end:         end,
	}, nil
}

// Close ends what runs in the background and waits for it. Tokens that are
// still in memory can be used; none is fetched any more.
func (c *Client) Close() {
	c.closing.Lock()
	c.end()
	c.closing.Unlock()
	c.running.Wait()
}

// begin registers work that Close waits for.
func (c *Client) begin() error {
	c.closing.Lock()
	defer c.closing.Unlock()
	if c.lifetime.Err() != nil {
		return ErrClosed
	}
	c.running.Add(1)
	return nil
}

// Token returns a token for the request, from memory or from HelseID. It is
// TokenSource(request).Token(ctx).
func (c *Client) Token(ctx context.Context, request TokenRequest) (*Token, error) {
	return c.TokenSource(request).Token(ctx)
}
